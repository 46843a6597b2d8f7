"""Motion: a velocity for every place, and where it takes what is there."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from frame_forecast.data.scenes.draws import Draws

_POINTS = 33  # a side, that motion is worked out for; lines between them
_FASTEST = 6.0  # pixels a frame
_STILL = 0.1  # share of what does not drift
_WAVES = 2


@dataclass(frozen=True)
class Flow:
    """A velocity field, the same in every frame but for its pace.

    Places are ``(x, y)`` in pixels from the middle of the frame.

    Args:
        drift: ``(2,)``, pixels a frame.
        matrix: ``(2, 2)``, what a frame adds for each pixel of distance from the middle: rotation, zoom, shear.
        waves: ``(J, 2)`` wave vectors of the deformation, radians a pixel.
        phases: ``(J,)``.
        swings: ``(J, 2)``, their largest velocities, pixels a frame.
        pace: ``(T,)``, how far the field is followed from the frame before, in frames; 0 for the first.
        shake: ``(T, 2)``, where the camera is, in pixels beside its place.
    """

    drift: np.ndarray
    matrix: np.ndarray
    waves: np.ndarray
    phases: np.ndarray
    swings: np.ndarray
    pace: np.ndarray
    shake: np.ndarray

    def velocity(self, places: np.ndarray) -> np.ndarray:
        """Pixels a frame ``(N, 2)`` at these places ``(N, 2)`` at a pace of 1."""
        steady = places @ self.matrix.T + self.drift
        return steady + np.cos(places @ self.waves.T + self.phases) @ self.swings

    def origins(self, places: np.ndarray) -> np.ndarray:
        """Where what is at these places ``(N, 2)`` in each frame was in the first: ``(T, N, 2)``.

        The field is steady, so going back from frame ``t`` is a step back and then what frame ``t - 1`` did.
        """
        origins = np.empty((len(self.pace), *places.shape))
        now = places
        for t, pace in enumerate(self.pace):
            if pace != 0:
                half = now - 0.5 * pace * self.velocity(now)
                now = now - pace * self.velocity(half)  # the midpoint rule
            origins[t] = now
        return origins + self.shake[:, None]


def draw_speed(draws: Draws) -> float:
    """Pixels a frame: a tenth rests, three quarters stay below 3."""
    return 0.0 if draws.chance(_STILL) else _FASTEST * draws.unit() ** 2.5


def draw_pace(draws: Draws, frames: int) -> np.ndarray:
    """How far motion goes on in each frame ``(T,)``: evenly, faster and faster, slower, or back and forth."""
    t = np.arange(frames)
    kind, change, period, phase = draws.unit(), draws.between(-0.9, 0.9), draws.between(8, 40), draws.unit()
    pace = np.ones(frames)
    if kind < 0.25:
        pace += change * (2 * t / frames - 1)
    elif kind < 0.35:
        pace = np.cos(2 * math.pi * (t / period + phase))
    pace[0] = 0.0
    return pace


def draw_shake(draws: Draws, frames: int, share: float) -> np.ndarray:
    """Where the camera is in each frame ``(T, 2)``, that share of the time not at rest.

    Each axis swings at two rates that never meet.
    """
    shaken, size, t = draws.chance(share), draws.ratio(0.1, 1.5), np.arange(frames)[:, None]
    rates = np.array([[draws.between(0.3, 3.0) for _ in range(2)] for _ in range(2)])
    phases = np.array([[draws.between(0, 2 * math.pi) for _ in range(2)] for _ in range(2)])
    path = size / 2 * (np.sin(rates[0] * t + phases[0]) + np.sin(rates[1] * t + phases[1]))
    return path if shaken else np.zeros((frames, 2))


def draw_flow(draws: Draws, size: int, frames: int, liveliness: float = 1.0, shaken: float = 0.0) -> Flow:
    """A flow: drift, in half of all cases rotation, zoom and shear, in half of all cases deformation.

    Args:
        liveliness: of all but the drift, 1 = up to 0.05 radians, 2 % zoom, 1 % shear and 1.2 pixels a frame.
        shaken: the share of clips whose camera shakes.
    """
    drift = draws.direction() * draw_speed(draws)
    turned, turn, zoom, shear, skew = draws.chance(0.5), *(draws.between(-1, 1) for _ in range(4))
    matrix = 0.02 * zoom**3 * np.eye(2) + 0.05 * turn**3 * np.array([[0.0, -1.0], [1.0, 0.0]])
    matrix = matrix + 0.01 * np.array([[shear, skew], [skew, -shear]]) ** 3
    bent, strength = draws.chance(0.5), draws.between(0, 1.2)
    waves = np.stack([draws.direction() * (2 * math.pi / (size * draws.between(0.7, 2))) for _ in range(_WAVES)])
    phases = np.array([draws.between(0, 2 * math.pi) for _ in range(_WAVES)])
    swings = np.stack([draws.direction() * (strength / _WAVES) for _ in range(_WAVES)])
    return Flow(
        drift,
        matrix * (liveliness * turned),
        waves,
        phases,
        swings * (liveliness * bent),
        draw_pace(draws, frames),
        draw_shake(draws, frames, shaken),
    )


def grid_points(size: int) -> np.ndarray:
    """Places all over a frame ``(N, 2)``, corners included, for `spread`."""
    points = min(_POINTS, size)
    line = np.linspace(-(size - 1) / 2, (size - 1) / 2, points)
    x, y = np.meshgrid(line, line)
    return np.stack([x, y], axis=-1).reshape(-1, 2)


def spread(at_points: np.ndarray, size: int, device: torch.device) -> Tensor:
    """Values ``(T, N, 2)`` of the `grid_points` for every pixel, on lines between them: ``(T, size, size, 2)``."""
    T, N, _ = at_points.shape
    points = math.isqrt(N)
    coarse = torch.as_tensor(at_points.transpose(0, 2, 1), dtype=torch.float32, device=device)
    fine = F.interpolate(coarse.reshape(T, 2, points, points), (size, size), mode="bilinear", align_corners=True)
    return fine.permute(0, 2, 3, 1).contiguous()
