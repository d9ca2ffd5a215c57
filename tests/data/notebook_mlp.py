import mxnet as mx
import logging

logging.basicConfig(level=logging.INFO)


data = mx.sym.Variable('data')
data = mx.sym.Flatten(data=data)
fc1  = mx.sym.FullyConnected(data=data, name='fc1', num_hidden=128)
act1 = mx.sym.Activation(data=fc1, name='relu1', act_type="relu")
fc2  = mx.sym.FullyConnected(data=act1, name='fc2', num_hidden=10)
mlp  = mx.sym.SoftmaxOutput(data=fc2, name='softmax')
mod = mx.mod.Module(mlp)


train_iter = mx.io.ImageRecordIter(path_imglist='./mnist_train.lst', 
                                   path_imgrec='./mnist_train.rec',
                                   data_shape=(1, 28, 28), #кортеж формата (число каналов, высота, ширина)
                                   batch_size=100)          #размер пакета

valid_iter = mx.io.ImageRecordIter(path_imglist='./mnist_test.lst', 
                                   path_imgrec='./mnist_test.rec',
                                   data_shape=(1, 28, 28),
                                   batch_size=100)


mod.fit(train_data=train_iter,
         eval_data=valid_iter,
        initializer=mx.initializer.Xavier(magnitude=2.),
        optimizer='sgd',
        optimizer_params={'learning_rate': 0.1},
        num_epoch=10)


train_iter.reset()
valid_iter.reset() #но сначала перезагрузим итераторы
mod.init_optimizer(force_init=True, #чтобы присвоить новые параметры
                   optimizer_params=(('learning_rate', 0.01),), 
                   optimizer='sgd')
mod.init_params(force_init=True, 
                initializer=mx.initializer.Xavier(magnitude=2.))


mod.fit(train_data=train_iter,
         eval_data=valid_iter,
        num_epoch=10)


train_iter.reset()
valid_iter.reset() 
mod.init_optimizer(force_init=True,
                   optimizer_params=(('learning_rate', 0.001),), 
                   optimizer='sgd')
mod.init_params(force_init=True, 
                initializer=mx.initializer.Xavier(magnitude=2.))


mod.fit(train_data=train_iter,
         eval_data=valid_iter,
        num_epoch=25)
