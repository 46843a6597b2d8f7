"""Moving scenes: motion in general, made on the fly; clip ``i`` is a pure function of ``(seed, split, i)``.

==== ==============================================================================================
0.45 rain-like fields that grow and decay as they move
0.30 textures that drift, turn, zoom, shear and deform
0.25 shapes that pass before each other and before a texture
==== ==============================================================================================

A share of the clips may be cut from real radar instead. docs/moving-scenes.md says what is drawn from which
range. Parameters and noise come from counter-based numbers on the CPU, pixels from any device: a CPU gives the
same bits for a clip in any batch, a GPU the same clip but for rounding.
"""

import hashlib
import sys
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from frame_forecast.data.scenes.contents import Rain, Shapes, Textures
from frame_forecast.data.scenes.draws import Draws
from frame_forecast.data.scenes.effects import seen_by_a_camera, with_noise
from frame_forecast.data.scenes.pools import Fields
from frame_forecast.data.scenes.radar import RadarEvents
from frame_forecast.errors import ConfigError
from frame_forecast.philox import stream_key, uniform

_VERSION = "moving_scenes 1"  # of the generator; another one makes other clips
_RAIN, _TEXTURES = 0.45, 0.3
_DRAWS = 400  # uniform numbers a clip, and for each frame:
_DRAWS_A_FRAME = 16
_LEAST_SIZE, _MOST_SIZE = 16, 512


@dataclass(frozen=True)
class MovingScenesConfig:
    """What the clips look like; nothing about how many there are.

    Args:
        frames: frames a clip.
        size: height and width of a frame in pixels.
        channels: 1, grey, or 3, coloured.
        radar: share of the clips that are cut from real radar.
    """

    frames: int = 20
    size: int = 64
    channels: int = 1
    radar: float = 0.0

    def __post_init__(self) -> None:
        self._check("frames", self.frames >= 1, "1 or more")
        self._check("size", _LEAST_SIZE <= self.size <= _MOST_SIZE, f"{_LEAST_SIZE} to {_MOST_SIZE}")
        self._check("channels", self.channels in (1, 3), "1 or 3")
        self._check("radar", 0 <= self.radar <= 1, "0 to 1")

    def _check(self, name: str, right: bool, expected: str) -> None:
        if not right:
            raise ConfigError(f"{name}={getattr(self, name)}", expected, f"set another {name}")


class MovingScenes:
    """Clips of motion, by number.

    Args:
        split: names the stream of random numbers: ``train``, ``validation``, ``test``.
        seed: another seed, other clips.
        config: length, size, channels, share of radar.
        radar: the events of the split; None = no radar.
        device: where pixels are made.
        name: of the data, for reports.
    """

    def __init__(
        self,
        split: str,
        seed: int = 0,
        config: MovingScenesConfig | None = None,
        radar: RadarEvents | None = None,
        device: str | torch.device = "cpu",
        name: str = "moving_scenes",
    ) -> None:
        self.config = config or MovingScenesConfig()
        self.name = name
        self.split = split
        self.radar = radar
        self.device = torch.device(device)
        key = ("moving_scenes", seed, split)
        self._key = stream_key(*key)
        fields = Fields(self.config.size, key, self.device)
        layout = (self.config.frames, self.config.channels, self.config.size)
        self._textures = Textures(fields, *layout)
        self._rain = Rain(fields, *layout)
        self._shapes = Shapes(self._textures, key)

    def __len__(self) -> int:
        """Clips of the split: 10,000 to test or validate on, practically endless to train on."""
        return sys.maxsize if self.split == "train" else 10_000

    @property
    def images_sha256(self) -> str:
        """Of the generator's version and, where clips are cut from it, the radar of the split."""
        digest = hashlib.sha256(_VERSION.encode())
        if self.radar is not None:
            self.radar.update(digest)
        return digest.hexdigest()

    def clips(self, index: np.ndarray) -> Tensor:
        """The clips with these numbers.

        Args:
            index: clip numbers ``(B,)``, in any order, repeats allowed.

        Returns:
            uint8 ``(B, T, C, H, W)``, 0..255, on the device.
        """
        rows = uniform(index, _DRAWS + _DRAWS_A_FRAME * self.config.frames, self._key)
        # One by one: what a sum comes to may depend on the shape that it is a part of.
        return torch.stack([self._clip(Draws(row)) for row in rows])

    def _clip(self, draws: Draws) -> Tensor:
        """uint8 ``(T, C, H, W)``."""
        real, kind = draws.unit(), draws.unit()
        if self.radar is not None and real < self.config.radar:
            patch = self.radar.patch(draws, self.config.frames, self.config.size)
            return torch.tensor(patch, device=self.device)[:, None].expand(-1, self.config.channels, -1, -1)
        if kind < _RAIN:
            frames = with_noise(self._rain.frames(draws), draws, 0.1)
        else:
            content = self._textures if kind < _RAIN + _TEXTURES else self._shapes
            frames = with_noise(seen_by_a_camera(content.frames(draws), draws), draws, 0.4)
        return (frames.clamp(0, 1) * 255).round_().to(torch.uint8)
