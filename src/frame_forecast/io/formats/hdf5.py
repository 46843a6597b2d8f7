"""HDF5, through h5py: one array of numbers, wherever it lies in the file; the rest of the file is kept as it is."""

import math
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from io import BytesIO, FileIO
from pathlib import Path
from typing import Any

import numpy as np

from frame_forecast.errors import DataError
from frame_forecast.io import base
from frame_forecast.io.base import require, unreadable
from frame_forecast.io.registry import register_reader, register_writer
from frame_forecast.io.science import EXTRA, ScienceReader, ScienceWriter
from frame_forecast.io.variables import Dataset, Kept, Variable

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
STORAGE = ("compression", "compression_opts", "shuffle", "fletcher32")
"""How an array is stored beside its chunks, as h5py names it."""

CACHE_BYTES = 2**20
"""Of chunks that HDF5 keeps in memory: little, for none is read or written twice."""

SKELETON = "skeleton"
"""The key of `Header.meta` for a file's bytes without its frames."""

_DEFLATE, _DEFLATE_RATIO = 1, 1032  # the filter's number, and to how many times as much it unpacks at the most
_CHECKSUM_BYTES = 4
_MOST_KEPT_BYTES = 2**26
_SUFFIXES = (".h5", ".hdf5", ".hdf", ".he5")


class Disk(FileIO):
    """A file that HDF5 writes through Python.

    HDF5 cannot let go of what it could not write: it reports that again for every object, past all handlers, or
    crashes. So it is told that all went well, and `check` says that it did not.

    Args:
        path: the file; it is made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "r+" if path.exists() else "x+")
        self._failure: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Writes all of ``data``, or nothing more after a failure."""
        done = 0
        with self._remembered():
            while self._failure is None and done < len(data):
                done += super().write(data[done:])
        return len(data)

    def truncate(self, size: int | None = None, /) -> int:
        with self._remembered():
            super().truncate(size)
        return self.tell() if size is None else size

    def check(self) -> None:
        """Raises the OSError of what could not be written."""
        if self._failure is not None:
            raise self._failure

    @contextmanager
    def _remembered(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._failure = self._failure or error


def look_inside(path: Path, head: bytes, question: Callable[[Any], bool]) -> bool:
    """The answer to a question about an open HDF5 file; False for one that is none, is damaged, or cannot be read
    because h5py is not installed: the general reader then says so."""
    if not head.startswith(HDF5_MAGIC):
        return False
    try:
        import h5py

        with h5py.File(path) as file:
            return question(file)
    except (ImportError, OSError, KeyError, RuntimeError):
        return False


def check_array(path: Path, array: Any) -> None:
    """Raises DataError for an array of an open file that is not to be read."""
    _check_own(path, array)
    _check_unpacked(path, array)


def once_checked(path: Path, array: Any, read: Callable[[Any], np.ndarray]) -> Callable[[Any], np.ndarray]:
    """``read``, before whose first call the array is checked."""

    @cache
    def check() -> None:
        check_array(path, array)

    def checked(index: Any) -> np.ndarray:
        check()
        return read(index)

    return checked


def _check_own(path: Path, array: Any) -> None:
    """Raises DataError for values that are in other files: whoever made this one would have chosen which files of this
    machine are read, and what of them stands in the result."""
    virtual = array.is_virtual and any(source.file_name != "." for source in array.virtual_sources())
    if array.external or virtual or Path(array.file.filename) != path:
        raise DataError(
            f"{path}, with values of {array.name} in other files",
            "all of them in the file itself",
            "copy it with a program that follows links, if you trust where they lead",
        )


def _check_unpacked(path: Path, array: Any) -> None:
    """Raises DataError for chunks that unpack to more than they hold, which HDF5 would do in memory."""
    plan = array.id.get_create_plist()
    filters = [plan.get_filter(number)[0] for number in range(plan.get_nfilters())]
    if array.chunks is None or _DEFLATE not in filters:
        return
    if filters.count(_DEFLATE) > 1:
        raise unreadable(path, f"{array.name}, which is packed twice")
    most = math.prod(array.chunks) * array.dtype.itemsize + _CHECKSUM_BYTES
    large: list[tuple[int, ...]] = []

    def note(chunk: Any) -> None:
        if chunk.size * _DEFLATE_RATIO > base.MOST_FRAME_BYTES:  # others cannot fill more memory than a frame may
            large.append(chunk.chunk_offset)

    array.id.chunk_iter(note)
    for place in large:
        left_out, packed = array.id.read_direct_chunk(place)
        is_packed = not left_out >> filters.index(_DEFLATE) & 1
        if is_packed and len(zlib.decompressobj().decompress(packed, most + 1)) > most:
            raise unreadable(path, f"{array.name} with {len(packed)} bytes that unpack to more than a chunk of {most}")


def skeleton(file: Any, left_out: str) -> bytes:
    """An open HDF5 file's bytes without one array, and without others that are too large to keep."""
    h5py = require("h5py", EXTRA)
    copy = BytesIO()
    with h5py.File(copy, "w") as target:

        def take(group: Any, into: Any) -> None:
            into.attrs.update(group.attrs)
            for name in group:
                link = group.get(name, getlink=True)
                if not isinstance(link, h5py.HardLink):
                    into[name] = link  # where it leads may not be there, or be this group
                elif isinstance(group[name], h5py.Group):
                    take(group[name], into.create_group(name))
                elif group[name].name != f"/{left_out}" and getattr(group[name], "nbytes", 0) <= _MOST_KEPT_BYTES:
                    group.copy(name, into, name)

        take(file, target)
    return copy.getvalue()


@register_reader("hdf5", _SUFFIXES)
class Hdf5Reader(ScienceReader):
    """One array, of whatever group: ``group/name``."""

    kind = "hdf5"

    @classmethod
    def sniff(cls, path: Path, head: bytes) -> bool:
        return head.startswith(HDF5_MAGIC)

    @contextmanager
    def dataset(self) -> Iterator[Dataset]:
        with require("h5py", EXTRA).File(self.path, rdcc_nbytes=CACHE_BYTES) as file:
            self._open = file
            variables: dict[str, Variable] = {}

            def visit(name: str, one: Any) -> None:
                if hasattr(one, "shape") and one.shape is not None:
                    storage = {key: getattr(one, key) for key in STORAGE}
                    attributes = {key: _plain(value) for key, value in one.attrs.items()}

                    read = once_checked(self.path, one, one.__getitem__)
                    variables[name] = Variable(one.shape, one.dtype, attributes, read, None, one.chunks, storage)

            file.visititems(visit)
            yield Dataset(variables, {})

    def own_meta(self, dataset: Dataset) -> dict[str, Any]:
        return {SKELETON: skeleton(self._open, self.template.name)}


def _plain(value: Any) -> Any:
    """An attribute with text as str."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value


class DiskWriter(ScienceWriter):
    """A writer of an HDF5 file on a `Disk`, which a full disk fails with an OSError and nothing else.

    Attributes:
        disk: what the library that `start` opens is to write to.
    """

    _file: Any = None

    @cached_property
    def disk(self) -> Disk:
        return Disk(self.path)

    def check(self) -> None:
        self.disk.check()

    def finish(self) -> None:
        super().finish()
        self.close()  # which writes what waits in memory
        self.check()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self.disk.close()


@register_writer("hdf5", _SUFFIXES)
class Hdf5Writer(DiskWriter):
    """The file that was read with other frames in it; its arrays of more than 64 MiB are left out."""

    def start(self, shape: tuple[int, ...]) -> Any:
        template = self.template
        own = self.header.meta.get(SKELETON)
        if own is not None:
            self.path.write_bytes(own)
        mode = "w" if own is None else "r+"
        self._file = require("h5py", EXTRA).File(self.disk, mode, rdcc_nbytes=CACHE_BYTES)
        storage = {key: template.storage[key] for key in STORAGE if template.storage.get(key)}
        growing = tuple(None if size == 0 else size for size in shape)
        array = self._file.create_dataset(
            template.name,
            shape,
            template.packing.stored_dtype,
            chunks=template.chunks,
            maxshape=growing if 0 in shape else None,
            **storage,
        )
        array.attrs.update(template.attributes)
        self._frames = array
        return array

    def extend(self, shape: tuple[int, ...]) -> None:
        self._frames.resize(shape)

    def add(self, name: str, one: Kept) -> None:
        if name in self._file:
            if name != self.template.time:
                return
            del self._file[name]
        own = self._file.create_dataset(name, data=np.asarray(one.values))
        own.attrs.update(one.attributes)
