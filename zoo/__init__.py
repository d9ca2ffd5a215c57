"""MNIST model zoo for Apache MXNet: data, models, one training loop.

    import zoo
    mnist = zoo.load_mnist()
    net = zoo.get_model("cnn7", seed=0)
    zoo.fit(net, mnist.train[:-5000], mnist.train[-5000:], zoo.Recipe(epochs=1))
    print(zoo.evaluate(net, mnist.test).accuracy)

Names are imported on first use, so ``import zoo`` does not load MXNet. It does install the import hook of
:mod:`zoo.runtime`, after which ``import mxnet`` works anywhere in the process.
"""

from importlib import import_module

from zoo.runtime import hook

TYPE_CHECKING = False  # as in typing, whose import would take longer than the rest of this module
if TYPE_CHECKING:  # the names of _HOMES, for editors and type checkers
    from zoo.data import MNIST as MNIST
    from zoo.data import Dataset as Dataset
    from zoo.data import load_fashion_mnist as load_fashion_mnist
    from zoo.data import load_mnist as load_mnist
    from zoo.data import synthetic as synthetic
    from zoo.data.corruptions import corrupt as corrupt
    from zoo.data.packing import Packed as Packed
    from zoo.data.packing import pack as pack
    from zoo.data.packing import unpack as unpack
    from zoo.data.records import image_record_iter as image_record_iter
    from zoo.data.records import load_records as load_records
    from zoo.errors import DataError as DataError
    from zoo.errors import DivergenceError as DivergenceError
    from zoo.errors import MXNetUnavailable as MXNetUnavailable
    from zoo.errors import UnknownName as UnknownName
    from zoo.errors import WeightsError as WeightsError
    from zoo.errors import ZooError as ZooError
    from zoo.graph.compiled import Compiled as Compiled
    from zoo.graph.compiled import compile as compile
    from zoo.models.cards import Card as Card
    from zoo.models.lookup import get_card as get_card
    from zoo.models.lookup import get_model as get_model
    from zoo.models.lookup import get_symbol as get_symbol
    from zoo.models.lookup import list_models as list_models
    from zoo.models.pretrained.manifest import Pretrained as Pretrained
    from zoo.models.weights import load_parameters as load_parameters
    from zoo.models.weights import parameter_hash as parameter_hash
    from zoo.models.weights import save_parameters as save_parameters
    from zoo.recipes.augmentation import Augmentation as Augmentation
    from zoo.recipes.recipe import Recipe as Recipe
    from zoo.training import EpochRecord as EpochRecord
    from zoo.training import Evaluation as Evaluation
    from zoo.training import History as History
    from zoo.training import RangeTest as RangeTest
    from zoo.training import TrainingInterrupted as TrainingInterrupted
    from zoo.training import evaluate as evaluate
    from zoo.training import fit as fit
    from zoo.training import lr_find as lr_find

hook.install()

__version__ = "0.1.0"

_HOMES = {
    "Card": "zoo.models.cards",
    "Compiled": "zoo.graph.compiled",
    "compile": "zoo.graph.compiled",
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


if not TYPE_CHECKING:  # which would take __getattr__ as a sign that any name exists

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module 'zoo' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return value


def __dir__() -> list[str]:
    return __all__
