"""Data sets by name, each a source of clips by number."""

from dataclasses import fields, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from frame_forecast.data.digits import load_digits
from frame_forecast.data.moving_mnist import MovingMnist, MovingMnistConfig
from frame_forecast.data.published import PublishedTestSet, find_published
from frame_forecast.errors import ConfigError

DATASETS = ("moving_mnist",)
SPLITS = ("train", "validation", "test")


class ClipSource(Protocol):
    """Clips by number."""

    @property
    def name(self) -> str:
        """Of the data, for reports; it says which digits or file the clips are made of, and how if not as usual."""
        ...

    @property
    def split(self) -> str:
        """``train``, ``validation`` or ``test``."""
        ...

    @property
    def images_sha256(self) -> str:
        """Of the bytes of the images that the clips are made of."""
        ...

    def __len__(self) -> int:
        """How many clips there are."""
        ...

    def clips(self, index: np.ndarray) -> Tensor:
        """uint8 ``(B, T, C, H, W)`` for clip numbers ``(B,)``."""
        ...


def open_source(
    name: str,
    split: str,
    *,
    frames: int = 20,
    seed: int = 0,
    device: str | torch.device = "cpu",
    published: bool = True,
    config: MovingMnistConfig | None = None,
) -> ClipSource:
    """The clips of a split.

    Args:
        name: one of `DATASETS`.
        split: one of `SPLITS`.
        frames: frames a clip, where the data are made on the fly.
        seed: of the generated clips.
        device: where the clips are made.
        published: whether ``test`` is the published ``mnist_test_seq.npy`` where that file is
            found and its 20 frames are enough; otherwise it is generated.
        config: more settings of the generated clips; ``frames`` goes before it.

    Raises:
        ConfigError: no such data set or split.
        DataError: files that are there but damaged.
    """
    if name not in DATASETS:
        raise ConfigError(f"data set {name!r}", "one of " + ", ".join(DATASETS), "see `frame-forecast data`")
    if split not in SPLITS:
        raise ConfigError(f"split {split!r}", "one of " + ", ".join(SPLITS), "choose one of these")
    if split == "test" and published and frames <= PublishedTestSet.FRAMES:
        path = find_published()
        if path is not None:
            return PublishedTestSet(path)
    digits = load_digits(split)
    config = replace(config or MovingMnistConfig(), frames=frames)
    description = f"{name}{_unusual(config)}, {digits.description}"
    return MovingMnist(digits.images, split, seed, config, device, name=description)


def _unusual(config: MovingMnistConfig) -> str:
    """What makes clips other than those of the literature, for their name; empty if nothing does."""
    usual = MovingMnistConfig(frames=config.frames)
    values = {field.name: getattr(config, field.name) for field in fields(config)}
    changed = [f"{key}={value}" for key, value in values.items() if value != getattr(usual, key)]
    return f" ({', '.join(changed)})" if changed else ""
