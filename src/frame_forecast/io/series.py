"""Many files with a frame each, as one stream: scans in a folder, pictures of a sequence."""

import glob
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import final

import numpy as np

from frame_forecast.errors import ConfigError, DataError, FrameForecastError, FrameForecastWarning, OutputError
from frame_forecast.header import Header
from frame_forecast.io.base import Frame, Reader, Source, Time, Writer, reading, suffix_of, writing_file
from frame_forecast.io.grid import Grid, find_grid
from frame_forecast.io.names import Naming, natural_key, numbers_in, times_in
from frame_forecast.io.registry import find_reader, find_store, find_writer, readers, writers

_NAMING = "naming"
"""The key of `Header.meta` under which a series says how its files are named."""


def find_files(source: str | Path | Sequence[str | Path]) -> list[Path]:
    """The files that a path, folder, glob or list means, in natural order; those of a list in its own.

    Of a folder, files of a known suffix that are not hidden.

    Raises:
        DataError: none, or a folder of several formats.
    """
    if not isinstance(source, str | Path):
        if not source:
            raise DataError("no files", "one at least", "check the list")
        return [Path(one) for one in source]
    if source == "":  # Path takes it for the working directory, which no one means by it
        raise DataError("an empty path", "a file, folder or glob", "check what should be there")
    path = Path(source)
    if is_folder(path):
        return _files_in(path)
    files = [place for place in find_places(source) if not is_folder(place)]
    if not files:
        raise DataError(f"{source}, which no file matches", "files of frames", "check the pattern")
    return files


def find_places(source: str | Path) -> list[Path]:
    """The path, or the files and folders that a glob matches, in natural order; of one with ``**`` the files."""
    path = Path(source)
    if path.exists() or not glob.has_magic(str(source)):
        return [path]
    # Path.glob takes no pattern that begins at the root.
    matches = map(Path, glob.glob(str(source), recursive=True))  # noqa: PTH207
    if "**" in str(source):
        matches = (one for one in matches if not is_folder(one))
    return sorted((one for one in matches if one.exists()), key=lambda one: natural_key(str(one)))


def is_folder(path: Path) -> bool:
    """Whether a path is a folder of files, not one file of frames to the user that is a folder on disk."""
    return path.is_dir() and find_store(path) is None


def open_files(files: list[Path], layout: str | None, variable: str | None = None, strict: bool = False) -> Source:
    """A reader of the only file, or a series of several, ``strict`` or not."""
    return open_file(files[0], layout, variable) if len(files) == 1 else Series(files, layout, variable, strict)


def open_file(path: Path, layout: str | None, variable: str | None = None) -> Reader:
    """A reader for a file of whatever format.

    Raises:
        DataError: it is of none that is known, or damaged.
        ConfigError: a layout or variable that it has no use for, or that does not fit.
    """
    with reading(path):
        reader = find_reader(path)
        if layout is not None and not reader.takes_layout:
            raise ConfigError(f"layout {layout!r} for {path}", "none: the file names its axes", "leave it out")
        if variable is not None and not reader.takes_variable:
            raise ConfigError(f"variable {variable!r} for {path}", "none: the file has no variables", "leave it out")
        return _make(reader, path, layout, variable)


def _make(reader: type[Reader], path: Path, layout: str | None, variable: str | None) -> Reader:
    """A reader, which knows of variables only if its files have some."""
    return reader(path, layout, variable) if reader.takes_variable else reader(path, layout)


@final
class Series(Source):
    """Files of one format and size with a frame each.

    Times are those in the files, else those in their names, in whose order the frames then come; a file that
    is missing from a regular series of times or numbers is a missing frame. A file that cannot be read is one too,
    with a warning that names it, and left out if nothing says when it was.

    Args:
        files: two or more, in order.
        layout: of arrays.
        variable: the name of the frames in each file.
        strict: a file that cannot be read is an error.

    Raises:
        DataError: no file that can be read, one that is not there, or one that has several frames or frames unlike
            the first. A damaged file is found when it is read: none is left then, if all are.
    """

    gaps = True

    def __init__(
        self, files: list[Path], layout: str | None, variable: str | None = None, strict: bool = False
    ) -> None:
        first = _first_readable(files, layout, variable)
        self._strict = strict
        self._format, self._first = type(first), first.path
        self._variable = variable
        # One guess for all, so that there is one warning.
        self._layout: str | None = first.header.meta.get("layout") if first.takes_layout else None
        self._suffixes = next(entry.suffixes for entry in readers() if entry.format is self._format)
        self.header = first.header  # what all others must be like
        _require_single(first)
        names = [file.name for file in files]
        naming, times, self._numbers = None, None, None
        if found := times_in(names):
            times, naming = found
        elif numbered := numbers_in(names):
            self._numbers, naming = numbered
        if first.header.times is not None:
            files, times = self._times_inside(files, times)
        order = np.arange(len(files)) if times is None else np.argsort(times, kind="stable")
        self._files = [files[i] for i in order]
        self.header = replace(
            first.header,
            frames=len(files),
            times=None if times is None else times[order],
            meta={**first.header.meta, _NAMING: naming or Naming("", "".join(_suffixes(first.path)))},
        )
        first.close()

    def grid(self) -> Grid | None:
        if self.header.times is not None:
            return find_grid(self.header.times)
        if self._numbers is not None:
            return find_grid(self._numbers, timed=False)
        warnings.warn(
            FrameForecastWarning(
                f"{self._files[0]} and others, whose names differ in more than a time or a number",
                "the frames are taken as they come, and none is inserted where one may be missing",
                "check their order, or name them by time or number",
            ),
            stacklevel=2,
        )
        return None

    def __iter__(self) -> Iterator[Frame]:
        lost: list[tuple[Path, DataError]] = []
        for number, file in enumerate(self._files):
            try:
                with self._open(file) as reader, reading(file):
                    (frame,) = reader
            except DataError as error:
                self._require_damaged(file, error)
                lost.append((file, error))
                frame = Frame.missing(self.header, damaged=True)
            yield frame if self.header.times is None else replace(frame, time=self.header.times[number])
        if len(lost) == len(self._files):
            raise none_readable(self._files, lost[0][1]) from lost[0][1]
        if lost:
            _warn_of_damage(lost, "missing frames", "recreate them, or fetch the files again")

    def _require_damaged(self, file: Path, error: DataError) -> None:
        """Raises the error again unless it says of a file of the series that it cannot be read, which may be."""
        if self._strict or isinstance(error, _MisfitError) or suffix_of(file)[0] not in self._suffixes:
            raise error

    def _open(self, file: Path) -> Reader:
        with reading(file):
            found = find_reader(file)
            reader = _make(found, file, self._layout, self._variable)
            if found is not self._format:  # and can be read: what is cut may look like another format
                raise _MisfitError(
                    f"{file}, of another format than {self._first.name}",
                    f"{self.header.kind} like the others",
                    "give files of one format, with a glob for example",
                )
            _require_single(reader)
            for what in ("shape", "dtype"):
                given, expected = getattr(reader.header, what), getattr(self.header, what)
                if given != expected:
                    raise _MisfitError(
                        f"{file}, with frames of {what} {given}", f"{expected} like the first", "leave it out"
                    )
            return reader

    def _times_inside(self, files: list[Path], named: np.ndarray | None) -> tuple[list[Path], np.ndarray]:
        """Files and their times: for those that cannot be read, those in their names; without any, they are left out.

        Args:
            files: of the series.
            named: the times in their names, if there are any.
        """
        times: dict[int, Time] = {}
        lost: list[tuple[Path, DataError]] = []
        for number, file in enumerate(files):
            try:
                with self._open(file) as reader:
                    if reader.header.times is None:
                        raise _MisfitError(f"{file}, with no time", "one as in the other files", "leave it out")
                    times[number] = reader.header.times[0]
            except DataError as error:
                self._require_damaged(file, error)
                lost.append((file, error))
        read, inside = list(times), np.array(list(times.values()))
        if not lost:
            return files, inside
        if named is None or inside.dtype.kind != "M":
            _warn_of_damage(lost, "left out, as nothing else says when they were", "fetch the files again")
            return [files[number] for number in read], inside
        completed = named + np.median(inside - named[read])  # a name may say the beginning, the file the end
        completed[read] = inside
        return files, completed


@final
class SeriesWriter(Writer):
    """A folder with a file for each frame, named as the files they were read from or ``00000.png`` and on.

    Frames of which nothing is observed leave no file.
    """

    def __init__(self, path: Path, header: Header, target: Path) -> None:
        super().__init__(path, header, target)
        self._naming: Naming = header.meta[_NAMING]
        self._format, _ = self.of_files(header)
        path.mkdir()

    @staticmethod
    def of_files(header: Header) -> tuple[type[Writer], Header]:
        """The writer for each file of a folder, and a header it takes; given one from `header_for`."""
        name = Path(header.meta[_NAMING].name(0, None))
        times = None if header.times is None else header.times[:1]
        return find_writer(name, header.kind).format, replace(header, frames=1, times=times)

    @classmethod
    def suffix(cls, header: Header) -> str:
        """Of the files of a folder that is written with this header, from `header_for`."""
        return header.meta[_NAMING].suffix

    @classmethod
    def header_for(cls, header: Header) -> Header:
        """The header with which a folder is written: PNG unless the frames are of a kind with a frame a file."""
        if _NAMING in header.meta:
            return header
        own = next((one for one in writers() if one.kind == header.kind and one.format.most_frames == 1), None)
        naming = Naming("", own.suffixes[0] if own else ".png")
        return replace(
            header, kind=header.kind if own else "png", meta={_NAMING: naming, **(header.meta if own else {})}
        )

    def _write(self, frame: Frame) -> None:
        if not frame.observed.any():
            return
        name = self._naming.name(self.written, frame.time)
        if (self.path / name).exists():
            raise OutputError(f"two frames named {name} for {self.target}", "a time of its own for each", "check them")
        times = None if frame.time is None else np.array([frame.time])
        header = replace(self.header, frames=1, times=times)
        with writing_file(self._format, self.path / name, header, self.target / name) as writer:
            writer.write(frame)

    def finish(self) -> None:
        if not any(self.path.iterdir()):
            raise OutputError(f"{self.target}, all of whose frames are missing", "one that is not", "fill them first")


def renumbered(header: Header, frames: int) -> Header:
    """The header of frames that follow after so many others: files that are numbered go on from there."""
    naming = header.meta.get(_NAMING)
    if naming is None:
        return header
    later = replace(naming, first=naming.first + frames * naming.step)
    return replace(header, meta={**header.meta, _NAMING: later})


class _MisfitError(DataError):
    """A file that can be read but does not belong to a series."""


def _first_readable(files: list[Path], layout: str | None, variable: str | None) -> Reader:
    """A reader of the first file of a series that has one.

    Raises:
        DataError: a file is not there, or none can be read.
    """
    absent = next((file for file in files if not file.exists()), None)
    if absent is not None:
        raise DataError(f"{absent}, which is no file", "a file of frames", "check the path")
    errors: list[DataError] = []
    for file in files:
        try:
            return open_file(file, layout, variable)
        except DataError as error:
            errors.append(error)
    raise none_readable(files, errors[0]) from errors[0]


def none_readable(files: list[Path], error: FrameForecastError) -> DataError:
    """The error for files of which none can be read, given that of the first."""
    found = error.given + f" (and none of the {len(files)} files can be read)" * (len(files) > 1)
    return DataError(found, error.expected, error.next_step)


def _warn_of_damage(lost: list[tuple[Path, DataError]], meaning: str, next_step: str) -> None:
    """Warns of files that cannot be read, with the reason for the first."""
    others = ", ".join(file.name for file, _ in lost[1:6]) + ", ..." * (len(lost) > 6)
    found = lost[0][1].given + f", and as bad {others} ({len(lost)} files)" * (len(lost) > 1)
    warnings.warn(FrameForecastWarning(found, meaning, next_step), stacklevel=3)


def _require_single(reader: Reader) -> None:
    if reader.header.frames != 1:
        raise _MisfitError(
            f"{reader.path}, with {reader.header.frames or 'several'} frames, among other files",
            "a frame a file",
            "read it by itself",
        )


def _files_in(folder: Path) -> list[Path]:
    kinds: dict[Path, frozenset[str]] = {}
    for file in folder.iterdir():
        fitting = frozenset(one.kind for one in readers() if suffix_of(file)[0] in one.suffixes)
        if fitting and file.is_file() and not file.name.startswith("."):
            kinds[file] = fitting
    if not kinds:
        raise DataError(f"{folder}, a folder with no file of a known format", "frames in it", "check the path")
    if len(set(kinds.values())) > 1:
        found = ", ".join(sorted({file.suffix for file in kinds}))
        raise DataError(f"{folder}, a folder of {found} files", "one format", f"choose with a glob: '{folder}/*.png'")
    return sorted(kinds, key=lambda file: natural_key(file.name))


def _suffixes(file: Path) -> list[str]:
    return [Path(file.stem).suffix, file.suffix] if suffix_of(file)[1] else [file.suffix]
