"""Recurrent networks compute the same in ONNX Runtime, with open batches, or are refused by name."""

from __future__ import annotations

from pathlib import Path

import networks
import pytest

import export
import zoo
from zoo.runtime import mx

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from agreement import assert_agrees  # noqa: E402

S, V, nn, rnn = mx.sym, mx.sym.var, mx.gluon.nn, mx.gluon.rnn
LAYERS = {
    "lstm": lambda **settings: rnn.LSTM(5, **settings),
    "gru": lambda **settings: rnn.GRU(5, **settings),
    "relu": lambda **settings: rnn.RNN(5, **settings),
    "tanh": lambda **settings: rnn.RNN(5, activation="tanh", **settings),
}


def stacked() -> rnn.RecurrentCell:
    cells = rnn.HybridSequentialRNNCell()
    cells.add(rnn.LSTMCell(4))
    cells.add(rnn.DropoutCell(0.5))
    cells.add(rnn.GRUCell(3))
    return cells


CELLS = {
    "lstm": lambda: rnn.LSTMCell(4),
    "gru": lambda: rnn.GRUCell(4),
    "rnn": lambda: rnn.RNNCell(4),
    "residual": lambda: rnn.ResidualCell(rnn.GRUCell(6)),
    "stacked": stacked,
    "zoneout": lambda: rnn.ZoneoutCell(rnn.LSTMCell(4), zoneout_outputs=0.2, zoneout_states=0.3),
    "bidirectional": lambda: rnn.BidirectionalCell(rnn.LSTMCell(4), rnn.LSTMCell(4)),
}


@pytest.mark.parametrize("layers, bidirectional", [(1, False), (2, True)])
@pytest.mark.parametrize("kind", LAYERS)
def test_layers_over_words_of_an_open_batch(kind: str, layers: int, bidirectional: bool, tmp_path: Path):
    layer = LAYERS[kind](num_layers=layers, bidirectional=bidirectional, layout="NTC", dropout=0.3)
    net = networks.make(nn.Embedding(10, 6), layer, nn.Dense(3), shape=(7,))
    path = tmp_path / "model.onnx"
    assert_agrees(net, path, 7, opset=21 if bidirectional else 13, scale=9)
    written = onnx.load(str(path)).graph
    assert sum(each.op_type in ("LSTM", "GRU", "RNN") for each in written.node) == layers
    used = {name for node in written.node for name in node.input}
    assert used >= {each.name for each in written.initializer}  # nothing is stored twice


def test_layers_over_an_open_number_of_steps(tmp_path: Path):
    net = networks.make(rnn.LSTM(5, layout="TNC", bidirectional=True), shape=(2, 6))
    assert_agrees(net, tmp_path / "model.onnx", 2, 6)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("layers", [1, 2])
def test_states_are_taken_and_put_out(kind: str, layers: int, tmp_path: Path):
    def run(F, x, layer, begin):
        first = F.Reshape(begin(x), shape=(-1, layers, 5)).swapaxes(0, 1)
        states = [first, first * 2][: 2 if kind == "lstm" else 1]
        steps, last = layer(x, states)
        return [steps, *last]

    net = networks.make(LAYERS[kind](num_layers=layers, layout="NTC"), nn.Dense(5 * layers), shape=(4, 6), function=run)
    assert_agrees(net, tmp_path / "model.onnx", 4, 6)


@pytest.mark.parametrize("kind", CELLS)
def test_unrolled_cells(kind: str, tmp_path: Path):
    def run(F, x, cell):
        outputs, states = cell.unroll(3, x, layout="NTC", merge_outputs=True)
        return [outputs, *states]

    assert_agrees(networks.make(CELLS[kind](), shape=(3, 6), function=run), tmp_path / "model.onnx", 3, 6)


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"projection_size": 3}, "RNN 'lstm[0-9]*_rnn0' .* projection_size=3"),
        ({"state_clip_min": -1, "state_clip_max": 1}, "RNN 'lstm[0-9]*_rnn0' .* lstm_state_clip_min=-1"),
    ],
)
def test_what_onnx_has_no_word_for_is_refused(settings: dict, words: str, tmp_path: Path):
    net = rnn.LSTM(5, layout="NTC", input_size=6, **settings)
    net.initialize()
    with pytest.raises(zoo.ZooError, match=words):
        export.to_onnx(net, tmp_path / "model.onnx", (4, 6))


def test_lengths_and_parameters_that_are_computed_are_refused(tmp_path: Path):
    x = S.Reshape(V("data"), shape=(-1, 1, 6))
    settings = {"state_size": 1, "num_layers": 1, "mode": "rnn_tanh"}
    lengths = S.RNN(x, V("p"), V("h"), sequence_length=V("n"), use_sequence_length=True, name="r", **settings)
    with pytest.raises(zoo.ZooError, match="RNN 'r' .* use_sequence_length=True"):
        export.to_onnx(networks.of(lengths, (4, 6)), tmp_path / "model.onnx", (4, 6))
    computed = S.RNN(x, V("p") * 2, V("h"), name="r", **settings)
    with pytest.raises(zoo.ZooError, match="RNN 'r' .* parameters are not weights"):
        export.to_onnx(networks.of(computed, (4, 6)), tmp_path / "model.onnx", (4, 6))
    joined = S._internal._rnn_param_concat(V("p", shape=(4,)), V("q", shape=(5,)) * 2, dim=0, name="c")
    with pytest.raises(zoo.ZooError, match="_rnn_param_concat 'c' .* parts are not weights"):
        export.to_onnx(networks.of(S.RNN(x, joined, V("h"), **settings), (4, 6)), tmp_path / "model.onnx", (4, 6))
