"""Files that say which pixels are missing."""

from collections.abc import Iterator
from itertools import repeat
from pathlib import Path

import numpy as np

from frame_forecast.errors import DataError
from frame_forecast.io.base import reading
from frame_forecast.io.series import find_files, open_file
from frame_forecast.io.sidecar import SUFFIX, made_masks, read_sidecar
from frame_forecast.io.streams import open_reader


class Mask:
    """Observed masks from a file, to be gone through any number of times.

    A NumPy array, ``(H, W)``, ``(T, H, W)`` or ``(T, 1, H, W)``, of bool or numbers; a picture, a video or a
    series: 0 is missing, anything else observed. A sidecar: what was made is missing.

    Args:
        path: a file, folder or glob.
        height, width: of the frames that it is for.

    Attributes:
        repeats: there is one, for all frames, and iterating never ends.

    Raises:
        DataError: it cannot be read, or has another size.
    """

    def __init__(self, path: str, height: int, width: int) -> None:
        self._path = path
        self._array = _load(Path(path)) if path.endswith(".npy") else None
        if self._array is not None:
            self.repeats = len(self._array) == 1
        elif path.endswith(SUFFIX):
            self.repeats = False
        else:
            self.repeats = self._single() is not None
        first = next(iter(self))  # a file of frames has one at least
        if first.shape != (1, height, width):
            raise DataError(
                f"{path}, a mask of {first.shape[1]}x{first.shape[2]} pixels",
                f"{height}x{width} like the frames",
                "make it of that size",
            )

    def __iter__(self) -> Iterator[np.ndarray]:
        """bool ``(1, H, W)``, one for each frame."""
        if self._array is not None:
            return repeat(self._array[0] != 0) if self.repeats else (frame != 0 for frame in self._array)
        if self._path.endswith(SUFFIX):
            return (~made for made in made_masks(read_sidecar(Path(self._path))))
        single = self._single()
        return self._frames() if single is None else repeat(single)

    def _frames(self) -> Iterator[np.ndarray]:
        with open_reader(self._path) as stream:
            for frame in stream:
                yield (frame.values != 0).any(axis=0, keepdims=True)

    def _single(self) -> np.ndarray | None:
        """The mask of a file with one frame."""
        files = find_files(self._path)
        if len(files) != 1:
            return None
        with reading(files[0]), open_file(files[0], None) as reader:
            if reader.header.frames != 1:
                return None
            (frame,) = list(reader)
            return (frame.values != 0).any(axis=0, keepdims=True)


def _load(path: Path) -> np.ndarray:
    """An array as ``(T, 1, H, W)``, on disk until it is used."""
    with reading(path):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.ndim == 2:
        array = array[None]
    if array.ndim == 3:
        array = array[:, None]
    if array.ndim != 4 or array.shape[1] != 1 or array.dtype.kind not in "buif" or 0 in array.shape:
        raise DataError(
            f"{path}, an array of {array.dtype} and shape {array.shape}",
            "bool or numbers, (H, W), (T, H, W) or (T, 1, H, W)",
            "save one of these",
        )
    return array
