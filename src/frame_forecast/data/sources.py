"""Data sets by name, each a source of clips by number."""

from dataclasses import fields, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from frame_forecast.data.digits import load_digits
from frame_forecast.data.moving_mnist import MovingMnist, MovingMnistConfig
from frame_forecast.data.moving_scenes import MovingScenes, MovingScenesConfig
from frame_forecast.data.published import PublishedTestSet, find_published
from frame_forecast.data.scenes.radar import RadarEvents
from frame_forecast.errors import ConfigError

ClipConfig = MovingMnistConfig | MovingScenesConfig
_CONFIGS: dict[str, type[ClipConfig]] = {"moving_mnist": MovingMnistConfig, "moving_scenes": MovingScenesConfig}
DATASETS = tuple(_CONFIGS)
SPLITS = ("train", "validation", "test")


class ClipSource(Protocol):
    """Clips by number."""

    @property
    def name(self) -> str:
        """Of the data, for reports: the data set's, then how the clips are made if not as usual, and what of."""
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


def usual_config(name: str) -> ClipConfig:
    """The usual settings of a data set's clips.

    Raises:
        ConfigError: no such data set.
    """
    if name not in _CONFIGS:
        raise ConfigError(f"data set {name!r}", "one of " + ", ".join(DATASETS), "see `frame-forecast data`")
    return _CONFIGS[name]()


def data_set_of(description: str) -> str:
    """The data set that clips of this name are of; ``moving_mnist``, the first there was, where it says none."""
    return next((name for name in DATASETS if description.startswith(name)), "moving_mnist")


def open_source(
    name: str,
    split: str,
    *,
    frames: int = 20,
    seed: int = 0,
    device: str | torch.device = "cpu",
    published: bool = True,
    config: ClipConfig | None = None,
) -> ClipSource:
    """The clips of a split.

    Args:
        name: one of `DATASETS`.
        split: one of `SPLITS`.
        frames: frames a clip, where the data are made on the fly.
        seed: of the generated clips.
        device: where the clips are made.
        published: whether ``test`` of ``moving_mnist`` is the published ``mnist_test_seq.npy`` where that
            file is found and its 20 frames are enough; otherwise it is generated.
        config: more settings of the generated clips, of the kind that `usual_config` gives; ``frames`` goes
            before it.

    Raises:
        ConfigError: no such data set or split, settings of another data set, or no radar where clips are to be
            cut from it.
        DataError: files that are there but damaged.
    """
    usual = usual_config(name)
    if split not in SPLITS:
        raise ConfigError(f"split {split!r}", "one of " + ", ".join(SPLITS), "choose one of these")
    config = replace(config or usual, frames=frames)
    if isinstance(config, MovingScenesConfig) and name == "moving_scenes":
        return _open_scenes(name, split, seed, device, config)
    if not isinstance(config, MovingMnistConfig) or name != "moving_mnist":
        raise ConfigError(f"{type(config).__name__} for {name}", type(usual).__name__, "give the data set's own")
    if split == "test" and published and frames <= PublishedTestSet.FRAMES:
        path = find_published()
        if path is not None:
            return PublishedTestSet(path)
    digits = load_digits(split)
    description = f"{name}{_unusual(config)}, {digits.description}"
    return MovingMnist(digits.images, split, seed, config, device, name=description)


def _open_scenes(
    name: str, split: str, seed: int, device: str | torch.device, config: MovingScenesConfig
) -> MovingScenes:
    radar = RadarEvents.of_split(split, config.frames, config.size) if config.radar > 0 else None
    return MovingScenes(split, seed, config, radar, device, name=f"{name}{_unusual(config)}")


def _unusual(config: ClipConfig) -> str:
    """What makes clips other than the usual ones, for their name; empty if nothing does."""
    usual = type(config)(frames=config.frames)
    values = {field.name: getattr(config, field.name) for field in fields(config)}
    changed = [f"{key}={value}" for key, value in values.items() if value != getattr(usual, key)]
    return f" ({', '.join(changed)})" if changed else ""
