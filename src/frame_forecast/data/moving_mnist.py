"""Moving MNIST, made on the fly: clip ``i`` is a pure function of ``(seed, split, i)``.

The algorithm is that of Srivastava, Mansimov & Salakhutdinov, "Unsupervised learning of
video representations using LSTMs" (ICML 2015, section 4.1): digits move in straight
lines and bounce off the walls. Trajectories are float64 on the CPU, because a GPU's
cosine differs in the last bit; pixels are pasted on any device.
"""

import hashlib
import math
import sys
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from frame_forecast.errors import ConfigError
from frame_forecast.philox import stream_key, uniform

_DRAWS_PER_DIGIT = 4  # which digit, x, y, angle
_MOST_DIGITS = 1000  # they are pasted one by one


@dataclass(frozen=True)
class MovingMnistConfig:
    """What the clips look like; nothing about how many there are.

    Args:
        frames: frames a clip.
        size: height and width of a frame in pixels, at least the digits' size.
        digits: digits a clip.
        step: distance moved per frame, as a share of the free range ``size - digit size``.
    """

    frames: int = 20
    size: int = 64
    digits: int = 2
    step: float = 0.1

    def __post_init__(self) -> None:
        for name in ("frames", "size", "digits"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)}", "1 or more", f"set another {name}")
        if self.digits > _MOST_DIGITS:
            raise ConfigError(f"digits={self.digits}", f"{_MOST_DIGITS} at most", "set fewer digits")
        if not 0 < self.step < 1:
            raise ConfigError(f"step={self.step}", "more than 0 and below 1", "set another step")


class MovingMnist:
    """Clips of moving digits, by number.

    Args:
        images: uint8 ``(N, h, w)``, the digits to draw from.
        split: names the stream of random numbers: ``train``, ``validation``, ``test``.
        seed: another seed, other clips.
        config: length, size, number of digits, speed.
        device: where pixels are made.
        name: of the data, for reports.

    Raises:
        ConfigError: the frame is smaller than a digit.
    """

    def __init__(
        self,
        images: np.ndarray,
        split: str,
        seed: int = 0,
        config: MovingMnistConfig | None = None,
        device: str | torch.device = "cpu",
        name: str = "moving_mnist",
    ) -> None:
        self.config = config or MovingMnistConfig()
        self.name = name
        self.split = split
        height, width = images.shape[1:]
        if self.config.size < max(height, width):
            raise ConfigError(
                f"frames of {self.config.size}x{self.config.size}",
                f"at least {max(height, width)}x{max(height, width)}, the size of a digit",
                "choose a larger size",
            )
        self.images = torch.tensor(images, device=device)
        self._key = stream_key("moving_mnist", seed, split)

    def __len__(self) -> int:
        """Clips of the split: 10,000 to test or validate on, practically endless to train on."""
        return sys.maxsize if self.split == "train" else 10_000

    @property
    def images_sha256(self) -> str:
        """Of the digits' bytes."""
        return hashlib.sha256(self.images.cpu().numpy().tobytes()).hexdigest()

    def trajectories(self, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which digits, and where their top left corners are.

        Args:
            index: clip numbers ``(B,)``.

        Returns:
            int64 ``(B, D)`` numbers of digits and int64 ``(B, D, T, 2)`` corners (top, left)
            in pixels.
        """
        T, D = self.config.frames, self.config.digits
        draws = uniform(index, _DRAWS_PER_DIGIT * D, self._key).reshape(-1, D, _DRAWS_PER_DIGIT)
        digit = (draws[..., 0] * len(self.images)).astype(np.int64)
        angle = draws[..., 3] * (2 * math.pi)
        x, y = draws[..., 1], draws[..., 2]
        position = np.stack([y, x], axis=-1)  # (B, D, 2), in units of the free range
        velocity = np.stack([np.sin(angle), np.cos(angle)], axis=-1) * self.config.step
        height, width = self.images.shape[1:]
        free = np.array([self.config.size - height, self.config.size - width])
        corners = np.empty((len(draws), D, T, 2), dtype=np.int64)
        for t in range(T):
            position = position + velocity
            hit = (position <= 0) | (position >= 1)
            position = np.clip(position, 0, 1)  # overshoot is discarded, not reflected
            velocity = np.where(hit, -velocity, velocity)
            corners[:, :, t] = free * position  # conversion truncates
        return digit, corners

    def clips(self, index: np.ndarray) -> Tensor:
        """The clips with these numbers.

        Args:
            index: clip numbers ``(B,)``, in any order, repeats allowed.

        Returns:
            uint8 ``(B, T, 1, H, W)``, 0..255, on the device of the digits.
        """
        digit, corners = self.trajectories(index)
        return paste(self.images, digit, corners, self.config.size)


def paste(images: Tensor, digit: np.ndarray, corners: np.ndarray, size: int) -> Tensor:
    """Draws digits into black frames, the brighter pixel winning where they overlap.

    Args:
        images: uint8 ``(N, h, w)``.
        digit: int64 ``(B, D)``, which image.
        corners: int64 ``(B, D, T, 2)``, (top, left) in pixels, each inside the frame.
        size: height and width of the frames.

    Returns:
        uint8 ``(B, T, 1, size, size)``.
    """
    B, D, T, _ = corners.shape
    h, w = images.shape[1:]
    frames = torch.zeros((B * T, size, size), dtype=torch.uint8, device=images.device)
    # Every h x w window of every frame, as a view: (B*T, size-h+1, size-w+1, h, w). One
    # indexed read and one indexed write move whole windows, on a CPU and on a GPU.
    windows = frames.as_strided((B * T, size - h + 1, size - w + 1, h, w), (size * size, size, 1, size, 1))
    frame = torch.arange(B * T, device=images.device)
    for d in range(D):
        top, left = (torch.as_tensor(corners[:, d, :, axis].reshape(-1), device=images.device) for axis in (0, 1))
        sprite = images[torch.as_tensor(digit[:, d], device=images.device)]  # (B, h, w)
        sprite = sprite[:, None].expand(B, T, h, w).reshape(B * T, h, w)
        if d > 0:
            sprite = torch.maximum(sprite, windows[frame, top, left])
        windows[frame, top, left] = sprite
    return frames.view(B, T, 1, size, size)
