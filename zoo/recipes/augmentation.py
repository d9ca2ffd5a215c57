"""Random deformations of training images: shift, rotation, scale, shear and elastic deformation.

All of them are a single free-form deformation (Rueckert et al. 1999): a cubic B-spline over a grid of control points
gives the place in the image that each pixel is taken from. The spline reproduces affine maps exactly and turns
independently displaced control points into a smooth elastic deformation, in the spirit of Simard et al. 2003. This
module draws the control points; ``zoo.training.steps`` has the rest computed on the device that holds the images.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from zoo.errors import ZooError

if TYPE_CHECKING:
    import numpy as np

_SIZE, _SPACING = 28, 9  # pixels; the outermost control points lie one spacing outside the image
CONTROL_POINTS = 6  # along each axis
_PLACES = tuple(_SPACING * (number - 1) for number in range(CONTROL_POINTS))  # pixels along each axis
_CENTRE = (_SIZE - 1) / 2


@dataclass(frozen=True)
class Augmentation:
    """How far images are deformed, drawn for each one: the maximum or, for ``elastic``, the standard deviation.

    Shift, rotation, scale and shear are uniform on both sides of no change; pixels from outside the image are 0.
    """

    shift: float = 0.0  # pixels along each axis
    rotation: float = 0.0  # degrees
    scale: float = 0.0  # 0.1: from 0.9 to 1.1 times
    shear: float = 0.0  # 0.1: up to a tenth of the distance from the centre
    elastic: float = 0.0  # pixels: the standard deviation of each control point along each axis

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            try:
                object.__setattr__(self, field.name, float(value))
            except (TypeError, ValueError):
                raise ZooError(f"{field.name} of the augmentation must be a number, not {value!r}") from None
            if not 0 <= getattr(self, field.name) < (180.1 if field.name == "rotation" else _SIZE):
                raise ZooError(f"{field.name} of the augmentation is out of range: {value}")
        if self.scale >= 1:
            raise ZooError(f"scale of the augmentation must be below 1, not {self.scale:g}")

    def __str__(self) -> str:
        given = [f"{field.name} {getattr(self, field.name):g}" for field in fields(self) if getattr(self, field.name)]
        return ", ".join(given) or "none"

    def draw(self, random: np.random.Generator, count: int) -> np.ndarray:
        """Draw control points ``(count, 2, 6, 6)`` float32: the x and y, in pixels, that each is moved to."""
        import numpy as np

        angle = float(np.deg2rad(self.rotation)) * _uniform(random, count)
        shear = self.shear * _uniform(random, count)
        across, down = (1 + self.scale * _uniform(random, count) for _ in range(2))
        cosine, sine = np.cos(angle), np.sin(angle)
        turned = np.stack([cosine, shear * cosine - sine, sine, shear * sine + cosine], axis=1).reshape(count, 2, 2)
        matrix = turned * np.stack([across, down], axis=1)[:, None, :]
        shift = _CENTRE + self.shift * _uniform(random, count, 2)
        places = np.array(_PLACES, np.float32)
        grid = np.stack(np.meshgrid(places, places)).reshape(2, -1) - np.float32(_CENTRE)
        points = (matrix @ grid + shift[:, :, None]).reshape(count, 2, CONTROL_POINTS, CONTROL_POINTS)
        if self.elastic:
            points += self.elastic * random.standard_normal(points.shape, dtype=np.float32)
        return points.astype(np.float32, copy=False)  # settings may be NumPy's numbers, which are wider


def basis() -> np.ndarray:
    """Return the weight of each control point of a line at each of its pixels: ``(6, 28)`` float32."""
    import numpy as np

    weights = np.zeros((CONTROL_POINTS, _SIZE), np.float32)
    for pixel in range(_SIZE):
        segment = min(pixel // _SPACING, CONTROL_POINTS - 4)
        u = pixel / _SPACING - segment
        cubic = ((1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3)
        weights[segment : segment + 4, pixel] = np.array(cubic) / 6
    return weights


def _uniform(random: np.random.Generator, *shape: int) -> np.ndarray:
    """Draw float32 numbers uniformly between -1 and 1."""
    return 2 * random.random(shape, dtype="float32") - 1
