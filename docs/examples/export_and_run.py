"""Export a model to ONNX, verify the file, and run it in ONNX Runtime, where MXNet is not needed any more."""

import onnxruntime

import export
import zoo

test = zoo.load_mnist().test[:500]
net = zoo.get_model("lenet5", pretrained=True)
export.to_onnx(net, "lenet5.onnx", input_shape=(1, 28, 28))
print(export.verify("lenet5.onnx", net, test, seconds=1))  # every runtime that is installed, beside MXNet

session = onnxruntime.InferenceSession("lenet5.onnx", providers=["CPUExecutionProvider"])
pixels = test.images[:, None].astype("float32") / 255
(logits,) = session.run(None, {session.get_inputs()[0].name: pixels})
print(f"accuracy in ONNX Runtime: {(logits.argmax(axis=1) == test.labels).mean():.2%}")
