"""A transformer's encoder made of GluonNLP's operators computes the same in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import networks
import pytest

import export
import zoo
from zoo.runtime import mx

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from agreement import assert_agrees

S, V, nn = mx.sym, mx.sym.var, mx.gluon.nn
STEPS, WIDTH, HEADS = 6, 8, 2


class Layer(mx.gluon.HybridBlock):
    """A layer of BERT's encoder, over (batch, steps, width) and the number of words in each text."""

    def __init__(self) -> None:
        super().__init__()
        self.project, self.attend = nn.Dense(3 * WIDTH, flatten=False), nn.Dense(WIDTH, flatten=False)
        self.widen, self.narrow = nn.Dense(4 * WIDTH, flatten=False), nn.Dense(WIDTH, flatten=False)
        self.first, self.second, self.gelu = nn.LayerNorm(), nn.LayerNorm(), nn.GELU()

    def hybrid_forward(self, F, x, lengths):
        projections = F.swapaxes(self.project(x), 0, 1)
        scores = F.contrib.interleaved_matmul_selfatt_qk(projections, heads=HEADS)
        shared = F.broadcast_axis(F.expand_dims(lengths, axis=1), axis=1, size=HEADS * STEPS)
        weights = F.softmax(scores, F.reshape(shared, shape=(-1, STEPS)), use_length=True)
        attended = F.contrib.interleaved_matmul_selfatt_valatt(projections, weights, heads=HEADS)
        x = self.first(x + self.attend(F.swapaxes(attended, 0, 1)))
        return self.second(x + self.narrow(self.gelu(self.widen(x))))


def encode(F, words, embedding, *layers):
    lengths = F.Cast(F.sum(words > 0, axis=1), dtype="int32")
    x = embedding(words)
    for layer in layers[:-1]:
        x = layer(x, lengths)
    x = F.SequenceMask(F.swapaxes(x, 0, 1), lengths, use_sequence_length=True)
    return layers[-1](F.SequenceLast(x))


def test_an_encoder_over_texts_of_several_lengths(tmp_path: Path):
    layers = [nn.Embedding(10, WIDTH), Layer(), Layer(), nn.Dense(3)]
    net = networks.make(*layers, shape=(STEPS,), function=encode)
    assert_agrees(net, tmp_path / "model.onnx", STEPS, scale=4)


def test_heads_that_do_not_divide_the_projections_are_refused(tmp_path: Path):
    net = networks.of(S.contrib.interleaved_matmul_selfatt_qk(V("data"), heads=4, name="q"), (2, 9))
    with pytest.raises(zoo.ZooError, match="_qk 'q' .* 9 values cannot be divided among 4 heads"):
        export.to_onnx(net, tmp_path / "model.onnx", (2, 9))
