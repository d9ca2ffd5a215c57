"""The one training loop for every model and context, and evaluation."""

from zoo.training.evaluation import Evaluation, Predictor, evaluate
from zoo.training.history import EpochRecord, History
from zoo.training.loop import TrainingInterrupted, fit
from zoo.training.lr_finder import RangeTest, lr_find
from zoo.training.session import TrainingSession

__all__ = [
    "EpochRecord",
    "Evaluation",
    "History",
    "Predictor",
    "RangeTest",
    "TrainingInterrupted",
    "TrainingSession",
    "evaluate",
    "fit",
    "lr_find",
]
