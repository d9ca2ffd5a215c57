"""Augmented images: exact if the deformation is, the same on every device, and drawn as the settings say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import zoo
from zoo import kernels
from zoo.errors import ZooError
from zoo.graph.ir import Graph
from zoo.recipes import augmentation
from zoo.runtime import mx
from zoo.training import TrainingSession, steps

WILD = zoo.Augmentation(shift=4, rotation=30, scale=0.3, shear=0.3, elastic=2)
COORDINATES = np.stack(np.meshgrid(np.arange(28.0), np.arange(28.0)))  # x and y of every pixel


def deformed(images: np.ndarray, points: np.ndarray, by_kernel: bool) -> np.ndarray:
    """Deform ``images`` (n, 28, 28) uint8 by ``points``, as the training step does."""
    graph = Graph.of(mx.sym.identity(mx.sym.var("data")))
    steps._read_pixels(graph, 1 / 255, deform=True)
    symbol = graph.symbol() if by_kernel else steps._deformed(steps._pixels(mx.sym.var(steps.INDEX), 1 / 255))
    inputs = {
        steps.IMAGES: mx.nd.array(images[:, None], dtype="uint8"),
        steps.INDEX: mx.nd.arange(len(images), dtype="int32"),
        steps.POINTS: mx.nd.array(points),
        steps.BASIS: mx.nd.array(augmentation.basis()),
    }
    return symbol.bind(mx.cpu(), inputs).forward()[0].asnumpy()[:, 0]


@pytest.fixture(params=["kernel", "MXNet"])
def by_kernel(request) -> bool:
    if request.param == "kernel" and not kernels.available().usable:
        pytest.skip(kernels.available().reason)
    return request.param == "kernel"


def points_of(matrix: list[list[float]], shift: tuple[float, float] = (0, 0)) -> np.ndarray:
    """The control points of an affine map about the centre of the image."""
    grid = np.stack(np.meshgrid(augmentation._PLACES, augmentation._PLACES)).reshape(2, -1) - 13.5
    return (np.array(matrix) @ grid + 13.5 + np.array(shift)[:, None]).reshape(1, 2, 6, 6).astype(np.float32)


@pytest.mark.parametrize(
    "points, expected",
    [
        (points_of([[1, 0], [0, 1]]), lambda image: image),
        (points_of([[1, 0], [0, 1]], (3, -1)), lambda image: np.roll(image, (1, -3), (0, 1))),  # within their margin
        (points_of([[0, 1], [-1, 0]]), lambda image: np.rot90(image, -1)),
        (points_of([[-1, 0], [0, 1]]), np.fliplr),
    ],
    ids=["as it is", "shifted", "rotated", "mirrored"],
)
def test_deformations_that_pixels_show_exactly(points, expected, by_kernel: bool, mnist):
    images = mnist.train.images[:8]
    found = deformed(images, np.repeat(points, 8, axis=0), by_kernel)
    assert np.abs(found - [expected(image) / 255 for image in images]).max() < 1e-4


def test_kernel_and_mxnet_deform_alike(mnist):
    if not kernels.available().usable:
        pytest.skip(kernels.available().reason)
    points = WILD.draw(np.random.default_rng(0), 200)
    assert points.dtype == np.float32
    ours, theirs = (deformed(mnist.train.images[:200], points, by_kernel) for by_kernel in (True, False))
    assert np.abs(ours - theirs).max() < 1e-4
    assert np.abs(ours - mnist.train.images[:200] / 255).mean() > 0.05  # something happened


def test_affine_maps_stay_within_their_settings():
    """Measured at the pixels: where the centre moves, and how the sides change in length and angle."""
    settings = zoo.Augmentation(shift=3, rotation=20, scale=0.2, shear=0.1)
    basis = augmentation.basis().astype(np.float64)
    points = settings.draw(np.random.default_rng(0), 2000).astype(np.float64)
    found = np.einsum("jy,najk,kx->nayx", basis, points, basis)
    centre = found[:, :, 13:15, 13:15].mean(axis=(2, 3)) - 13.5
    assert np.abs(centre).max() <= 3 and np.abs(centre).max() > 2.9 and np.abs(centre.mean(axis=0)).max() < 0.15
    across = (found[:, :, 0, -1] - found[:, :, 0, 0]) / 27
    length, angle = np.linalg.norm(across, axis=1), np.degrees(np.arctan2(across[:, 1], across[:, 0]))
    assert length.min() >= 0.8 - 1e-3 and length.max() <= 1.2 + 1e-3 and length.std() > 0.1
    assert np.abs(angle).max() <= 20 + 1e-2 and angle.std() > 10


def test_elastic_deformations_are_smooth():
    points = zoo.Augmentation(elastic=2).draw(np.random.default_rng(0), 500).astype(np.float64)
    basis = augmentation.basis().astype(np.float64)
    moved = np.einsum("jy,najk,kx->nayx", basis, points, basis) - COORDINATES
    assert 0.5 < moved.std() < 2  # splines average over neighbouring control points
    assert np.abs(np.diff(moved, axis=3)).std() < 0.3 * moved.std()


def test_augmented_training_is_reproducible_and_learns(mnist):
    mild = zoo.Augmentation(shift=1, rotation=10)
    recipe = zoo.Recipe(epochs=1, batch_size=100, learning_rate=0.1, augmentation=mild, seed=3)

    def trained(recipe: zoo.Recipe):
        net = zoo.get_model("mlp", seed=0)
        return zoo.fit(net, mnist.train[:6000], recipe=recipe), zoo.parameter_hash(net)

    (history, first), (_, again), (_, other) = (
        trained(each) for each in (recipe, recipe, replace(recipe, augmentation=None))
    )
    assert first == again != other
    assert history.records[0].train_accuracy > 0.4  # 60 steps


def test_augmented_steps_are_the_same_with_mxnet_s_own_operators(mnist, monkeypatch):
    recipe = zoo.Recipe(batch_size=50, augmentation=WILD, label_smoothing=0.1, dtype="float32")

    def losses() -> list[float]:
        session = TrainingSession(zoo.get_model("lenet5", seed=0), mnist.train[:200], recipe, [mx.cpu()])
        return [result.loss for result in session.run(np.arange(200))]

    ours = losses()
    monkeypatch.setattr(kernels, "available", lambda: kernels.Kernels(False, False, "switched off"))
    assert losses() == pytest.approx(ours, rel=1e-4)


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"rotation": -5}, "rotation"),
        ({"shift": "far"}, "shift"),
        ({"scale": 1.5}, "scale"),
        ({"elastic": float("nan")}, "elastic"),
    ],
)
def test_impossible_settings_are_refused(settings: dict, words: str):
    with pytest.raises(ZooError, match=words):
        zoo.Augmentation(**settings)
