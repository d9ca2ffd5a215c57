"""Fine-tune pretrained weights on harder images: a few epochs at a low learning rate.

The weights of mlp were trained with shifts of 1 pixel. Here it learns to read digits that are moved by up to 4.
"""

import zoo

mnist = zoo.load_mnist()
hard = zoo.corrupt(mnist.test, "shift-4")
net = zoo.get_model("mlp", pretrained=True)
print(f"before: {zoo.evaluate(net, mnist.test).accuracy:.2%} clean, {zoo.evaluate(net, hard).accuracy:.2%} shifted")

recipe = zoo.Recipe(
    epochs=5, batch_size=100, optimizer="nag", momentum=0.9, learning_rate=0.02, schedule="one-cycle",
    augmentation=zoo.Augmentation(shift=4),
)  # fmt: skip
zoo.fit(net, mnist.train[:20_000], recipe=recipe)
print(f"after: {zoo.evaluate(net, mnist.test).accuracy:.2%} clean, {zoo.evaluate(net, hard).accuracy:.2%} shifted")
zoo.save_parameters(net, "mlp-shifted.params")
