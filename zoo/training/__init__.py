"""The one training loop, for every model and every context, and its evaluation."""

from zoo.training.evaluation import Evaluation, Evaluator, evaluate
from zoo.training.history import EpochRecord, History
from zoo.training.loop import TrainingInterrupted, fit
from zoo.training.session import TrainingSession

__all__ = [
    "EpochRecord",
    "Evaluation",
    "Evaluator",
    "History",
    "TrainingInterrupted",
    "TrainingSession",
    "evaluate",
    "fit",
]
