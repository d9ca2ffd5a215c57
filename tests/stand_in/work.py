"""What a user does on GPUs, in one process of the CUDA wheel's interpreter; prints the facts to assert as JSON.

    python tests/stand_in/work.py models|features|float16

The stand-ins compute nothing, so this is about calls, shapes and devices.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

import zoo
from zoo import training
from zoo.data import synthetic
from zoo.errors import ZooError
from zoo.models import weights
from zoo.runtime import contexts, mx
from zoo.training import scaling

# Numbers of images that, whole or halved, equal no other size in any network, so that calls can be told apart.
BATCH, BATCHES, IMAGES = 62, 2, 58
DATA = synthetic(train=BATCH * BATCHES, test=IMAGES)
RECIPE = zoo.Recipe(epochs=1, batch_size=BATCH, learning_rate=0.1)


def calls() -> list[tuple[str, str, int]]:
    """Count library calls since the last time, by device and name, without clean-up calls, which come late."""
    gc.collect()
    mx.nd.waitall()
    log = Path(os.environ["STAND_IN_LOG"])
    ctypes.CDLL("libcudart.so.11.0").stand_in_flush()
    counted: Counter = Counter()
    for line in log.read_text().splitlines():
        device, call, count = line.split("\t")
        if "Destroy" in call:
            continue
        counted[f"gpu({device})", call] += int(count)
    log.write_text("")
    return [(device, call, count) for (device, call), count in counted.items()]


def places(net: mx.gluon.HybridBlock) -> list[str]:
    """Return the contexts of the parameters' copies, which must be the same for all parameters."""
    (found,) = {tuple(str(array.context) for array in each.list_data()) for each in net.collect_params().values()}
    return list(found)


def models() -> dict:
    """Every model, trained and evaluated."""
    facts = {}
    for name in zoo.list_models():
        for ctx in ("gpu(0)", "gpu(1)", "gpu(0),gpu(1)") if name == "cnn7" else ("gpu(0)", "gpu(0),gpu(1)"):
            net = zoo.get_model(name, ctx=ctx, seed=0)
            calls()
            history = zoo.fit(net, DATA.train, DATA.test, RECIPE, ctx, progress=False)
            trained = calls()
            result = zoo.evaluate(net, DATA.test)
            operators = [node["op"] for node in json.loads(net(mx.sym.var("data")).tojson())["nodes"]]
            facts[f"{name} on {ctx}"] = {
                "epochs": len(history.records),
                "contexts": history.contexts,
                "logits": result.logits.shape,
                "dtype": str(result.logits.dtype),
                "places": places(net),
                "convolutions": operators.count("Convolution"),
                "dense": operators.count("FullyConnected"),
                "trainable": sum(each.grad_req != "null" for each in net.collect_params().values()),
                "trained": trained,
                "evaluated": calls(),
            }
    return facts


def float16() -> dict:
    """Every model in float16, every optimizer, and what the host reads while it trains."""
    scaling.LOWEST = -np.inf  # without real gradients, the loss scale can become anything
    facts, recipe = {"models": {}, "optimizers": [], "read": {}}, replace(RECIPE, dtype="float16")
    for ctx in ("gpu(0)", "gpu(0),gpu(1)"):
        for name in zoo.list_models():
            net = zoo.get_model(name, ctx=ctx, seed=0)
            calls()
            history = zoo.fit(net, DATA.train, DATA.test, recipe, ctx, progress=False)
            trained = calls()
            predictor = training.Predictor(net, DATA.test, contexts.parse(ctx), dtype="float16")
            result = predictor.evaluate()
            operators = [node["op"] for node in json.loads(net(mx.sym.var("data")).tojson())["nodes"]]
            facts["models"][f"{name} on {ctx}"] = {
                "dtype": history.recipe.dtype,
                "logits": [str(result.logits.dtype), *result.logits.shape],
                "parameters": sorted({str(array.dtype) for array in weights.state(net).values()}),
                "places": places(net),
                "convolutions": operators.count("Convolution"),
                "dense": operators.count("FullyConnected"),
                "norms": operators.count("BatchNorm"),
                "trained": trained,
                "evaluated": calls(),
            }
        for optimizer in zoo.recipes.recipe.OPTIMIZERS:
            zoo.fit(zoo.get_model("mlp"), DATA.train, None, replace(recipe, optimizer=optimizer), ctx, progress=False)
            facts["optimizers"].append(f"{optimizer} on {ctx}")
        for dtype in ("float32", "float16"):
            net = zoo.get_model("mlp", ctx=ctx)
            session = training.TrainingSession(net, DATA.train, replace(recipe, dtype=dtype), contexts.parse(ctx))
            list(session.run(np.arange(BATCH)))
            calls()
            list(session.run(np.arange(BATCH * BATCHES)))
            facts["read"][f"{dtype} on {ctx}"] = sum(number for _, call, number in calls() if call == "memcpy DtoH")
    return facts


def features() -> dict:
    """Everything else on GPUs."""
    return {
        "usable": list(map(str, contexts.usable())),
        "list_gpus": list(mx.test_utils.list_gpus()),
        "saved": saved(),
        "pretrained": pretrained(),
        "memory": memory(),
        "recipes": recipes(),
        "rates": len(training.lr_find(zoo.get_model("mlp"), DATA.train, replace(RECIPE, batch_size=2), "gpu(1)").rates),
        "refusals": refusals(),
        "module": module(),
    }


def saved() -> dict:
    """Parameters written from one GPU and read into two."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cnn7.params"
        one, two = (zoo.get_model("cnn7", ctx=ctx, seed=seed) for seed, ctx in enumerate(("gpu(0)", "gpu(0),gpu(1)")))
        before = weights.parameter_hash(two)
        zoo.save_parameters(one, path)
        zoo.load_parameters(two, path)
    pairs = zip(one.collect_params().values(), two.collect_params().values())
    same = [np.array_equal(a.data().asnumpy(), copy.asnumpy()) for a, b in pairs for copy in b.list_data()]
    return {
        "places": places(two), "same": all(same), "copies": len(same), "parameters": len(one.collect_params().keys()),
        "differed": before != weights.parameter_hash(one), "hash": weights.parameter_hash(two),
    }  # fmt: skip


def pretrained() -> bool:
    on_gpu, on_cpu = (zoo.get_model("mlp", pretrained=True, ctx=ctx) for ctx in ("gpu(1)", "cpu"))
    return weights.parameter_hash(on_gpu) == weights.parameter_hash(on_cpu)


def memory() -> list[int]:
    """The bytes that an array of 64 MiB takes on each GPU."""
    before = [mx.context.gpu_memory_info(index)[0] for index in range(2)]
    array = mx.nd.zeros((64, 1024, 256), ctx=mx.gpu(1))
    array.wait_to_read()
    return [free - mx.context.gpu_memory_info(index)[0] for index, free in enumerate(before)]


def recipes() -> dict:
    """Everything that a recipe can ask for, with every optimizer."""
    recipe = replace(
        RECIPE, epochs=2, schedule="one-cycle", warmup=0.1, label_smoothing=0.1, ema=0.9,
        augmentation=zoo.Augmentation(shift=2, rotation=15, scale=0.1, shear=0.1, elastic=1),
    )  # fmt: skip
    facts = {}
    for optimizer in zoo.recipes.recipe.OPTIMIZERS:
        for ctx in ("gpu(0)", "gpu(0),gpu(1)"):
            calls()
            net = zoo.get_model("micro", ctx=ctx)
            chosen = replace(recipe, optimizer=optimizer, momentum=0.9 if optimizer in ("sgd", "nag") else 0.0)
            history = zoo.fit(net, DATA.train, DATA.test, chosen, ctx, progress=False)
            deformed = sorted(device for device, call, _ in calls() if call == "cudnnSpatialTfSamplerForward")
            facts[f"{optimizer} on {ctx}"] = {"epochs": len(history.records), "deformed": deformed}
    return facts


def refusals() -> dict:
    net = zoo.get_model("mlp", ctx="gpu(0)")
    asked = {
        "bfloat16": lambda: training.Predictor(net, DATA.test, [mx.gpu(0)], dtype="bfloat16"),
        "bfloat16, training": lambda: zoo.fit(net, DATA.train, recipe=replace(RECIPE, dtype="bfloat16")),
        "int8": lambda: training.Predictor(net, DATA.test, [mx.gpu(0)], dtype="int8", calibration=DATA.train),
        "gpu(2)": lambda: zoo.get_model("mlp", ctx="gpu(2)"),
        "gpu(0),gpu(0)": lambda: zoo.fit(net, DATA.train, recipe=RECIPE, ctx="gpu(0),gpu(0)"),
    }
    said = {}
    for name, ask in asked.items():
        try:
            ask()
        except ZooError as error:
            said[name] = str(error)
    return said


def module() -> list[str]:
    """MXNet's Module on two GPUs, and its checkpoint in a network of the zoo on one."""
    images = DATA.train.images[:, None].astype(np.float32)
    batches = mx.io.NDArrayIter(images, DATA.train.labels.astype(np.float32), BATCH)
    trained = mx.mod.Module(zoo.get_symbol("mlp"), context=[mx.gpu(0), mx.gpu(1)])
    trained.fit(batches, num_epoch=1, initializer=mx.init.Xavier())
    with tempfile.TemporaryDirectory() as folder:
        trained.save_checkpoint(f"{folder}/mlp", 1)
        net = zoo.get_model("mlp", ctx="gpu(1)")
        zoo.load_parameters(net, f"{folder}/mlp-0001.params")
    return places(net)


if __name__ == "__main__":
    facts = {"models": models, "features": features, "float16": float16}[sys.argv[1]]()
    print(json.dumps(facts))
