"""Verify that other programs compute from an ONNX file what MXNet computes from the network."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path

import numpy as np

from export import feeding, inference
from export.expected import Batches, Expected
from export.onnx import reading
from export.parity import Verification
from export.runtimes import RUNTIMES, child, process
from zoo.console import mxnet_reason
from zoo.data import Dataset
from zoo.errors import ZooError
from zoo.graph.heads import LOGITS, output_kind
from zoo.graph.ir import INPUTS
from zoo.io import private, temporary
from zoo.runtime import mx

_BATCH = 100  # of MXNet, where no runtime has to be given the same


def verify(
    path: str | os.PathLike[str],
    net: mx.gluon.HybridBlock,
    data: Dataset | np.ndarray | Mapping[str, np.ndarray],
    seconds: float = 60,
) -> Verification:
    """Run ``data`` through ``net`` and through the ONNX file ``path`` in every installed runtime.

    ``data`` is a data set, or an array ``(n, *input_shape)`` as the file takes it: float32, uint8 if it takes pixels
    from 0 to 255, or integers. For a file with several inputs, it maps their names to such arrays, and ``net`` is
    called with these in the order of the file. The file must pass ONNX's full checker; weights may lie beside it.

    Each runtime has a process of its own; one that crashes counts as unable to run the file. The first batch has one
    item, the second an odd number, and the rest are large. A runtime stops after ``seconds``, so a slow one sees fewer
    items; one that does not stop is ended two minutes later. Raises :class:`ZooError` for a file that is not like
    this, and for data that the file or the network does not take.
    """
    return compare(Path(path), str(path), net, data, seconds)


def compare(
    path: Path,
    origin: str,
    net: mx.gluon.HybridBlock,
    data: Dataset | np.ndarray | Mapping[str, np.ndarray],
    seconds: float,
) -> Verification:
    """Do what :func:`verify` does; messages call the file ``origin``."""
    if not isinstance(seconds, Real) or not seconds >= 0:
        raise ZooError(f"the time for a runtime must be a number of seconds, at least 0, not {seconds}")
    with private.folder() as folder:  # what was checked runs, whatever becomes of the file that was read
        copy, given = folder / "model", folder / "batches"
        copy.mkdir()
        given.mkdir()
        model = reading.read(path, origin, copy)
        arrays = feeding.arrays_for(model, data)
        batches = list(feeding.batches(arrays, model.batch))
        outputs = _finite(
            _outputs(net, batches, [each.name for each in model.inputs]), model.softmax and output_kind(net) == LOGITS
        )
        for number, batch in enumerate(batches):
            child.save(given / f"{number}.npz", batch)
        expected = Expected(
            outputs, [len(batch[0]) for batch in batches], len(arrays[0]),
            labels=data.labels if isinstance(data, Dataset) else None, int8=model.int8,
        )  # fmt: skip
        parities, missing = [], []
        for runtime in RUNTIMES:
            version = runtime.find()
            if version is None:
                missing.append(runtime.name)
                continue
            with temporary.folder("answers-", parent=folder) as answers:
                try:
                    computed = process.run(runtime, model.path, given, answers, seconds)
                except process.Refusal as refusal:
                    parities.append(expected.refused(runtime, version, str(refusal)))
                else:
                    parities.append(expected.compared(runtime, version, computed))
    return Verification(expected.items, expected.accuracy, tuple(parities), tuple(missing))


def expected_outputs(net: mx.gluon.HybridBlock, items: np.ndarray) -> list[np.ndarray]:
    """Return the outputs of ``net`` for ``items``, computed in batches; uint8 pixels are scaled to [0, 1]."""
    parts = [[items[start : start + _BATCH]] for start in range(0, len(items), _BATCH)]
    return [np.concatenate(each) for each in zip(*_outputs(net, parts))]


def _finite(batches: Batches, softmax: bool) -> Batches:
    """Return ``batches`` of outputs, the first after a softmax if the file has one; refuses what is not finite."""
    if softmax:
        batches = [[mx.nd.array(first).softmax().asnumpy(), *others] for first, *others in batches]
    if not all(np.isfinite(each).all() for outputs in batches for each in outputs):
        raise ZooError("the network's outputs for these data are not finite, so that nothing can be compared with them")
    return batches


def _outputs(net: mx.gluon.HybridBlock, batches: Batches, names: Sequence[str] = INPUTS) -> Batches:
    if not isinstance(net, mx.gluon.HybridBlock):
        raise ZooError(f"the network must be a HybridBlock of Gluon's, and is of the type {type(net).__name__}")
    if len(batches[0]) == 1 and batches[0][0].dtype in (np.float32, np.uint8):
        inference.check_takes(net, inference.state(net), {inference.INPUT: batches[0][0].shape[1:]})
    found: Batches = []
    try:
        forward = inference.forward(net, names if len(names) > 1 else INPUTS)
        for batch in batches:
            found.append(forward(*(feeding.scaled(each) if each.dtype == np.uint8 else each for each in batch)))
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:  # MXNet's own error is a RuntimeError
        count, reason = len(batches[len(found)][0]), mxnet_reason(error)
        raise ZooError(f"the network cannot compute {count} of these items: {reason}") from None
    return found
