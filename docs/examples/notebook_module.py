"""The notebook's code for Module, on this project's data: mlp from RecordIO files, with pixels from 0 to 255.

The readers are ``zoo.image_record_iter`` instead of ``mx.io.ImageRecordIter``: they check files and options first.
"""

import logging

import zoo
from zoo.runtime import mx

logging.basicConfig(level=logging.INFO, format="%(message)s")  # Module logs the accuracy of every epoch
packed = zoo.pack("mnist", zoo.load_mnist().train[:5000], train_ratio=0.9, test_ratio=0.1)
print(f"{packed.found:,} images packed")

data = mx.sym.Flatten(mx.sym.Variable("data"))
hidden = mx.sym.Activation(mx.sym.FullyConnected(data, name="fc1", num_hidden=128), act_type="relu")
output = mx.sym.FullyConnected(hidden, name="fc2", num_hidden=10)
module = mx.mod.Module(mx.sym.SoftmaxOutput(output, name="softmax"))

train = zoo.image_record_iter("mnist_train.rec", batch_size=100, path_imglist="mnist_train.lst")
validation = zoo.image_record_iter("mnist_test.rec", batch_size=100, path_imglist="mnist_test.lst")
module.fit(
    train, eval_data=validation, num_epoch=5, optimizer="sgd", optimizer_params={"learning_rate": 0.001},
    initializer=mx.init.Xavier(magnitude=2.0),
)  # fmt: skip
print(f"validation accuracy: {dict(module.score(validation, 'acc'))['accuracy']:.2%}")
