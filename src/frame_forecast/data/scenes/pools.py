"""Noise fields and outlines, made once and then picked from: a clip costs no Fourier transform."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from frame_forecast.data.scenes.draws import Draws
from frame_forecast.philox import stream_key, uniform

FIELDS = 24  # an octave
OUTLINES = 96
OUTLINE_REACH = 1.5  # radii, from the middle of an outline to the edges of its picture
_OUTLINE_DRAWS = 16
_HARMONICS = 5  # of a blob's outline
_MOST_CORNERS = 7
_ANGLES = 4096  # that a blob's outline is looked up for


class Fields:
    """Gaussian noise on a torus, octave by octave.

    Octave ``k`` holds waves of about ``side / 2**(k + 0.5)`` pixels and has unit variance. A sum of
    octaves with weights ``2**(k * (1 - exponent))`` has an amplitude spectrum that falls as
    ``frequency**-exponent``.

    Args:
        size: of the frames; the torus has sides of twice that.
        key: names of the stream of random numbers.
        device: where the fields are.
    """

    def __init__(self, size: int, key: tuple[int | str, ...], device: torch.device) -> None:
        self.side = side = 2 * size
        self.octaves = int(math.log2(size))
        vertical, horizontal = np.fft.fftfreq(side) * side, np.fft.rfftfreq(side) * side
        frequency = np.hypot(vertical[:, None], horizontal)
        octave = np.log2(np.maximum(frequency, 0.1))  # the mean, of frequency 0, is far from every octave
        low, high = stream_key(*key, "fields")
        generator = np.random.Generator(np.random.Philox(key=low << 32 | high))
        # (K, N, side + 1, side + 1): the first row and column once more at the end, so that all that is
        # sampled between the last and the first lies inside.
        self.fields = torch.empty((self.octaves, FIELDS, side + 1, side + 1), device=device)
        for k in range(self.octaves):
            band = np.cos(math.pi / 2 * np.minimum(np.abs(octave - (k + 0.5)), 1))
            white = generator.standard_normal((FIELDS, side, side))
            noise = np.fft.irfft2(np.fft.rfft2(white) * band, s=(side, side))
            noise /= noise.std(axis=(1, 2), keepdims=True)
            self.fields[k] = torch.as_tensor(np.pad(noise, ((0, 0), (0, 1), (0, 1)), mode="wrap"))

    def weights(self, exponent: float, first: int, last: int) -> np.ndarray:
        """What to multiply octaves ``first`` to ``last - 1`` by for unit variance in all: ``(last - first,)``."""
        weights = 2.0 ** (np.arange(last - first) * (1 - exponent))
        return weights / np.sqrt(np.square(weights).sum())

    def sample(self, fields: Tensor, places: Tensor) -> Tensor:
        """Values between the pixels of fields, which repeat in both directions for ever.

        Args:
            fields: ``(N, C, side + 1, side + 1)``.
            places: ``(N, H, W, 2)``, x first, in pixels of the fields.

        Returns:
            ``(N, C, H, W)``.
        """
        grid = torch.remainder(places, self.side).mul_(2 / self.side).sub_(1)
        return F.grid_sample(fields, grid, padding_mode="border", align_corners=True)


def outlines(size: int, key: tuple[int | str, ...]) -> np.ndarray:
    """Discs, blobs and polygons: for each pixel how far inside it is, in radii; below 0 is outside.

    Args:
        size: height and width of the pictures, which reach `OUTLINE_REACH` radii to each side.
        key: names of the stream of random numbers.

    Returns:
        float32 ``(OUTLINES, size, size)``, at most 1.
    """
    line = np.linspace(-OUTLINE_REACH, OUTLINE_REACH, size)
    x, y = np.meshgrid(line, line)
    rows = uniform(np.arange(OUTLINES), _OUTLINE_DRAWS, stream_key(*key, "outlines"))
    drawn = [(_disc, _blob, _polygon)[number % 3](Draws(row), x, y) for number, row in enumerate(rows)]
    return np.stack(drawn).astype(np.float32)


def _disc(draws: Draws, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """An ellipse."""
    flat = draws.between(0.4, 1)
    return (1 - np.hypot(x, y / flat)) * flat


def _blob(draws: Draws, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A star-shaped outline with some harmonics; distances are right to first order."""
    angle = np.linspace(-math.pi, math.pi, _ANGLES)
    harmonics = np.arange(2, 2 + _HARMONICS)[:, None]
    sizes = np.array([draws.between(0, 0.5) for _ in harmonics])[:, None] / harmonics
    phases = np.array([draws.between(0, 2 * math.pi) for _ in harmonics])[:, None]
    radius = 1 + (sizes * np.cos(harmonics * angle + phases)).sum(axis=0)
    radius /= radius.max()
    slope = np.gradient(radius, angle) / radius
    here = np.arctan2(y, x)
    return (np.interp(here, angle, radius) - np.hypot(x, y)) / np.sqrt(1 + np.interp(here, angle, slope) ** 2)


def _polygon(draws: Draws, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A convex polygon: all that is inside of every edge, and where edges meet far out, of the picture."""
    corners = 3 + draws.pick(_MOST_CORNERS - 2)
    turn = 2 * math.pi / corners
    inside = 0.9 * OUTLINE_REACH - np.hypot(x, y)
    for corner in range(corners):
        angle = (corner + draws.between(-0.25, 0.25)) * turn
        distance = draws.between(0.6, 1) * math.cos(math.pi / corners)
        inside = np.minimum(inside, distance - (x * math.cos(angle) + y * math.sin(angle)))
    return inside
