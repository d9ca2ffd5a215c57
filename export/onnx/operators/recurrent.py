"""The fused recurrent operator, and the vector of its parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from export.onnx.graph import Call, Tensor


@dataclass(frozen=True)
class _Mode:
    """A kind of recurrent layer: its ONNX operator, and MXNet's gates in the order in which that keeps them."""

    operator: str
    gates: tuple[int, ...]
    activation: str | None = None


_MODES = {
    "lstm": _Mode("LSTM", (0, 3, 1, 2)),
    "gru": _Mode("GRU", (1, 0, 2)),
    "rnn_relu": _Mode("RNN", (0,), "Relu"),
    "rnn_tanh": _Mode("RNN", (0,), "Tanh"),
}


def rnn(call: Call) -> list[str]:
    """``RNN`` as an LSTM, GRU or RNN for each of its layers."""
    settings = call.settings
    mode, size = _MODES[settings.only("mode", *_MODES)], settings.integer("state_size", 0)
    layers, directions = settings.integer("num_layers", 1), 1 + settings.flag("bidirectional", False)
    settings.ignore("p", "lstm_state_clip_nan")  # dropout is for training; there is no range to clip to
    for key in ("projection_size", "lstm_state_clip_min", "lstm_state_clip_max"):
        settings.only(key, None)
    settings.only("use_sequence_length", False)  # MXNet computes it on GPUs only, as it does clipping
    data, vector, *states = call.inputs
    width = data.shape[2]
    if vector.value is None or not isinstance(width, int):
        raise call.refusal("its parameters are not weights")
    parts = _parameters(vector.value, mode, size, layers, directions, width)
    given = [_by_layer(call, position, layers, directions) for position in range(2, 2 + len(states))]
    before: Tensor | str = data
    ends: list[list[str]] = []  # of every layer, its last states
    for layer, weights in enumerate(parts):
        label = f"{call.name}_layer{layer}"
        names = [call.graph.unique(f"{label}_{suffix}") for suffix in ("steps", "state", "cell")[: 1 + len(states)]]
        constants = [call.constant(f"layer{layer}_{suffix}", part) for suffix, part in zip("WRB", weights)]
        begins = [each[layer] for each in given]
        call.graph.add(
            mode.operator, [before, *constants, *(["", *begins] if any(begins) else [])], names, hidden_size=size,
            direction="bidirectional" if directions == 2 else None,
            activations=[mode.activation] * directions if mode.activation else None,
            linear_before_reset=1 if mode.operator == "GRU" else None,
        )  # fmt: skip
        steps, *last = names
        ends.append(last)
        suffix = f"layer{layer}" if layer < layers - 1 else ""
        if directions == 1:
            before = call.add("Squeeze", steps, call.integers("direction", [1]), suffix=suffix)
        else:  # from (T, 2, N, size) to (T, N, 2 · size)
            turned = call.add("Transpose", steps, suffix=f"layer{layer}_turned", perm=[0, 2, 1, 3])
            before = call.add("Reshape", turned, call.integers("joined", [0, 0, 2 * size]), suffix=suffix)
    if not settings.flag("state_outputs", False):
        return [call.name]
    if layers == 1:
        return [call.name, *ends[0]]
    labels = ("states", "cells")
    return [call.name, *(call.add("Concat", *each, suffix=label, axis=0) for each, label in zip(zip(*ends), labels))]


def _parameters(
    vector: np.ndarray, mode: _Mode, size: int, layers: int, directions: int, width: int
) -> Iterator[list[np.ndarray]]:
    """Yield ONNX's W, R and B of every layer; ``vector`` has the weights of all layers, and then their biases."""
    rows, start, weights = len(mode.gates) * size, 0, []

    def take(*shape: int) -> np.ndarray:
        nonlocal start
        part = vector[start : start + int(np.prod(shape))]
        start += part.size
        return part.reshape(len(mode.gates), size, *shape[1:])[list(mode.gates)].reshape(shape)

    for layer in range(layers):
        widths = (width if layer == 0 else directions * size, size)
        weights.append([[take(rows, each) for each in widths] for _ in range(directions)])
    for pairs in weights:
        biases = [np.concatenate([take(rows), take(rows)]) for _ in range(directions)]
        yield [np.stack(each) for each in (*zip(*pairs), biases)]


def _by_layer(call: Call, position: int, layers: int, directions: int) -> list[Tensor | str]:
    """Return an initial state for every layer, without a name if it is 0: ONNX begins with 0 if it is left out."""
    if call.node.inputs[position][0].operator in ("_zeros", "_npi_zeros"):
        return [""] * layers
    state = call.inputs[position]
    if layers == 1:
        return [state]
    names = [call.graph.unique(f"{call.name}_begin{layer}") for layer in range(layers)]
    call.graph.add("Split", [state, call.integers("sizes", [directions] * layers)], names, axis=0)
    return [*names]


def parameters(call: Call) -> str:
    """``_rnn_param_concat`` of weights, which are then one weight."""
    call.settings.ignore("num_args")
    axis = call.axis(call.settings.integer("dim", 1))
    parts = [each.value for each in call.inputs if each.value is not None]
    if len(parts) < len(call.inputs):
        raise call.refusal("its parts are not weights")
    return call.constant("value", np.concatenate(parts, axis))


OPERATORS: dict[str, Callable[[Call], str | list[str]]] = {
    "RNN": rnn,
    "_rnn_param_concat": parameters,
}
