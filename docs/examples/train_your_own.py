"""Train a Gluon network of your own: any HybridBlock that maps (batch, 1, 28, 28) pixels to (batch, 10) logits.

The same loop trains it that trains the zoo's models: kernels, augmentation, history and checkpoints come with it.
"""

import zoo
from zoo.runtime import mx

nn = mx.gluon.nn
net = nn.HybridSequential()
net.add(
    nn.Conv2D(16, kernel_size=3, activation="relu"),
    nn.MaxPool2D(pool_size=2, strides=2),
    nn.BatchNorm(),
    nn.Dropout(0.2),
    nn.Dense(10),
)
net.initialize(mx.init.Xavier())

mnist = zoo.load_mnist()
recipe = zoo.Recipe(epochs=3, batch_size=100, optimizer="adam", learning_rate=0.003, schedule="cosine")
history = zoo.fit(net, mnist.train[:5000], mnist.train[-1000:], recipe, out="my-network")
for record in history.records:
    print(record)
print(f"test: {zoo.evaluate(net, mnist.test[:2000])}")
print(f"best epoch: {history.best_epoch}, its weights are in my-network/best.params")
