"""The CNN report's own Gluon code, shortened: its network and its loop, with MXNet's own loader of MNIST.

``import zoo`` comes first: from then on ``import mxnet`` works, and ``mx.test_utils.get_mnist`` finds its data.
"""

import zoo  # noqa: F401, I001  first, so that MXNet can be imported

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon
from mxnet.gluon import nn

mx.random.seed(0)  # weights and Dropout
np.random.seed(0)  # the order of the images
mnist = mx.test_utils.get_mnist()
train_data = mx.io.NDArrayIter(mnist["train_data"][:600], mnist["train_label"][:600], 50, shuffle=True)
val_data = mx.io.NDArrayIter(mnist["test_data"][:100], mnist["test_label"][:100], 50)

net = nn.HybridSequential()
for filters, pool in ((64, 0), (64, 1), (128, 0), (128, 1), (256, 0)):
    net.add(nn.Conv2D(filters, kernel_size=3, activation="tanh"))
    if pool:
        net.add(nn.Dropout(0.2), nn.BatchNorm(), nn.MaxPool2D(pool_size=2, strides=2))
net.add(nn.Dropout(0.25), nn.BatchNorm(), nn.Dense(512, activation="tanh"), nn.Dense(10, activation="tanh"))
net.initialize(mx.init.Xavier(magnitude=2.24))
net.hybridize()

loss, metric = gluon.loss.SoftmaxCrossEntropyLoss(), mx.metric.Accuracy()
trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1})
for batch in train_data:
    with autograd.record():
        error = loss(net(batch.data[0]), batch.label[0])
    error.backward()
    trainer.step(batch.data[0].shape[0])
for batch in val_data:
    metric.update(batch.label, [net(batch.data[0])])
print(f"epoch 1: validation accuracy {metric.get()[1]:.2%}")
