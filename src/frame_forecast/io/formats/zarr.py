"""Zarr, versions 2 and 3: a folder of arrays in chunks, with the attributes that xarray gives them."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from frame_forecast.errors import DataError
from frame_forecast.io.base import require
from frame_forecast.io.registry import register_reader, register_writer
from frame_forecast.io.science import EXTRA, ScienceReader, ScienceWriter
from frame_forecast.io.variables import Dataset, Kept, Variable

_MARKS = ("zarr.json", ".zgroup", ".zarray")
_DIMS = "_ARRAY_DIMENSIONS"
"""Where version 2 has the names of the axes."""

_SUFFIXES = (".zarr",)


@register_reader("zarr", _SUFFIXES)
class ZarrReader(ScienceReader):
    """One array of a group, ``name`` or ``group/name``."""

    kind = "zarr"
    folder = True

    @classmethod
    def sniff(cls, path: Path, head: bytes) -> bool:
        return any((path / mark).is_file() for mark in _MARKS)

    @contextmanager
    def dataset(self) -> Iterator[Dataset]:
        zarr = require("zarr", EXTRA)
        group = zarr.open(self.path, mode="r")
        if not isinstance(group, zarr.Group):
            raise DataError(f"{self.path}, a single Zarr array", "a group with arrays in it", "save it in a group")
        self._version = group.metadata.zarr_format
        yield Dataset({name: _variable(one) for name, one in self._arrays(group, self.path)}, dict(group.attrs))

    def _arrays(self, group: Any, folder: Path) -> Iterator[tuple[str, Any]]:
        """The arrays of a group, and of those in it, in an order that is the same on every machine.

        One after another: zarr's own `members` asks for all at once and reports what is wrong with each but the
        first past all handlers.
        """
        for place in sorted(one for one in folder.iterdir() if self.sniff(one, b"")):
            member = group[place.name]
            if isinstance(member, type(group)):
                yield from ((f"{place.name}/{name}", one) for name, one in self._arrays(member, place))
            else:
                yield place.name, member

    def own_meta(self, dataset: Dataset) -> dict[str, Any]:
        return {"zarr_format": self._version}


def _variable(one: Any) -> Variable:
    attributes = dict(one.attrs)
    metadata = one.metadata
    storage = {"filters": one.filters, "compressors": one.compressors, "fill_value": one.fill_value}
    if metadata.zarr_format == 2:
        dims = attributes.pop(_DIMS, None)
        if dims is not None and one.fill_value is not None:
            attributes.setdefault("_FillValue", one.fill_value)  # as xarray has it
    else:
        dims = metadata.dimension_names
        fill = attributes.get("_FillValue")
        if isinstance(fill, str) and one.dtype.kind == "f":  # as xarray writes what JSON cannot
            attributes["_FillValue"] = np.frombuffer(base64.standard_b64decode(fill), "<f8")[0]
    named = tuple(dims) if isinstance(dims, list | tuple) and all(isinstance(dim, str) for dim in dims) else None
    return Variable(
        one.shape,
        one.dtype,
        attributes,
        lambda index: np.asarray(one[index]),
        named,
        one.shards or one.chunks,
        storage,
    )


@register_writer("zarr", _SUFFIXES)
class ZarrWriter(ScienceWriter):
    """A folder; of the version that was read, else 3."""

    folder = True

    def start(self, shape: tuple[int, ...]) -> Any:
        template = self.template
        self._version = self.header.meta.get("zarr_format", 3)
        self._group = require("zarr", EXTRA).open_group(self.path, mode="w", zarr_format=self._version)
        self._group.attrs.update({key: _for_json(value) for key, value in template.file_attributes.items()})
        self._frames = self._create(
            template.name,
            shape,
            template.packing.stored_dtype,
            template.dims,
            template.attributes,
            chunks=template.chunks or "auto",
            **template.storage,
        )
        return self._frames

    def extend(self, shape: tuple[int, ...]) -> None:
        self._frames.resize(shape)

    def add(self, name: str, one: Kept) -> None:
        own = self._create(name, one.values.shape, one.values.dtype, one.dims, one.attributes)
        own[...] = one.values

    def _create(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: np.dtype,
        dims: tuple[str, ...] | None,
        attributes: Any,
        **storage: Any,
    ) -> Any:
        own = dict(attributes)
        if self._version == 2:
            if dims is not None:
                own[_DIMS] = list(dims)
                storage["fill_value"] = own.pop("_FillValue", None)
        else:
            fill = own.get("_FillValue")
            if fill is not None and dtype.kind == "f":
                own["_FillValue"] = base64.standard_b64encode(np.array(fill, "<f8").tobytes()).decode()
            storage["dimension_names"] = dims
        own = {key: _for_json(value) for key, value in own.items()}
        return self._group.create_array(name, shape=shape, dtype=dtype, attributes=own, **storage)


def _for_json(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
