"""Frames from files and into files, one at a time: `open_reader` and `open_writer`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import final

import numpy as np

from frame_forecast.errors import DataError, OutputError
from frame_forecast.files import hidden_folder, replacing, writing
from frame_forecast.header import Header
from frame_forecast.io.base import Frame, Source, Time, Writer, encoding, reading, unreadable, writing_file
from frame_forecast.io.grid import Grid
from frame_forecast.io.registry import find_store, find_writer, makes_store
from frame_forecast.io.series import SeriesWriter, find_files, open_files
from frame_forecast.scale import ValueScale

Location = str | Path
"""A file, a folder or a glob such as ``scans/*.png``."""


def open_reader(
    source: Location | Sequence[Location], layout: str | None = None, variable: str | None = None
) -> Stream:
    """The frames of a file, or of a folder, glob or list of files with a frame each.

    A folder's or glob's files are taken in natural order (2 before 10). A frame that a regular series of times
    or file numbers lacks comes as an unobserved frame; values that are no numbers are unobserved.

    Args:
        source: what to read; a glob may have ``**``.
        layout: the axes of arrays that do not name them, letters of ``TCHW`` such as ``THWC``; None = they
            are guessed where need be, with a FrameForecastWarning.
        variable: the name of the frames in files with several arrays (NetCDF, HDF5, Zarr); None = the only
            array of 3 axes or more, or where there is none, of 2.

    Returns:
        A source of frames; use it in a ``with`` block, and go through it as often as you like.

    Raises:
        DataError: no path, nothing there, no known format, a damaged file, a single frame, files of several
            sizes or formats, or several arrays that could be the frames; whatever shows first in the frames
            themselves is raised while they are read.
        ConfigError: a layout or variable that does not fit or that the format has no use for, or a package that
            is not installed.
    """
    listed = [source] if isinstance(source, Location) else source
    if not isinstance(listed, Sequence) or not all(isinstance(one, Location) for one in listed):
        raise DataError(
            f"a source of type {type(source).__name__}", "a path, or a list of them", "give it as a str or Path"
        )
    name = str(source) if isinstance(source, Location) else f"{source[0]} and others" if source else "no files"
    with reading(name):
        return Stream(open_files(find_files(source), layout, variable), name)


@contextmanager
def open_writer(path: Location, header: Header, force: bool = False) -> Iterator[Writer]:
    """A file of frames that appears whole, when the block ends well, or not at all.

    The suffix says the format; a path without one is a folder with a file for each frame, of the kind that
    the frames were read as if that has one frame a file, else PNG. There, frames of which nothing is observed
    leave no file.

    Args:
        path: the file or folder.
        header: of the frames: that of the reader, or one like it. ``frames``, where it is not None, must
            be right in the end.
        force: replace what is there. A folder is replaced only if it holds files of that kind alone.

    Yields:
        Its ``write`` takes the frames.

    Raises:
        OutputError: no path, something is there, the suffix is unknown, the format cannot hold such frames,
            none or too few were written, or the disk is full or read-only.
    """
    if not isinstance(path, Location):
        raise OutputError(f"a target of type {type(path).__name__}", "a path", "give it as a str or Path")
    target = Path(path)
    make, own = check_target(target, header, force)
    with replacing(target) as temporary, writing_file(make, temporary, own, target) as writer:
        yield writer


def check_target(target: Path, header: Header, force: bool) -> tuple[type[Writer], Header]:
    """The writer for a file or folder, and the header it takes; for `open_writer`, or to know before long work.

    Raises:
        OutputError: something is there, the suffix is unknown, or the name is none or too long.
    """
    if target.name in ("", "..") or "\0" in str(target):
        raise OutputError(f"output {str(target)!r}", "a file or folder with a name", "give it one")
    is_store = makes_store(target)
    with writing(target):
        is_there = target.exists()
        if target.suffix and (is_store or not target.is_dir()):
            entry = find_writer(target, header.kind)
            own = header if entry.kind == header.kind else replace(header, kind=entry.kind, meta={})
            make: type[Writer] = entry.format
        else:
            make, own = SeriesWriter, SeriesWriter.header_for(header)
        if is_there and not force:
            raise OutputError(
                f"{target}, which is there already", "a new name", "choose another, or use force (--force)"
            )
        if is_there and is_store:
            _check_replaceable_store(target)
        elif is_there:
            _check_replaceable(target, SeriesWriter.suffix(own) if make is SeriesWriter else None)
    return make, own


def check_output(target: Path, header: Header, force: bool) -> None:
    """Begins a file, or one of a folder's, and drops it: for what is found out too late otherwise, after long work.

    Raises:
        OutputError: as `check_target`, or the format cannot hold such frames, or the place cannot be written.
        ConfigError: a package is not installed.
    """
    make, own = check_target(target, header, force)
    if make is SeriesWriter:
        make, own = SeriesWriter.of_files(own)
    folder = next(folder for folder in target.absolute().parents if folder.exists())
    with hidden_folder(target, folder) as place, writing(target), encoding(target):
        writer = make(place / target.name, own, target)
        writer.close()
    writer.require_room(own.frames or 1)


def stay_as_they_are(low: float, high: float, dtype: np.dtype) -> bool:
    """Whether values that run from ``low`` to ``high`` are floats in [0, 1]."""
    return dtype.kind == "f" and low >= 0 and high <= 1


def scale_of_range(low: float, high: float, dtype: np.dtype) -> ValueScale:
    """The scale of values that run from ``low`` to ``high``, both observed; floats in [0, 1] stay as they are."""
    if stay_as_they_are(low, high, dtype):
        return ValueScale(0.0, 1.0)
    ends = np.array([low, high]).reshape(2, 1, 1, 1)
    return ValueScale.fit(ends, np.ones_like(ends, dtype=bool))


@final
class Stream(Source):
    """What `open_reader` returns: a source whose frames are checked and whose gaps are filled.

    Args:
        source: a reader or a series.
        name: for messages.
        may_be_bool: frames may be masks.
        grid: the places of the source's frames, if those are to be others than the source says.

    Attributes:
        name: of what was opened.

    Raises:
        DataError: a single frame, or values that are no numbers.
    """

    def __init__(self, source: Source, name: str, may_be_bool: bool = False, grid: Grid | None = None) -> None:
        if source.header.dtype == bool and not may_be_bool:
            raise DataError(f"{name}: an array of bool", "integers or floats", "convert it, for example to uint8")
        self._source = source
        self.name = name
        self._grid = grid or source.grid()
        header = source.header
        if self._grid is not None:
            times = None if header.times is None else self._grid.fill(header.times)
            rate = header.rate or self._grid.rate
            header = replace(header, frames=self._grid.frames, times=times, rate=rate)
        self.header = header
        if header.frames == 1:
            raise _single(name)

    def __iter__(self) -> Iterator[Frame]:
        given = made = 0
        seen = False
        with reading(self.name):
            for frame in self._source:
                if given == self._source.header.frames:
                    raise unreadable(self.name, f"more than the {given} frames that are declared")
                position = given if self._grid is None else int(self._grid.positions[given])
                while made < position:
                    yield Frame.missing(self.header, self._time(made))
                    made += 1
                checked = self._checked(frame, made)
                seen |= bool(checked.observed.any())
                given, made = given + 1, made + 1
                yield checked
        if made != (self.header.frames or made):
            raise unreadable(self.name, f"{given} frames where {self._source.header.frames} are declared")
        if made < 2:
            raise _single(self.name)
        if not seen:
            raise DataError(
                f"{self.name}, in which no pixel has a value", "observed pixels", "check the file and its fill value"
            )

    def close(self) -> None:
        self._source.close()

    @property
    def recorded(self) -> bool:
        """Times are known and not chosen: a frame that comes late comes after others that are lost."""
        times = self.header.times
        return times is not None and (self._source.gaps or times.dtype.kind == "M")

    def with_gaps(self, grid: Grid) -> Stream:
        """The same frames with unobserved ones inserted; only for a stream without a grid of its own.

        Args:
            grid: the places of the frames.
        """
        return Stream(self._source, self.name, grid=grid)

    def _checked(self, frame: Frame, number: int) -> Frame:
        """The frame with what is no number unobserved, and its time if the header has it."""
        given, expected = (frame.values.dtype, *frame.values.shape), (self.header.dtype, *self.header.shape)
        if given != expected:
            raise unreadable(self.name, f"frame {number} of {given} where the first has {expected}, (dtype, C, H, W)")
        observed = frame.observed
        if frame.values.dtype.kind == "f":
            observed = observed & np.isfinite(frame.values).all(axis=0)
        time = self._time(number)
        return replace(frame, observed=observed, time=frame.time if time is None else time)

    def _time(self, number: int) -> Time | None:
        return None if self.header.times is None else self.header.times[number]


def _single(name: str) -> DataError:
    return DataError(f"{name}, a single frame", "two frames or more", "give a folder, a glob or a longer file")


def _check_replaceable_store(target: Path) -> None:
    """Raises OutputError unless what is there is a folder that is one file of frames to the user."""
    if target.is_file() or find_store(target) is None:
        raise OutputError(f"{target}, which is no file of frames", "nothing of that name", "choose another")


def _check_replaceable(target: Path, suffix: str | None) -> None:
    """Raises OutputError unless what is there is a file, or a folder of files with ``suffix`` alone."""
    if target.is_dir() is (suffix is None):
        raise OutputError(f"{target}, a {'file' if suffix else 'folder'}", "nothing of that name", "choose another")
    if suffix and any(one.is_dir() or not one.name.endswith(suffix) for one in target.iterdir()):
        raise OutputError(
            f"{target}, a folder with other things in it than {suffix} files",
            "an empty one, or none",
            "choose another folder: this one would be replaced with all that is in it",
        )
