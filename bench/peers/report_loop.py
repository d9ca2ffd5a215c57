"""The CNN report's own training loop, in the environment that MXNet sets up by itself.

Network, iterator, loop, metric and trainer are the report's; only ``numpy.bool`` is put back, without
which MXNet 1.9.1 does not import. Nothing of ``zoo.runtime`` is used.
"""

from __future__ import annotations

import time

from bench.peers.wire import Runner, serve


def prepare(request: dict) -> Runner:
    import numpy

    numpy.bool = bool
    import mxnet as mx
    from mxnet import autograd, gluon
    from mxnet.gluon import nn

    from zoo.cli.options import load_data

    train = load_data(request["data"]).train
    ctx = [mx.cpu()]
    pixels = train.images[:, None].astype(numpy.float32) / 255
    train_data = mx.io.NDArrayIter(pixels, train.labels.astype(numpy.float32), request["batch_size"], shuffle=True)

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
    softmax_cross_entropy = gluon.loss.SoftmaxCrossEntropyLoss()
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1})
    metric = mx.metric.Accuracy()

    def run(batches: int) -> dict:
        mx.nd.waitall()
        start = time.perf_counter()
        for _ in range(batches):
            try:
                batch = next(train_data)
            except StopIteration:
                train_data.reset()
                batch = next(train_data)
            data = gluon.utils.split_and_load(batch.data[0], ctx_list=ctx, batch_axis=0)
            label = gluon.utils.split_and_load(batch.label[0], ctx_list=ctx, batch_axis=0)
            outputs = []
            with autograd.record():
                for x, y in zip(data, label):
                    z = net(x)
                    loss = softmax_cross_entropy(z, y)
                    loss.backward()
                    outputs.append(z)
            metric.update(label, outputs)
            trainer.step(batch.data[0].shape[0])
        mx.nd.waitall()
        return {"seconds": time.perf_counter() - start, "images": batches * request["batch_size"]}

    return run


if __name__ == "__main__":
    serve(prepare)
