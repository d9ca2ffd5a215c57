import mxnet as mx
from mxnet.optimizer import Adam
from mxnet.gluon import nn
from mxnet import autograd as ag
from mxnet import gluon


ctx = [mx.gpu() if mx.test_utils.list_gpus() else mx.cpu()]
print('context:', ctx)


mnist = mx.test_utils.get_mnist()

batch_size = 200
train_data = mx.io.NDArrayIter(mnist['train_data'], mnist['train_label'], batch_size, shuffle=True)
val_data = mx.io.NDArrayIter(mnist['test_data'], mnist['test_label'], batch_size)


def buildNet(net):
    with net.name_scope():
        net.add(nn.Conv2D(64, kernel_size=3, activation='tanh'))
        net.add(nn.Conv2D(64, kernel_size=3, activation='tanh'))
        net.add(nn.Dropout(0.20))
        net.add(nn.BatchNorm())
        
        net.add(nn.MaxPool2D(pool_size=2, strides=2))
        net.add(nn.Conv2D(128, kernel_size=3, activation='tanh'))
        net.add(nn.Conv2D(128, kernel_size=3, activation='tanh'))
        net.add(nn.Dropout(0.25))
        net.add(nn.BatchNorm())
        
        net.add(nn.MaxPool2D(pool_size=2, strides=2))
        net.add(nn.Conv2D(256, kernel_size=3, activation='tanh'))
        net.add(nn.Dropout(0.25))
        net.add(nn.BatchNorm())
        
        net.add(nn.Dense(512, activation='tanh'))
        net.add(nn.Dense(10, activation='tanh'))
        return net


def getValidationAcc():
    # Use Accuracy as the evaluation metric.
    metric = mx.metric.Accuracy()
    # Reset the validation data iterator.
    val_data.reset()
    # Loop over the validation data iterator.
    for batch in val_data:
        # Splits validation data into multiple slices along batch_axis
        # and copy each slice into a context.
        data = gluon.utils.split_and_load(batch.data[0], ctx_list=ctx, batch_axis=0)
        # Splits validation label into multiple slices along batch_axis
        # and copy each slice into a context.
        label = gluon.utils.split_and_load(batch.label[0], ctx_list=ctx, batch_axis=0)
        outputs = []
        for x in data:
            outputs.append(net(x))
        # Updates internal evaluation
        metric.update(label, outputs)
    return metric.get()[1]

validationAccToTrain = 0.993
epochsToTrain = 150

def train(net):
    # Use Accuracy as the evaluation metric.
    metric = mx.metric.Accuracy()
    # Initialize the parameters with Xavier initializer
    net.collect_params().initialize(mx.init.Xavier(magnitude=2.24), ctx=ctx)
    # Use cross entropy loss
    softmax_cross_entropy = gluon.loss.SoftmaxCrossEntropyLoss()
    # Use Adam optimizer
    trainer = gluon.Trainer(net.collect_params(), 'sgd', {'learning_rate': 0.1})
    validationAcc = None
    maxValidationAcc = 0

    for i in range(epochsToTrain):
        # Reset the train data iterator.
        train_data.reset()
        # Loop over the train data iterator.
        for batch in train_data:
            # Splits train data into multiple slices along batch_axis
            # and copy each slice into a context.
            data = gluon.utils.split_and_load(batch.data[0], ctx_list=ctx, batch_axis=0)
            # Splits train labels into multiple slices along batch_axis
            # and copy each slice into a context.
            label = gluon.utils.split_and_load(batch.label[0], ctx_list=ctx, batch_axis=0)
            outputs = []
            # Inside training scope
            with ag.record():
                for x, y in zip(data, label):
                    z = net(x)
                    # Computes softmax cross entropy loss.
                    loss = softmax_cross_entropy(z, y)
                    # Backpropogate the error for one iteration.
                    loss.backward()
                    outputs.append(z)
            # Updates internal evaluation
            metric.update(label, outputs)
            # Make one step of parameter update. Trainer needs to know the
            # batch size of data to normalize the gradient by 1/batch_size.
            trainer.step(batch.data[0].shape[0])
        # Gets the evaluation result.
        name, acc = metric.get()
        # Reset evaluation result to initial state.
        metric.reset()
        validationAcc = getValidationAcc()
        epoch = i + 1
        print('epoch', ('{:2.0f}:').format(epoch), '\t', "{:.2f}%".format(acc * 100), '- train set accuracy'
              '\n\t\t', "{:.2f}%".format(validationAcc * 100), '- validation set accuracy')
        if (validationAcc >= validationAccToTrain) and (validationAcc > maxValidationAcc):
            maxValidationAcc = validationAcc
            net.export('mnist', epoch=epoch)
            print('saved epoch', epoch)
        print()

net = buildNet(nn.HybridSequential())
net.hybridize()
train(net)
