"""The CNN report's own training loop, in the environment that MXNet sets up by default.

Network, iterator, loop, metric and trainer are the report's; the initial weights are those that all sides get. The loop
uses ``zoo.runtime`` only for what MXNet 1.9.1 needs to import on a current NumPy and Python.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from bench.sides import checks
from bench.sides.batches import Order, scaled
from bench.sides.wire import Prepared, serve


def prepare(request: dict[str, Any]) -> Prepared:
    """Build the report's network with the weights handed over, on an MXNet that ``zoo.runtime`` has not tuned."""
    import numpy

    from zoo.runtime import compat, hook, startup

    hook.remove()
    compat.patch()
    with startup.quick():
        import mxnet as mx
    compat.mend(mx)
    from mxnet import autograd, gluon
    from mxnet.gluon import nn

    from zoo.data.named import load_data

    mnist, batch_size = load_data(request["data"]), request["batch_size"]
    ctx = [mx.cpu()]
    pixels, labels = scaled(mnist.train.images), mnist.train.labels.astype(numpy.float32)
    train_data = mx.io.NDArrayIter(pixels, labels, batch_size, shuffle=True)

    net = nn.HybridSequential()
    with net.name_scope():
        net.add(nn.Conv2D(64, kernel_size=3, activation="tanh"))
        net.add(nn.Conv2D(64, kernel_size=3, activation="tanh"))
        net.add(nn.Dropout(0.20))
        net.add(nn.BatchNorm())
        net.add(nn.MaxPool2D(pool_size=2, strides=2))
        net.add(nn.Conv2D(128, kernel_size=3, activation="tanh"))
        net.add(nn.Conv2D(128, kernel_size=3, activation="tanh"))
        net.add(nn.Dropout(0.25))
        net.add(nn.BatchNorm())
        net.add(nn.MaxPool2D(pool_size=2, strides=2))
        net.add(nn.Conv2D(256, kernel_size=3, activation="tanh"))
        net.add(nn.Dropout(0.25))
        net.add(nn.BatchNorm())
        net.add(nn.Dense(512, activation="tanh"))
        net.add(nn.Dense(10, activation="tanh"))
    net.hybridize()
    net.collect_params().initialize(mx.init.Xavier(magnitude=2.24), ctx=ctx)
    tested = mx.nd.array(scaled(mnist.test.images[: checks.IMAGES]))
    net(tested)  # infers its shapes
    with numpy.load(Path(request["folder"]) / f"{request['start']}.npz") as weights:
        for parameter, name in zip(net.collect_params().values(), weights):
            parameter.set_data(mx.nd.array(weights[name]))
    softmax_cross_entropy = gluon.loss.SoftmaxCrossEntropyLoss()
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1})
    metric = mx.metric.Accuracy()

    def step(batch: mx.io.DataBatch) -> list[mx.nd.NDArray]:
        data = gluon.utils.split_and_load(batch.data[0], ctx_list=ctx, batch_axis=0)
        label = gluon.utils.split_and_load(batch.label[0], ctx_list=ctx, batch_axis=0)
        outputs, losses = [], []
        with autograd.record():
            for x, y in zip(data, label):
                z = net(x)
                loss = softmax_cross_entropy(z, y)
                loss.backward()
                outputs.append(z)
                losses.append(loss)
        metric.update(label, outputs)
        trainer.step(batch.data[0].shape[0])
        return losses

    def run(batches: int) -> dict[str, float]:
        mx.nd.waitall()
        start = time.perf_counter()
        for _ in range(batches):
            try:
                batch = next(train_data)
            except StopIteration:
                train_data.reset()
                batch = next(train_data)
            step(batch)
        mx.nd.waitall()
        return {"seconds": time.perf_counter() - start, "images": batches * batch_size}

    def check() -> dict[str, float]:
        """Check on the batches that all sides are checked with, not on those of the report's iterator."""
        logits = net(tested).asnumpy()
        losses = []
        for index in Order(len(labels), batch_size).take(checks.BATCHES):
            batch = mx.io.DataBatch([mx.nd.array(scaled(mnist.train.images[index]))], [mx.nd.array(labels[index])])
            losses.append(float(step(batch)[0].mean().asscalar()))
        return checks.measure(request["folder"], request["start"], logits, losses)

    return Prepared(run, check)


if __name__ == "__main__":
    serve(prepare)
