"""The hard images: the same on every machine, harder for a network and still digits."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

import zoo
from zoo.data.corruptions import CORRUPTIONS

HASHES = {
    "shift-2": "f2285e9ea3394dd2",
    "shift-4": "de414f8986a6597d",
    "rotation-15": "dc4e0bd899d2cbb3",
    "rotation-30": "4e9179db58ce83a5",
    "noise-50": "f00d0cbe97fc3c05",
    "noise-100": "7519ac6b60268cbb",
    "blur-1": "cba6b200e4d1b64e",
    "blur-2": "2bfccecc1f79ce0e",
    "contrast-50": "04adac16e197d5f0",
    "contrast-25": "327f98a1846f19df",
    "occlusion-8": "97cc1591cefafacf",
    "occlusion-12": "d51bb9daf7524b2c",
}  # of SHA-256, the first 16 digits


def test_every_corruption_is_pinned():
    assert list(CORRUPTIONS) == list(HASHES)


@pytest.mark.parametrize("name", CORRUPTIONS.names())
def test_the_corrupted_images_are_the_same_everywhere(name: str, mnist):
    before = hashlib.sha256(mnist.test.images).hexdigest()
    corrupted = zoo.corrupt(mnist.test, name)
    assert corrupted.images.shape == (10_000, 28, 28) and corrupted.images.dtype == np.uint8
    assert hashlib.sha256(corrupted.images).hexdigest()[:16] == HASHES[name]
    assert hashlib.sha256(mnist.test.images).hexdigest() == before
    assert (corrupted.labels == mnist.test.labels).all() and name in corrupted.source


@pytest.mark.parametrize("name", CORRUPTIONS.names())
def test_a_part_is_corrupted_as_in_the_whole(name: str, mnist):
    part = zoo.corrupt(mnist.test[:101], name)
    assert (part.images == zoo.corrupt(mnist.test[:500], name).images[:101]).all()


@pytest.fixture
def spot() -> zoo.Dataset:
    """A white square of 4 by 4 pixels in the middle, many times."""
    images = np.zeros((400, 28, 28), np.uint8)
    images[:, 12:16, 12:16] = 255
    return zoo.Dataset(images, np.zeros(400, np.uint8))


@pytest.mark.parametrize("pixels", [2, 4])
def test_a_shift_moves_every_pixel_that_far(pixels: int, spot):
    shifted = zoo.corrupt(spot, f"shift-{pixels}").images
    rows, columns = shifted.max(axis=2).argmax(axis=1) - 12, shifted.max(axis=1).argmax(axis=1) - 12
    assert (shifted.sum(axis=(1, 2), dtype=int) == 16 * 255).all()
    steps = {(down * pixels, right * pixels) for down in (-1, 0, 1) for right in (-1, 0, 1)} - {(0, 0)}
    assert set(zip(rows, columns)) == steps


def test_a_rotation_turns_about_the_centre_both_ways():
    bar = np.zeros((100, 28, 28), np.uint8)
    bar[:, 2:26, 13:15] = 255
    turned = zoo.corrupt(zoo.Dataset(bar, np.zeros(100, np.uint8)), "rotation-30").images
    y, x = np.mgrid[:28, :28] - 13.5
    slopes = {round(float(np.degrees(np.arctan2((image * x * y).sum(), (image * y * y).sum())))) for image in turned}
    assert slopes == {-30, 30}
    assert np.abs(turned.sum(axis=(1, 2), dtype=int) / bar[0].sum(dtype=int) - 1).max() < 0.02


def test_noise_has_the_deviation_it_promises():
    grey = zoo.Dataset(np.full((500, 28, 28), 128, np.uint8), np.zeros(500, np.uint8))
    noisy = zoo.corrupt(grey, "noise-50").images.astype(float) - 128
    assert abs(noisy.std() - 50) < 2 and abs(noisy.mean()) < 1
    assert abs(np.corrcoef(noisy[0].ravel(), noisy[1].ravel())[0, 1]) < 0.1


def test_blur_keeps_the_ink_and_spreads_it_as_promised(spot):
    y = np.mgrid[:28, :28][0] - 13.5
    for pixels in (1, 2):
        blurred = zoo.corrupt(spot, f"blur-{pixels}").images[0].astype(float)
        assert abs(blurred.sum() / (16 * 255) - 1) < 0.02
        assert abs((blurred * y**2).sum() / blurred.sum() - 1.25 - pixels**2) < 0.1 * pixels**2


def test_contrast_shrinks_about_the_middle(spot):
    assert set(np.unique(zoo.corrupt(spot, "contrast-50").images)) == {64, 191}
    assert set(np.unique(zoo.corrupt(spot, "contrast-25").images)) == {96, 159}


@pytest.mark.parametrize("side", [8, 12])
def test_occlusion_hides_a_square_that_is_anywhere(side: int):
    white = zoo.Dataset(np.full((2000, 28, 28), 255, np.uint8), np.zeros(2000, np.uint8))
    hidden = zoo.corrupt(white, f"occlusion-{side}").images == 0
    assert (hidden.sum(axis=(1, 2)) == side**2).all()
    assert hidden.any(axis=0).all()  # every pixel's turn comes


def test_an_unknown_corruption_is_answered_with_close_ones(mnist):
    with pytest.raises(zoo.UnknownName, match="no corruption 'blur': did you mean blur-"):
        zoo.corrupt(mnist.test, "blur")
