"""MNIST model zoo for Apache MXNet: data, models, one training loop.

    import zoo
    mnist = zoo.load_mnist()
    net = zoo.get_model("cnn7", seed=0)
    zoo.fit(net, mnist.train[:-5000], mnist.train[-5000:], zoo.Recipe(epochs=1))
    print(zoo.evaluate(net, mnist.test).accuracy)

Names are imported when they are first used, so ``import zoo`` does not load MXNet. It installs the import hook of
:mod:`zoo.runtime`: MXNet works wherever it is imported after it.
"""

from importlib import import_module

from zoo.runtime import hook

hook.install()

__version__ = "0.1.0"

_HOMES = {
    "Card": "zoo.models.cards",
    "get_card": "zoo.models.lookup",
    "get_model": "zoo.models.lookup",
    "get_symbol": "zoo.models.lookup",
    "list_models": "zoo.models.lookup",
    "Dataset": "zoo.data",
    "MNIST": "zoo.data",
    "corrupt": "zoo.data.corruptions",
    "load_fashion_mnist": "zoo.data",
    "load_mnist": "zoo.data",
    "synthetic": "zoo.data",
    "Packed": "zoo.data.packing",
    "pack": "zoo.data.packing",
    "unpack": "zoo.data.packing",
    "image_record_iter": "zoo.data.records",
    "load_records": "zoo.data.records",
    "Augmentation": "zoo.recipes.augmentation",
    "Pretrained": "zoo.models.pretrained.manifest",
    "Recipe": "zoo.recipes.recipe",
    "EpochRecord": "zoo.training",
    "Evaluation": "zoo.training",
    "History": "zoo.training",
    "RangeTest": "zoo.training",
    "TrainingInterrupted": "zoo.training",
    "evaluate": "zoo.training",
    "fit": "zoo.training",
    "lr_find": "zoo.training",
    "load_parameters": "zoo.models.weights",
    "parameter_hash": "zoo.models.weights",
    "save_parameters": "zoo.models.weights",
    "DataError": "zoo.errors",
    "DivergenceError": "zoo.errors",
    "MXNetUnavailable": "zoo.errors",
    "UnknownName": "zoo.errors",
    "WeightsError": "zoo.errors",
    "ZooError": "zoo.errors",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list:
    return __all__
