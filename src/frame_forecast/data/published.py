"""The published Moving MNIST test set, ``mnist_test_seq.npy``."""

import functools
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from frame_forecast.data.digits import find_file
from frame_forecast.data.download import PUBLISHED_NAME, PUBLISHED_SHA256, PUBLISHED_SIZE, digest
from frame_forecast.errors import DataError


def find_published() -> Path | None:
    """Where the file is, or None.

    Raises:
        DataError: ``FRAME_FORECAST_DATA`` is set but is no folder.
    """
    return find_file(PUBLISHED_NAME)


class PublishedTestSet:
    """Clips of the published file, read from disk as they are asked for.

    Args:
        path: an npy file, uint8 ``(20, N, 64, 64)``.

    Raises:
        DataError: the file cannot be read or holds something else.
    """

    FRAMES = 20
    split: str = "test"

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            # Unlike np.load this reads npy files only, and never unpickles. NumPy multiplies a
            # shape in 64 bits, and a damaged header may declare more.
            with np.errstate(over="raise"):
                self._frames = np.lib.format.open_memmap(path, mode="r")
        except Exception as error:  # NumPy reads headers with Python's own parser, which has errors of its own
            raise _error(path, f"unreadable: {error}") from None
        shape = self._frames.shape
        fits = len(shape) == 4 and shape[1] > 0 and (shape[0], *shape[2:]) == (self.FRAMES, 64, 64)
        if self._frames.dtype != np.uint8 or not fits:
            raise _error(path, f"{self._frames.dtype} of shape {shape}")

    def __reduce__(self) -> tuple[type["PublishedTestSet"], tuple[Path]]:
        return type(self), (self.path,)  # a worker opens the file: a pickled memmap carries every byte

    @functools.cached_property
    def verified(self) -> bool:
        """Whether these are the published bytes; reads the whole file if its size is right."""
        return self.path.stat().st_size == PUBLISHED_SIZE and self.images_sha256 == PUBLISHED_SHA256

    @property
    def images_sha256(self) -> str:
        """Of the whole file, which it reads."""
        return digest(self.path, "sha256")

    @property
    def name(self) -> str:
        """For reports; says so if the file has not the published content."""
        return PUBLISHED_NAME if self.verified else f"{PUBLISHED_NAME} (not the published bytes)"

    def __len__(self) -> int:
        """How many clips the file holds: 10,000 as published."""
        return self._frames.shape[1]

    def clips(self, index: np.ndarray) -> Tensor:
        """The clips with these numbers.

        Args:
            index: clip numbers ``(B,)``, in any order, repeats allowed.

        Returns:
            uint8 ``(B, 20, 1, 64, 64)``, 0..255.

        Raises:
            DataError: a number below 0 or past the last clip.
        """
        outside = (index < 0) | (index >= len(self))
        if outside.any():
            raise DataError(f"clip {index[outside][0]} of {self.path}", f"0 to {len(self) - 1}", "ask for fewer clips")
        frames = self._frames[:, index]  # (20, B, 64, 64), copied from disk
        return torch.from_numpy(np.ascontiguousarray(frames.swapaxes(0, 1))).unsqueeze(2)


def _error(path: Path, found: str) -> DataError:
    return DataError(f"{path}: {found}", "an npy file of uint8 (20, N, 64, 64)", "remove the file or fetch it again")
