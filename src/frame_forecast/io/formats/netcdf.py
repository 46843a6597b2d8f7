"""NetCDF-4, through h5netcdf: the variable of frames with its coordinates, packing and attributes (CF conventions)."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from frame_forecast.errors import ConfigError, DataError
from frame_forecast.io.base import require
from frame_forecast.io.formats.hdf5 import CACHE_BYTES, HDF5_MAGIC, STORAGE, DiskWriter, look_inside, once_checked
from frame_forecast.io.registry import register_reader, register_writer
from frame_forecast.io.science import EXTRA, ScienceReader
from frame_forecast.io.variables import Dataset, Kept, Variable

_SUFFIXES = (".nc", ".nc4", ".cdf", ".netcdf")
_CLASSIC = b"CDF"
_GROUP = "group"
"""The key of `Header.meta` for the group in which the variable is; empty = the root."""


@register_reader("netcdf", _SUFFIXES, rank=1)
class NetcdfReader(ScienceReader):
    """One variable of the root group, or of another one: ``group/name``."""

    kind = "netcdf"

    def __init__(self, path: Path, layout: str | None = None, variable: str | None = None) -> None:
        self._group, _, name = (variable or "").strip("/").rpartition("/")
        super().__init__(path, layout, name or None)

    @classmethod
    def sniff(cls, path: Path, head: bytes) -> bool:
        if head.startswith(_CLASSIC):
            return head[3:4] in (b"\x01", b"\x02", b"\x05")
        # Every NetCDF-4 file is an HDF5 file; what makes it one is that its axes have names.
        named = path.suffix.lower() in _SUFFIXES or look_inside(path, head, _has_dimensions)
        return head.startswith(HDF5_MAGIC) and named

    @contextmanager
    def dataset(self) -> Iterator[Dataset]:
        with self.path.open("rb") as file:
            if file.read(3) == _CLASSIC:
                raise DataError(
                    f"{self.path}, a classic NetCDF file", "NetCDF-4", f"run: nccopy -k nc4 {self.path} new.nc"
                )
        h5netcdf, h5py = require("h5netcdf", EXTRA), require("h5py", EXTRA)
        # Opened by h5py first: h5netcdf complains a second time, past all handlers, of a file that it cannot open,
        # or of whose attributes it cannot read this one, with which it begins.
        with h5py.File(self.path, rdcc_nbytes=CACHE_BYTES) as inner:
            inner.attrs.get("_nc3_strict")
            with h5netcdf.File(inner, "r") as file:
                if self._group and self._group not in file:
                    raise ConfigError(f"group {self._group!r} of {self.path}", "one of the file", "check the variable")
                group = file[self._group] if self._group else file
                variables = {name: _variable(self.path, one, group) for name, one in group.variables.items()}
                yield Dataset(variables, dict(group.attrs))

    def own_meta(self, dataset: Dataset) -> dict[str, Any]:
        return {_GROUP: self._group}


def _has_dimensions(file: Any) -> bool:
    return "_NCProperties" in file.attrs or any(
        one.attrs.get("CLASS") == b"DIMENSION_SCALE" for one in file.values() if hasattr(one, "is_scale")
    )


def _variable(path: Path, one: Any, group: Any) -> Variable:
    stored = one._h5ds

    storage = {key: getattr(stored, key) for key in STORAGE}
    storage["unlimited"] = tuple(dim for dim in one.dimensions if group.dimensions[dim].isunlimited())
    return Variable(
        one.shape,
        stored.dtype,
        dict(one.attrs),
        once_checked(path, stored, lambda index: np.asarray(one[index])),
        tuple(one.dimensions),
        stored.chunks,
        storage,
    )


@register_writer("netcdf", _SUFFIXES)
class NetcdfWriter(DiskWriter):
    """NetCDF-4; time is unlimited if it was, or if the number of frames is not known beforehand."""

    def start(self, shape: tuple[int, ...]) -> Any:
        template = self.template
        self._file = require("h5netcdf", EXTRA).File(self.disk, "w", rdcc_nbytes=CACHE_BYTES)
        place = self.header.meta.get(_GROUP)
        self._group = self._file.create_group(place) if place else self._file
        self._group.attrs.update(template.file_attributes)
        dims = template.dims or ()
        unlimited = template.storage.get("unlimited", ())
        self._along = ""
        for letter, dim, size in zip(template.axes, dims, shape, strict=True):
            if letter == "T":
                self._along = dim
            self._group.dimensions[dim] = None if size == 0 or dim in unlimited else size
            if size and dim in unlimited:
                self._group.resize_dimension(dim, size)
        storage = {key: template.storage[key] for key in STORAGE if template.storage.get(key)}
        dtype = template.packing.stored_dtype
        return self._create(template.name, dims, dtype, template.attributes, chunks=template.chunks, **storage)

    def extend(self, shape: tuple[int, ...]) -> None:
        self._group.resize_dimension(self._along, shape[self.template.axes.index("T")])

    def add(self, name: str, one: Kept) -> None:
        dims = one.dims or ()
        for dim, size in zip(dims, one.values.shape, strict=True):
            if dim not in self._group.dimensions:
                self._group.dimensions[dim] = size
        own = self._create(name, dims, one.values.dtype, one.attributes)
        own[...] = one.values

    def _create(self, name: str, dims: tuple[str, ...], dtype: np.dtype, attributes: Any, **storage: Any) -> Any:
        kind = require("h5py", EXTRA).string_dtype() if dtype.kind in "OU" else dtype
        own = self._group.create_variable(name, dims, kind, fillvalue=attributes.get("_FillValue"), **storage)
        own.attrs.update({key: value for key, value in attributes.items() if key != "_FillValue"})
        return own
