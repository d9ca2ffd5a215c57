// Runs an ONNX file: node onnx_runtime_web.mjs PACKAGE MODEL [FILE_OF_WEIGHTS...]
// For each batch, stdin has a description of the arrays in JSON, its length in four bytes before it, and then the bytes
// of all arrays. The answer on stdout looks the same, or describes an error; the first one has no arrays.

import { readFileSync, readSync, writeSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, join } from "node:path";

const ARRAYS = {
  float32: Float32Array, float64: Float64Array, int8: Int8Array, int16: Int16Array, int32: Int32Array,
  int64: BigInt64Array, uint8: Uint8Array,
};

function read(size) {
  const bytes = new Uint8Array(size);
  for (let done = 0; done < size; ) {
    const count = readSync(0, bytes, done, size - done);
    if (!count) process.exit(0); // there are no more batches
    done += count;
  }
  return bytes;
}

function write(bytes) {
  for (let done = 0; done < bytes.byteLength; ) done += writeSync(1, bytes, done);
}

function answer(description, ...arrays) {
  const text = Buffer.from(JSON.stringify(description));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(text.byteLength);
  [length, text, ...arrays].forEach(write);
}

try {
  console.log = console.info = console.debug = console.error; // stdout is for answers
  const [folder, model, ...beside] = process.argv.slice(2);
  const ort = createRequire(join(folder, "package.json"))("onnxruntime-web");
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(readFileSync(model), {
    executionProviders: ["wasm"],
    externalData: beside.map((path) => ({ path: basename(path), data: readFileSync(path) })),
  });
  answer([]);
  for (;;) {
    const length = Buffer.from(read(4)).readUInt32LE();
    const given = JSON.parse(Buffer.from(read(length)).toString());
    const tensors = given.map(({ type, dims, size }) => new ort.Tensor(type, new ARRAYS[type](read(size).buffer), dims));
    const found = await session.run(Object.fromEntries(session.inputNames.map((name, i) => [name, tensors[i]])));
    const outputs = session.outputNames.map((name) => found[name]);
    const described = outputs.map(({ type, dims, data }) => ({ type, dims, size: data.byteLength }));
    answer(described, ...outputs.map(({ data }) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength)));
  }
} catch (error) {
  answer({ error: String(error?.message ?? error) });
}
