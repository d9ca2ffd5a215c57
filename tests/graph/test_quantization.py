"""Networks in int8, with and without the instructions that add int8 products in 32 bits."""

from __future__ import annotations

import numpy as np
import pytest

import zoo
from zoo.graph import quantization
from zoo.runtime import mx


@pytest.mark.parametrize("exact", [True, False], ids=["8 bits", "7 bits"])
@pytest.mark.parametrize("name", ["mlp", "lenet5", "cnn7"])
def test_pretrained_digits_stay_the_same(name: str, exact: bool, mnist, monkeypatch):
    if exact and not quantization.is_exact():
        pytest.skip("oneDNN saturates on this processor")
    monkeypatch.setattr(quantization, "is_exact", lambda: exact)
    net, images = zoo.get_model(name, pretrained=True), mnist.test.images[:500]
    pixels = mx.nd.array(images[:, None] / np.float32(255))
    found = quantization.quantize(net, mnist.train.images[-200:])(pixels).asnumpy()
    expected = net(pixels).asnumpy()
    assert np.abs(found - expected).max() <= 0.2 * np.abs(expected).max()
    assert np.mean(found.argmax(1) == expected.argmax(1)) >= 0.99


def test_no_sum_saturates_whatever_the_weights_are(mnist):
    """Weights and pixels at their largest, so that pairs of products overflow 16 bits."""
    net = mx.gluon.nn.HybridSequential()
    net.add(
        mx.gluon.nn.Conv2D(8, 3, use_bias=False, activation="relu"),
        mx.gluon.nn.Dense(32, use_bias=False),  # of unsigned numbers
        mx.gluon.nn.Dense(10, use_bias=False),  # of signed ones
    )
    net.initialize(mx.init.One())
    net(mx.nd.zeros((1, 1, 28, 28)))
    white = np.full((8, 28, 28), 255, np.uint8)
    pixels = mx.nd.array(white[:, None] / np.float32(255))
    found = quantization.quantize(net, white)(pixels).asnumpy()
    np.testing.assert_allclose(found, net(pixels).asnumpy(), rtol=0.02)
