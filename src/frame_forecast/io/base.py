"""The contract of every format: `Header`, `Frame`, `Reader`, `Writer`.

To add a format, put one file into ``io/formats``; nothing else of the package changes, and `tests/fuzzing/targets.py`
gets a whole file to begin with. In it:

1. A `Reader`, registered with its kind and its suffixes::

       @register_reader("pgm", (".pgm", ".ppm"))
       class PgmReader(Reader):
           @classmethod
           def sniff(cls, path, head):
               return head[:2] in (b"P5", b"P6")

           def __init__(self, path, layout=None):
               super().__init__(path, layout)
               self.header = Header(kind="pgm", frames=1, ...)  # from the file's first bytes

           def __iter__(self):
               yield Frame.whole(values)

   ``__init__`` reads what the header needs and no more; ``__iter__`` starts from the first frame each
   time it is called and holds one frame at a time. A format that is a special case of another (a radar
   product in HDF5) sniffs more closely and registers with a higher ``rank``: it is asked first.

2. A `Writer`, registered likewise. It writes to ``self.path``, which is a temporary place; messages name
   ``self.target``. ``header.meta`` is what the reader of the same kind left there, or empty.

What a format need not do, because `streams` does it for all: turn a library's exceptions into
DataError, unpack gzip (set ``gzipped`` and use `Reader.open`), mark values that are no numbers as
unobserved, check every frame against the header, count them, insert the frames that a regular series
lacks (set ``gaps``), join one-frame files to a series, appear whole or not at all, refuse to overwrite.
What it must do: mark its own fill values and no-coverage areas as unobserved, and check what a file
*declares* against what it can hold before memory is asked for (`check_frame_size`).

Packages that are not always installed are imported with `require`, where they are used.
"""

from __future__ import annotations

import abc
import gzip
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Self, cast, final

import numpy as np

from frame_forecast.errors import DataError, FrameForecastError, OutputError
from frame_forecast.header import Header
from frame_forecast.io.grid import Grid, find_grid
from frame_forecast.packages import require as require  # a part of the contract: see above
from frame_forecast.times import Time

GZIP_MAGIC = b"\x1f\x8b"
MOST_FRAME_BYTES = 2**30
MOST_UNPACKED_BYTES = 2**31
_SPOOLED_BYTES = 2**24  # smaller files are unpacked in memory
_CHUNK = 2**20


@dataclass(frozen=True)
class Frame:
    """One frame of a stream.

    Args:
        values: ``(C, H, W)`` in the source's dtype.
        observed: bool ``(1, H, W)``; True = known.
        time: None where it is unknown.
        damaged: the source has it, but it cannot be read; nothing of it is observed.
    """

    values: np.ndarray
    observed: np.ndarray
    time: Time | None = None
    damaged: bool = False

    @classmethod
    def whole(cls, values: np.ndarray, time: Time | None = None) -> Frame:
        """A frame with nothing missing."""
        return cls(values, np.ones((1, *values.shape[1:]), dtype=bool), time)

    @classmethod
    def missing(cls, header: Header, time: Time | None = None, damaged: bool = False) -> Frame:
        """A frame of which nothing is observed."""
        observed = np.zeros((1, header.height, header.width), dtype=bool)
        return cls(np.zeros(header.shape, header.dtype), observed, time, damaged)


class Source(abc.ABC):
    """Frames that can be gone through any number of times.

    Attributes:
        header: known before the first frame is read.
        gaps: a time that a regular series of frames lacks is a missing frame, as with scans and
            recordings; not so in animations, where a frame is just shown longer.
    """

    gaps: ClassVar[bool] = False
    header: Header

    @abc.abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """The frames from the first one on, one in memory at a time."""

    def grid(self) -> Grid | None:
        """Where the frames lie in a regular series; None = they are taken as they come."""
        return find_grid(self.header.times) if self.gaps and self.header.times is not None else None

    def close(self) -> None:  # noqa: B027 - most sources hold nothing open
        """Lets go of open files; no frames after that."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Reader(Source):
    """One file in one format.

    Args:
        path: the file; it is there and not empty.
        layout: the axes of an array, letters of ``TCHW`` in its order; None = as the file says. Given
            only to a reader that has ``takes_layout``.
        variable: the name of the frames among several arrays; None = the only one. Given only to a reader
            that has ``takes_variable``.

    Attributes:
        folder: what is one file to the user is a folder on disk.
        gzipped: `open` is used, so that the file may be packed with gzip.
        takes_layout: files may hold arrays whose axes they do not name.
        takes_variable: files may hold several arrays, each with a name.
    """

    folder: ClassVar[bool] = False
    gzipped: ClassVar[bool] = False
    takes_layout: ClassVar[bool] = False
    takes_variable: ClassVar[bool] = False

    def __init__(self, path: Path, layout: str | None = None, variable: str | None = None) -> None:
        self.path = path
        self.layout = layout
        self.variable = variable

    @classmethod
    @abc.abstractmethod
    def sniff(cls, path: Path, head: bytes) -> bool:
        """Whether the file is of this format.

        Args:
            path: for its name, or to look further.
            head: the first bytes of the file, unpacked if it is packed with gzip; none of a ``folder``.
        """

    def open(self) -> BinaryIO:
        """The file's bytes, unpacked if they are packed with gzip; seekable."""
        return unpacked(self.path)


class Writer(abc.ABC):
    """One file in one format; made by `streams.open_writer`.

    Args:
        path: where to write: a temporary place of the same name.
        header: of the frames to come. ``frames`` may be None; ``meta`` is empty unless ``kind`` is this
            format.
        target: where the file will be, for messages.

    Attributes:
        folder: makes a folder at ``path``, which is one file to the user.
        most_frames: that one file can hold; None = any number.
        gzipped: files may be packed with gzip: a name that ends in ``.gz``.
        holds: what files can hold, as for `require_values`; None = the constructor checks it.

    Raises:
        OutputError: files cannot hold such frames.
    """

    folder: ClassVar[bool] = False
    most_frames: ClassVar[int | None] = None
    gzipped: ClassVar[bool] = False
    holds: ClassVar[tuple[str, tuple[int, ...]] | None] = None

    def __init__(self, path: Path, header: Header, target: Path) -> None:
        self.path = path
        self.header = header
        self.target = target
        self.written = 0
        if self.holds is not None:
            self.require_values(*self.holds)

    @final
    def write(self, frame: Frame) -> None:
        """Adds a frame.

        Raises:
            OutputError: another shape or dtype than the header's, pixels missing that the format cannot
                mark, or more frames than it can hold.
        """
        given, expected = (frame.values.dtype, *frame.values.shape), (self.header.dtype, *self.header.shape)
        if given != expected or frame.observed.shape != (1, *self.header.shape[1:]):
            raise OutputError(
                f"frame {self.written} for {self.target}, (dtype, C, H, W) = {given}",
                f"{expected} like the header",
                "open the writer with the header of these frames",
            )
        self.require_room(self.written + 1)
        with encoding(self.target):
            self._write(frame)
        self.written += 1

    @abc.abstractmethod
    def _write(self, frame: Frame) -> None:
        """`write` of a frame that fits."""

    def finish(self) -> None:  # noqa: B027 - many formats are complete with their last frame
        """Completes the file; called once, after the last frame, unless something failed."""

    def close(self) -> None:  # noqa: B027 - many writers hold nothing open
        """Lets go of open files, whether or not the file was completed."""

    def require_room(self, frames: int) -> None:
        """Raises OutputError unless one file can hold so many frames."""
        if self.most_frames is not None and frames > self.most_frames:
            raise OutputError(
                f"more than {self.most_frames} frame for {self.target}",
                "one: this format has one frame a file",
                "write to a folder, or choose another suffix",
            )

    def require_values(self, dtypes: str, channels: tuple[int, ...]) -> None:
        """Raises OutputError unless the format can hold such values.

        Args:
            dtypes: those it can, such as ``uint8 uint16``; byte order does not matter.
            channels: numbers of channels it can.
        """
        if self.header.dtype.newbyteorder("=").name not in dtypes.split() or self.header.channels not in channels:
            raise OutputError(
                f"{self.target} for {self.header.channels} channels of {self.header.dtype}",
                f"{dtypes.replace(' ', ' or ')} in {' or '.join(map(str, channels))} channels",
                "choose a format that holds them, such as .npy or .tif",
            )

    def without_holes(self, frame: Frame) -> np.ndarray:
        """The frame's values, ``(C, H, W)``, for a format that has no mask: missing pixels are NaN.

        Raises:
            OutputError: pixels are missing and integers have no NaN.
        """
        lost = ~frame.observed[0] & np.isfinite(frame.values).all(axis=0)  # others are missing by their value
        if not lost.any():
            return frame.values
        if frame.values.dtype.kind != "f":
            raise OutputError(
                f"missing pixels in frame {self.written} for {self.target}",
                f"none: {frame.values.dtype} has no value that says so",
                "fill them first, or write .npz, which has a mask",
            )
        return np.where(lost, np.array(np.nan, frame.values.dtype), frame.values)


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Turns whatever a library raises while it reads ``path`` into a DataError."""
    try:
        yield
    except FrameForecastError:
        raise
    except Exception as error:  # libraries meet damage with KeyError, SyntaxError, struct.error and more
        reason = " ".join(str(error).split()) or type(error).__name__
        raise unreadable(path, reason) from error


@contextmanager
def encoding(target: Path) -> Iterator[None]:
    """Turns whatever a library raises while it writes ``target`` into an OutputError, but for the system's errors."""
    try:
        yield
    except (FrameForecastError, OSError):
        raise
    except Exception as error:  # what came with frames from a strange file may be nothing that can be written
        reason = " ".join(str(error).split()) or type(error).__name__
        raise OutputError(
            f"{target}: {reason}", "frames, times and attributes that the format can hold", "choose another suffix"
        ) from error


def unreadable(path: Path | str, found: str) -> DataError:
    """The error for a file that is damaged or no file of frames."""
    return DataError(f"{path}: {found}", "a whole file that can be read", "check the file or fetch it again")


def check_frame_size(path: Path | str, channels: int, height: int, width: int, dtype: np.dtype) -> None:
    """Raises DataError for frames larger than any camera's: a damaged header, or a file made to fill memory."""
    if channels * height * width * dtype.itemsize > MOST_FRAME_BYTES:
        raise DataError(
            f"{path}: frames of {channels}x{height}x{width} {dtype} (C, H, W) declared",
            f"{MOST_FRAME_BYTES // 2**20} MiB a frame at most",
            "check the file, or cut it into tiles",
        )


def first_bytes(path: Path, count: int = 4096) -> bytes:
    """The beginning of a file, unpacked if it is packed with gzip."""
    with path.open("rb") as file:
        head = file.read(count)
        if not head.startswith(GZIP_MAGIC):
            return head
        file.seek(0)
        with gzip.GzipFile(fileobj=file) as inner:
            return inner.read(count)


def unpacked(path: Path) -> BinaryIO:
    """A file's bytes, unpacked if they are packed with gzip; seekable.

    Raises:
        DataError: it unpacks to more than ``MOST_UNPACKED_BYTES``.
    """
    file = path.open("rb")
    if file.read(len(GZIP_MAGIC)) != GZIP_MAGIC:
        file.seek(0)
        return file
    file.seek(0)
    with file, gzip.GzipFile(fileobj=file) as inner:
        return spooled(inner, path)


def spooled(stream: Any, path: Path) -> BinaryIO:
    """The rest of a binary stream as a seekable file, on disk if it is large.

    Raises:
        DataError: it is longer than ``MOST_UNPACKED_BYTES``.
    """
    copy = tempfile.SpooledTemporaryFile(_SPOOLED_BYTES)  # noqa: SIM115 - the caller closes it
    size = 0
    while chunk := stream.read(_CHUNK):
        size += len(chunk)
        if size > MOST_UNPACKED_BYTES:
            copy.close()
            raise DataError(
                f"{path}: more than {MOST_UNPACKED_BYTES // 2**20} MiB when unpacked",
                "less",
                "unpack it first, if it is what it should be",
            )
        copy.write(chunk)
    copy.seek(0)
    return cast(BinaryIO, copy)


def suffix_of(path: Path) -> tuple[str, bool]:
    """The suffix that tells a file's format, lower case, and whether ``.gz`` follows it."""
    gzipped = path.suffix.lower() == ".gz"
    return (Path(path.stem) if gzipped else path).suffix.lower(), gzipped


@contextmanager
def writing_file(make: type[Writer], path: Path, header: Header, target: Path) -> Iterator[Writer]:
    """A writer whose file at ``path`` is complete after the block, packed with gzip if its name says so.

    Raises:
        OutputError: no frames or not as many as the header says.
    """
    gzipped = suffix_of(path)[1]
    plain = path.with_suffix("") if gzipped else path
    with encoding(target):
        writer = make(plain, header, target)
    try:
        yield writer
        if writer.written == 0 or writer.written != (header.frames or writer.written):
            raise OutputError(
                f"{writer.written} frames for {target}",
                f"{header.frames or 'one at least'}",
                "write as many as the header says",
            )
        with encoding(target):
            writer.finish()
    finally:
        writer.close()
    if gzipped:
        _pack(plain, path)
        plain.unlink()


def _pack(source: Path, target: Path) -> None:
    """Packs ``source`` with gzip into ``target``; the same bytes each time."""
    with (
        source.open("rb") as plain,
        target.open("wb") as file,
        # Neither a name nor a time inside, so that equal frames make equal files.
        gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0) as inner,
    ):
        shutil.copyfileobj(plain, inner, _CHUNK)
