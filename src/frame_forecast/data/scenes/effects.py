"""What cameras and light add: blur, contrast, fades, flicker, noise."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from frame_forecast.data.scenes.draws import Draws

_PHOTONS, _MOVING_NOISE = 0.3, 0.6  # shares of the noise


def seen_by_a_camera(frames: Tensor, draws: Draws) -> Tensor:
    """Frames ``(T, C, H, W)`` of [0, 1] as a camera would give them; some values are then outside."""
    T = len(frames)
    blurred, passes = draws.chance(0.2), 1 + draws.pick(2)
    for _ in range(passes if blurred else 0):
        frames = F.avg_pool2d(frames, 3, stride=1, padding=1, count_include_pad=False)
    contrast, centre = draws.between(0.3, 1.0), draws.unit()
    frames = frames * contrast + (1 - contrast) * centre
    gain = np.ones(T)
    fades, start, end = draws.chance(0.1), draws.between(0, 1), draws.between(0, 1)
    if fades:
        gain *= np.linspace(start, end, T)
    flickers, depth, rate, phase = draws.chance(0.1), draws.between(0, 0.15), draws.between(0.5, 3), draws.unit()
    if flickers:
        gain *= 1 + depth * np.cos(rate * np.arange(T) + 2 * math.pi * phase)
    if fades or flickers:
        frames = frames * torch.as_tensor(gain, dtype=torch.float32, device=frames.device).view(T, 1, 1, 1)
    return frames


def with_noise(frames: Tensor, draws: Draws, share: float) -> Tensor:
    """Frames ``(T, C, H, W)``, that share of the time with noise: of photons, the same everywhere, or a pattern that
    stays, as of a sensor or of dithered colours."""
    noisy, strength, kind = draws.chance(share), draws.ratio(0.004, 0.06), draws.unit()
    seed = int(draws.unit() * 2**53)
    if not noisy:
        return frames
    # On the CPU wherever the clips are made, because a GPU draws other numbers.
    shape = (1, *frames.shape[1:]) if kind >= _MOVING_NOISE else frames.shape
    noise = np.random.Generator(np.random.Philox(key=seed)).standard_normal(shape, dtype=np.float32)
    added = torch.as_tensor(noise, device=frames.device) * strength
    return frames + (added * frames.clamp(min=0).sqrt() if kind < _PHOTONS else added)
