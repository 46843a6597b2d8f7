"""NumPy's own files: one array, streamed frame by frame."""

from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy

from frame_forecast.errors import DataError, OutputError
from frame_forecast.header import Header
from frame_forecast.io.base import Frame, Reader, Writer, unreadable
from frame_forecast.io.layout import (
    array_bytes,
    default_scale,
    frames_of,
    from_frame,
    resolve_layout,
    split_shape,
)
from frame_forecast.io.registry import register_reader, register_writer

MAGIC = b"\x93NUMPY"


def read_header(file: IO[bytes], path: Path) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether the first axis varies fastest, and dtype; ``file`` then stands at the values.

    Raises:
        DataError: a version that holds no plain array, or objects, which are never unpickled.
        ValueError: a damaged header, in NumPy's words.
    """
    match npy.read_magic(file):
        case (1, 0):
            shape, fortran, dtype = npy.read_array_header_1_0(file)
        case (2, 0):
            shape, fortran, dtype = npy.read_array_header_2_0(file)
        case version:
            raise DataError(f"{path}: npy version {version}", "1.0 or 2.0, of plain numbers", "save the array anew")
    if any(size < 0 for size in shape):
        raise unreadable(path, f"an array of shape {shape}")
    return shape, fortran, dtype


@register_reader("npy", (".npy",))
class NpyReader(Reader):
    """An array with axes T, C, H, W in any order, T and C optional."""

    takes_layout = True

    @classmethod
    def sniff(cls, path: Path, head: bytes) -> bool:
        return head.startswith(MAGIC)

    def __init__(self, path: Path, layout: str | None = None) -> None:
        super().__init__(path, layout)
        with path.open("rb") as file:
            shape, fortran, dtype = read_header(file, path)
            self._offset = file.tell()
        axes = resolve_layout(path, shape, layout)
        frames, (C, H, W) = split_shape(path, shape, axes, dtype)
        declared, found = array_bytes(shape, dtype), path.stat().st_size - self._offset
        if declared != found:
            raise unreadable(path, f"{found} bytes of values where the header declares {declared}, shape {shape}")
        # An array whose first axis varies fastest is one in C order with its axes reversed.
        self._shape, self._axes = (shape[::-1], axes[::-1]) if fortran else (shape, axes)
        self.header = Header(
            "npy", frames, C, H, W, dtype, default_scale(dtype), meta={"layout": axes, "fortran": fortran}
        )

    def __iter__(self) -> Iterator[Frame]:
        with self.path.open("rb") as file:
            file.seek(self._offset)
            for values in frames_of(file, self.path, self._shape, self._axes, self.header.dtype):
                yield Frame.whole(values)


@register_writer("npy", (".npy",))
class NpyWriter(Writer):
    """An array in the layout it was read in; otherwise ``(T, H, W)`` of one channel, ``(T, C, H, W)`` of more.

    Missing pixels are NaN, which integers lack.
    """

    def __init__(self, path: Path, header: Header, target: Path) -> None:
        super().__init__(path, header, target)
        layout: str = header.meta.get("layout", "THW" if header.channels == 1 else "TCHW")
        if "T" not in layout and header.frames != 1:
            layout = f"T{layout}"  # one array of what was a series of files with a frame each
        self.layout = layout
        self._fortran: bool = header.meta.get("fortran", False)
        # Axes as the file's bytes run: where the first axis varies fastest, the other way round.
        self._axes = layout[::-1] if self._fortran else layout
        self._mapped: np.memmap | None = None
        self._file: IO[bytes] | None = None
        if self._axes.startswith("T") or "T" not in self._axes:
            self._file = path.open("wb")
            self._write_header(self._file, 0)
        elif header.frames is None:
            raise OutputError(f"{target} in layout {layout} for an unknown number of frames", "THW", "choose .npz")
        else:
            self._mapped = npy.open_memmap(path, "w+", header.dtype, self._shape(header.frames), self._fortran)

    def _shape(self, frames: int) -> tuple[int, ...]:
        sizes = dict(zip("TCHW", (frames, *self.header.shape), strict=True))
        return tuple(sizes[letter] for letter in self.layout)

    def _write_header(self, file: IO[bytes], frames: int) -> None:
        file.seek(0)
        descr = npy.dtype_to_descr(self.header.dtype)
        # NumPy leaves room for any number of frames, so that the header of the end is as long as this.
        npy.write_array_header_1_0(file, {"descr": descr, "fortran_order": self._fortran, "shape": self._shape(frames)})

    def _write(self, frame: Frame) -> None:
        values = self.without_holes(frame)
        if self._file is not None:
            self._file.write(from_frame(values, self._axes.replace("T", "")).data)
        elif self._mapped is not None:
            whole = (slice(None),) * self.layout.index("T")
            self._mapped[*whole, self.written] = from_frame(values, self.layout.replace("T", ""))

    def finish(self) -> None:
        if self._file is not None:
            self._write_header(self._file, self.written)
        elif self._mapped is not None:
            self._mapped.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._mapped = None
