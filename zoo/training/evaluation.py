"""The predictions of a network for a data set, and their quality."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from zoo.data import Dataset
from zoo.errors import ZooError
from zoo.graph import heads, lowering
from zoo.graph.cost import INPUT_SHAPE
from zoo.graph.execution import FLOAT32, INT8, Execution, Placement, check_interface
from zoo.graph.quantization import quantize
from zoo.progress import progress_bar
from zoo.runtime import mx
from zoo.training import steps
from zoo.training.cached import CachedGraph
from zoo.training.device_dataset import DeviceDataset, lagging


@dataclass(frozen=True)
class Evaluation:
    """The logits of a network for a data set, and the metrics that follow from them."""

    logits: np.ndarray  # (n, 10) float32, in the order of the data set
    labels: np.ndarray  # (n,) uint8

    def __str__(self) -> str:
        return f"{self.accuracy:.2%}, {self.errors:,} errors of {len(self.labels):,}, loss {self.loss:.4f}"

    @property
    def predictions(self) -> np.ndarray:
        """Predicted digits ``(n,)`` int64."""
        return self.logits.argmax(axis=1)

    @property
    def confidences(self) -> np.ndarray:
        """Softmax probabilities ``(n,)`` float64 that the network itself assigns to its predictions."""
        shifted = self.logits.astype(np.float64) - self.logits.max(axis=1, keepdims=True)
        return 1 / np.exp(shifted).sum(axis=1)

    @property
    def errors(self) -> int:
        """Number of misclassified images."""
        return int((self.predictions != self.labels).sum())

    @property
    def accuracy(self) -> float:
        """The share of the images that are classified correctly, from 0 to 1."""
        return 1 - self.errors / len(self.labels)

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats; NaN if a logit is NaN."""
        with np.errstate(invalid="ignore"):  # infinite logits give NaN, which says enough
            shifted = self.logits.astype(np.float64) - self.logits.max(axis=1, keepdims=True)
        log_likelihood = shifted[np.arange(len(shifted)), self.labels] - np.log(np.exp(shifted).sum(axis=1))
        return float(-log_likelihood.mean())

    @property
    def confusion(self) -> np.ndarray:
        """Counts ``(10, 10)`` int64: rows are digits, columns are predictions."""
        return np.bincount(self.labels.astype(np.int64) * 10 + self.predictions, minlength=100).reshape(10, 10)


class Predictor:
    """A hybridized forward pass over data that resides on every context; it can be run repeatedly.

    It is valid for the current weights: whether later changes take effect depends on the operators in use. ``dtype``
    is "float32", "bfloat16" (CPUs), "float16" (GPUs), "auto" (the faster one), or "int8" with ``calibration`` images.
    """

    def __init__(
        self,
        net: mx.gluon.HybridBlock,
        dataset: Dataset,
        ctx: Placement = None,
        batch_size: int = 500,
        dtype: str = "float32",
        calibration: Dataset | None = None,
    ) -> None:
        if batch_size < 1:
            raise ZooError(f"the batch size must be at least 1, not {batch_size}")
        self._dataset = dataset
        self.execution = Execution.of(net, ctx, dtype)
        self._data = DeviceDataset(dataset, self.execution.contexts)
        self._batch_size = batch_size
        lowered = _lowered(heads.logits_of(net), self.execution, calibration)
        self._step = CachedGraph(
            steps.prediction(lowered, self.execution, dataset.scale),
            lowered.collect_params(),
            {steps.IMAGES: self._data.images},
            (steps.INDEX,),
            # With static shapes, some of MXNet's int8 operators get arrays in layouts that they cannot read.
            static_shape=self.execution.dtype != INT8,
        )
        self._step.restore_plain_layout()

    def run(self, order: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the logits ``(batch, 10)`` float32 of the images at ``order``, batch by batch."""
        for shards in lagging(self._enqueue(order)):
            yield np.concatenate([shard.asnumpy() for shard in shards])

    def evaluate(self, on_batch: Callable[[int], object] = lambda images: None) -> Evaluation:
        """Predict the whole data set; ``on_batch`` is called with the number of images in each batch."""
        logits = []
        for batch in self.run(np.arange(len(self._dataset))):
            logits.append(batch)
            on_batch(len(batch))
        return Evaluation(np.concatenate(logits), self._dataset.labels)

    def _enqueue(self, order: np.ndarray) -> Iterator[list[mx.nd.NDArray]]:
        for _, shards in self._data.batches(order, self._batch_size):
            yield [self._step(device_index, *shard)[0] for device_index, shard in enumerate(shards)]


def _lowered(net: mx.gluon.HybridBlock, execution: Execution, calibration: Dataset | None) -> mx.gluon.HybridBlock:
    if execution.dtype != INT8:
        return lowering.for_inference(net, execution)
    if calibration is None:
        raise ZooError("int8 needs images to calibrate with")
    return quantize(net, calibration.images, calibration.scale)


def evaluate(
    net: mx.gluon.HybridBlock,
    data: Dataset,
    ctx: Placement = None,
    batch_size: int = 500,
    progress: bool | None = None,
) -> Evaluation:
    """Evaluate ``net`` on ``data``: accuracy, loss and confusion matrix.

    ``ctx`` None keeps the network where it is. Runs ``batch_size`` images at a time.
    ``progress`` shows a progress bar on stderr if this takes more than a second; None shows it on terminals and in
    notebooks.
    """
    predictor = Predictor(net, data, place(net, ctx), batch_size)
    with progress_bar(progress, total=len(data), unit="img", desc="evaluating", delay=1) as bar:
        return predictor.evaluate(bar.update)


def place(net: mx.gluon.HybridBlock, ctx: Placement, dtype: str = FLOAT32) -> Execution:
    """Move the parameters of ``net`` to ``ctx`` if they are elsewhere; None keeps them where they are.

    Returns its execution there in ``dtype``. Raises :class:`ZooError` for networks that cannot be trained here.
    """
    parameters = net.collect_params()
    try:
        current = next(iter(parameters.values())).list_ctx()
    except (RuntimeError, StopIteration):
        raise ZooError("the network is not initialized: call net.initialize() before training it") from None
    for parameter in parameters.values():
        if parameter.grad_req != "null" and np.dtype(parameter.dtype) != np.float32:
            raise ZooError(
                f"the network's parameters must be float32, and {parameter.name} is {np.dtype(parameter.dtype)}: "
                "to compute in another dtype, set the dtype of a recipe or a Predictor"
            )
    check_interface(net)
    outputs = net(mx.nd.zeros((1, *INPUT_SHAPE), ctx=current[0]))  # also draws weights whose shapes were unknown
    if outputs.shape != (1, 10):
        raise ZooError(f"the network must put out 10 logits for an image, (1, 10), and puts out {outputs.shape}")
    execution = Execution.of(net, current if ctx is None else ctx, dtype)
    if list(execution.contexts) != current:
        parameters.reset_ctx(list(execution.contexts))
    return execution
