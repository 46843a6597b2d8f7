"""Formats by content and by name."""

import functools
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from frame_forecast.errors import DataError, OutputError
from frame_forecast.io import formats
from frame_forecast.io.base import GZIP_MAGIC, Reader, Writer, first_bytes, suffix_of, unreadable

_Format = TypeVar("_Format", type[Reader], type[Writer])
_ReaderClass = TypeVar("_ReaderClass", bound=type[Reader])
_WriterClass = TypeVar("_WriterClass", bound=type[Writer])


@dataclass(frozen=True)
class Entry(Generic[_Format]):
    """One registered reader or writer.

    Args:
        kind: the format's name.
        suffixes: of its files, lower case, the usual one first.
        rank: those of higher rank are asked first.
        format: the class.
    """

    kind: str
    suffixes: tuple[str, ...]
    rank: int
    format: _Format


_READERS: list[Entry[type[Reader]]] = []
_WRITERS: list[Entry[type[Writer]]] = []


def register_reader(kind: str, suffixes: tuple[str, ...], rank: int = 0) -> Callable[[_ReaderClass], _ReaderClass]:
    """Class decorator: makes a reader known; see `base` for how to write one.

    Args:
        kind: the format's name, as in `Header.kind`.
        suffixes: of its files, lower case with the dot. One that others have too is no harm: content decides.
        rank: above 0 for a special case of another format, which is then asked first.
    """

    def add(reader: _ReaderClass) -> _ReaderClass:
        _READERS.append(Entry(kind, suffixes, rank, reader))
        return reader

    return add


def register_writer(kind: str, suffixes: tuple[str, ...], rank: int = 0) -> Callable[[_WriterClass], _WriterClass]:
    """Class decorator: makes a writer known.

    Args:
        kind: the format's name: frames that were read as this kind are written by this writer, wherever its
            suffixes allow it.
        suffixes: of its files, lower case with the dot, the usual one first.
        rank: above 0 for a special case of another format, which is then used for its own kind alone.
    """

    def add(writer: _WriterClass) -> _WriterClass:
        _WRITERS.append(Entry(kind, suffixes, rank, writer))
        return writer

    return add


def readers() -> list[Entry[type[Reader]]]:
    """Every reader, in the order in which they are asked."""
    _import_formats()
    return sorted(_READERS, key=lambda entry: (-entry.rank, entry.kind))


def writers() -> list[Entry[type[Writer]]]:
    """Every writer, the general ones first."""
    _import_formats()
    return sorted(_WRITERS, key=lambda entry: (entry.rank, entry.kind))


def find_reader(path: Path) -> type[Reader]:
    """The reader for a file.

    Raises:
        DataError: the file is not there, is empty, or is of no known format.
    """
    if path.is_dir() and (store := find_store(path)) is not None:
        return store
    if not path.is_file():
        raise DataError(f"{path}, which is no file", "a file of frames", "check the path")
    head = first_bytes(path)
    if not head:
        raise unreadable(path, "0 bytes")
    with path.open("rb") as file:
        gzipped = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    files = (entry for entry in readers() if not entry.format.folder)
    entry = next((entry for entry in files if entry.format.sniff(path, head)), None)
    if entry is None:
        meant = " or ".join(entry.kind for entry in readers() if suffix_of(path)[0] in entry.suffixes)
        known = ", ".join(sorted({entry.kind for entry in readers()}))
        found = f"{path}, which begins with {head[:8]!r}" + (f" and so is not {meant}" if meant else "")
        raise DataError(found, f"a format that is known: {known}", "check the file, or convert it")
    if gzipped and not entry.format.gzipped:
        raise DataError(f"{path}, {entry.kind} packed with gzip", "it unpacked", f"run: gunzip {path}")
    return entry.format


def find_store(path: Path) -> type[Reader] | None:
    """The reader for a folder that is one file of frames to the user; None if it is a folder of files."""
    folders = (entry.format for entry in readers() if entry.format.folder)
    return next((reader for reader in folders if reader.sniff(path, b"")), None)


def makes_store(path: Path) -> bool:
    """Whether a file of this name is a folder on disk."""
    return any(entry.format.folder and suffix_of(path)[0] in entry.suffixes for entry in writers())


def find_writer(path: Path, kind: str) -> Entry[type[Writer]]:
    """The writer for a file's name, of the kind that the frames were read as if it can be.

    Raises:
        OutputError: no format has such a suffix, or it is not packed with gzip.
    """
    suffix, gzipped = suffix_of(path)
    fitting = [entry for entry in writers() if suffix in entry.suffixes]
    if not fitting:
        known = ", ".join(sorted({suffix for entry in writers() for suffix in entry.suffixes}))
        raise OutputError(f"{path} with suffix {suffix!r}", f"one of {known}", "choose the format by the suffix")
    entry = next((entry for entry in fitting if entry.kind == kind), fitting[0])
    if gzipped and not entry.format.gzipped:
        raise OutputError(f"{path}", f"{entry.kind} files without .gz", f"write to {path.with_suffix('')}")
    return entry


@functools.cache
def _import_formats() -> None:
    for module in pkgutil.iter_modules(formats.__path__):
        importlib.import_module(f"{formats.__name__}.{module.name}")
