"""The digits that move: MNIST where it is found or can be fetched, else digits drawn from fonts."""

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from frame_forecast.data.download import MNIST_MD5, MNIST_MIRRORS, fetch_mnist
from frame_forecast.data.idx import idx_md5, read_idx_images
from frame_forecast.errors import ConfigError, DataError, OutputError

ROOT_VARIABLE = "FRAME_FORECAST_DATA"


@dataclass(frozen=True)
class Digits:
    """Digits of one split.

    Args:
        images: uint8 ``(N, 28, 28)``, white on black, read-only.
        source: ``mnist``, ``mnist-like`` for other images in files of the same names (such as
            Fashion-MNIST), or ``fonts``.
        description: what they are, for the names of data sets.
        note: why they are not MNIST, for messages; empty where they are.
    """

    images: np.ndarray
    source: Literal["mnist", "mnist-like", "fonts"]
    description: str
    note: str = ""


@dataclass(frozen=True)
class _Split:
    stem: str  # of the file's name
    count: int  # of the images in the file
    part: slice  # of them


_SPLITS = {
    "train": _Split("train-images", 60_000, slice(0, 55_000)),
    "validation": _Split("train-images", 60_000, slice(55_000, 60_000)),
    "test": _Split("t10k-images", 10_000, slice(0, 10_000)),
}


def load_digits(split: str, download: bool = True, mirrors: Sequence[str] = MNIST_MIRRORS) -> Digits:
    """The digits of a split; `Digits.source` says where they are from.

    Args:
        split: ``train``, ``validation`` or ``test``.
        download: whether to try, once a process, to fetch MNIST into `cache_folder` where it is
            not found; otherwise, and if that fails, digits are drawn from fonts.
        mirrors: where to fetch it from.

    Raises:
        ConfigError: no such split.
        DataError: an MNIST file that is damaged or of another shape, or ``FRAME_FORECAST_DATA``
            names no folder.
    """
    if split not in _SPLITS:
        raise ConfigError(f"split {split!r}", "one of " + ", ".join(_SPLITS), "choose one of these")
    stem = _SPLITS[split].stem
    note = "no MNIST found"
    path = _find_mnist(stem)
    if path is None and download:
        reason = _download_failure(cache_folder(), tuple(mirrors))
        note += f" and none could be downloaded ({reason})"
        path = _find_mnist(stem)
    if path is not None:
        return _read_mnist(path, _SPLITS[split])
    from frame_forecast.data.font_digits import font_digits  # loads Pillow and matplotlib

    return Digits(font_digits(split), "fonts", "digits drawn from fonts", note)


def search_folders() -> list[Path]:
    """Folders that may hold data, in the order in which they are searched.

    They are ``FRAME_FORECAST_DATA`` and ``data``, each with its folder ``mnist``, the working
    directory, and the cache.

    Raises:
        DataError: ``FRAME_FORECAST_DATA`` is set but is no folder.
    """
    folders = []
    if root := os.environ.get(ROOT_VARIABLE):
        if not Path(root).is_dir():
            raise DataError(f"{ROOT_VARIABLE}={root}", "a folder that exists", "make it, or unset the variable")
        folders += [Path(root), Path(root, "mnist")]
    return [*folders, Path("data"), Path("data", "mnist"), Path(), cache_folder()]


def cache_folder() -> Path:
    """Where fetched files go: ``frame-forecast`` in ``XDG_CACHE_HOME`` or ``~/.cache``."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():  # the specification has relative paths ignored
        base = Path.home() / ".cache"
    return base / "frame-forecast"


def find_file(*names: str) -> Path | None:
    """The first file of one of these names in the `search_folders`."""
    paths = (folder / name for folder in search_folders() for name in names)
    return next((path for path in paths if path.is_file()), None)


def _find_mnist(stem: str) -> Path | None:
    return find_file(*(f"{stem}{dash}idx3-ubyte{end}" for dash in "-." for end in ("", ".gz")))


@functools.cache
def _download_failure(folder: Path, mirrors: tuple[str, ...]) -> str | None:
    """Fetches MNIST and says what went wrong, if anything."""
    try:  # cached: one wait for a network that is not there is enough
        fetch_mnist(folder, mirrors=mirrors)
    except (DataError, OutputError) as error:
        return error.given
    return None


def _read_mnist(path: Path, split: _Split) -> Digits:
    images = read_idx_images(path)
    if images.shape != (split.count, 28, 28):
        count, height, width = images.shape
        raise DataError(
            f"{path} with {count} images of {height}x{width}",
            f"{split.count} of 28x28, as in MNIST",
            "move the file away, or put MNIST there",
        )
    genuine = idx_md5(images) == MNIST_MD5[split.stem]
    images.flags.writeable = False
    images = images[split.part]
    if genuine:
        return Digits(images, "mnist", "MNIST digits")
    return Digits(images, "mnist-like", "images in MNIST's format", f"the checksum of {path} is not MNIST's")
