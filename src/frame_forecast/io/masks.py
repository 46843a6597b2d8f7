"""Files that say which pixels are missing."""

from collections.abc import Iterator
from itertools import repeat
from pathlib import Path

import numpy as np

from frame_forecast.errors import DataError
from frame_forecast.io.base import Frame, reading, suffix_of
from frame_forecast.io.series import find_files, open_file, open_files
from frame_forecast.io.sidecar import SUFFIX, made_masks, read_sidecar
from frame_forecast.io.streams import Stream

_LOSSY = (".jpg", ".jpeg", ".mp4", ".mov", ".webm")


class Mask:
    """Observed masks from a file, to be gone through any number of times.

    A NumPy array, ``(H, W)``, ``(T, H, W)`` or ``(T, 1, H, W)``, of bool or numbers; a picture, a video or a
    series: 0 is missing, and so is what is transparent or no number; anything else is observed. A sidecar: what
    was made is missing.

    Args:
        path: a file, folder or glob.
        height, width: of the frames that it is for; None = any, to know whether it can be read.

    Attributes:
        repeats: there is one, for all frames, and iterating never ends.

    Raises:
        DataError: it cannot be read, or has another size.
    """

    def __init__(self, path: str, height: int | None = None, width: int | None = None) -> None:
        self._path = path
        self._array = _load(Path(path)) if path.endswith(".npy") else None
        if self._array is not None:
            self.repeats = len(self._array) == 1
            size = self._array.shape[2:]
        elif path.endswith(SUFFIX):
            self.repeats = False
            facts = read_sidecar(Path(path))
            size = facts["height"], facts["width"]
        else:
            single = self._single()
            self.repeats = single is not None
            size = (next(self._frames()) if single is None else single).shape[1:]  # a file has one frame at least
        if height is not None and size != (height, width):
            raise DataError(
                f"{path}, a mask of {size[0]}x{size[1]} pixels",
                f"{height}x{width} like the frames",
                "make it of that size",
            )

    def __iter__(self) -> Iterator[np.ndarray]:
        """bool ``(1, H, W)``, one for each frame."""
        if self._array is not None:
            return repeat(_seen(self._array[0])) if self.repeats else map(_seen, self._array)
        if self._path.endswith(SUFFIX):
            return (~made for made in made_masks(read_sidecar(Path(self._path))))
        single = self._single()
        return self._frames() if single is None else repeat(single)

    def _frames(self) -> Iterator[np.ndarray]:
        with reading(self._path):
            source = open_files(find_files(self._path), None, strict=True)
            with Stream(source, self._path, may_be_bool=True) as stream:
                for frame in stream:
                    yield _of_frame(frame)

    def _single(self) -> np.ndarray | None:
        """The mask of a file with one frame."""
        files = find_files(self._path)
        if suffix_of(files[0])[0] in _LOSSY:
            raise DataError(
                f"{self._path}, a mask whose format blurs what is 0",
                "one without loss, such as .png, .npy or .mkv",
                "save it as one of these",
            )
        if len(files) != 1:
            return None
        with reading(files[0]), open_file(files[0], None) as reader:
            if reader.header.frames != 1:
                return None
            (frame,) = list(reader)
            return _of_frame(frame)


def _of_frame(frame: Frame) -> np.ndarray:
    """The mask, bool ``(1, H, W)``, of a frame whose second or fourth channel is how opaque it is."""
    colours, opacity = (frame.values[:-1], frame.values[-1:]) if len(frame.values) in (2, 4) else (frame.values, None)
    seen = _seen(colours).any(axis=0, keepdims=True) & frame.observed
    return seen if opacity is None else seen & _seen(opacity)


def _seen(values: np.ndarray) -> np.ndarray:
    return (values != 0) & ~np.isnan(values)


def _load(path: Path) -> np.ndarray:
    """An array as ``(T, 1, H, W)``, on disk until it is used."""
    with reading(path):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.ndarray):  # an .npz of another name
        array.close()
        raise DataError(f"{path}, in which there is no single array", "one that numpy.save wrote", "save it so")
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
