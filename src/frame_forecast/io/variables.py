"""Arrays with names, axes and attributes, and which of them holds the frames: for NetCDF, HDF5 and Zarr."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from frame_forecast.errors import ConfigError, DataError
from frame_forecast.io import base, moments
from frame_forecast.io.layout import from_frame, resolve_layout, to_frame
from frame_forecast.io.packing import Packing

_MOST_BLOCK_BYTES = 2**26
_MOST_KEPT_BYTES = 2**26
_VERTICAL = ("latitude", "projection_y_coordinate", "grid_latitude")
_HORIZONTAL = ("longitude", "projection_x_coordinate", "grid_longitude")
_NAMES = {
    "T": ("time", "t", "valid_time", "frame"),
    "C": ("c", "channel", "channels", "band", "bands", "rgb"),
    "H": ("y", "lat", "latitude", "row", "rows", "nj", "south_north"),
    "W": ("x", "lon", "longitude", "column", "columns", "ni", "west_east"),
}


@dataclass(frozen=True)
class Variable:
    """One array of a file.

    Args:
        shape, dtype: of the array.
        attributes: text as str, numbers as they are.
        read: the part at an index.
        dims: names of the axes; None where the file has none.
        chunks: in which it is stored; None = in one piece.
        storage: what else its format needs to store it the same way.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    attributes: Mapping[str, Any]
    read: Callable[[Any], np.ndarray]
    dims: tuple[str, ...] | None = None
    chunks: tuple[int, ...] | None = None
    storage: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Dataset:
    """A file's arrays by name, and its own attributes."""

    variables: Mapping[str, Variable]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Kept:
    """An array that is small and does not depend on the frames: coordinates, a grid, a projection."""

    values: np.ndarray
    dims: tuple[str, ...] | None
    attributes: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Template:
    """How frames lay in a file, and all that the file had beside them.

    Args:
        name: of their variable.
        axes: of it: letters of ``TCHW``, and 1 for any other of length 1.
        dims: their names; None where the file has none.
        packing: of the values.
        attributes: of the variable.
        chunks, storage: as for `Variable`.
        time: the name of the variable of times; empty if there is none.
        kept: other variables by name; those of single dates move with the frame's time.
        file_attributes: of the file.
    """

    name: str
    axes: str
    dims: tuple[str, ...] | None
    packing: Packing
    attributes: Mapping[str, Any] = field(default_factory=dict)
    chunks: tuple[int, ...] | None = None
    storage: Mapping[str, Any] = field(default_factory=dict)
    time: str = ""
    kept: Mapping[str, Kept] = field(default_factory=dict)
    file_attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def within(self) -> str:
        """Axes of one frame, letters of ``CHW``."""
        return self.axes.replace("T", "").replace("1", "")

    def index(self, frames: slice | int) -> tuple[Any, ...]:
        """Of frames in the array."""
        return tuple(frames if letter == "T" else 0 if letter == "1" else slice(None) for letter in self.axes)

    def block(self, frame_bytes: int, frames: int) -> int:
        """How many frames are best read or written at once: those of a chunk, if that is no more than 64 MiB."""
        if "T" not in self.axes or self.chunks is None:
            return 1
        return max(1, min(self.chunks[self.axes.index("T")], frames, _MOST_BLOCK_BYTES // frame_bytes))

    def split(self, block: np.ndarray) -> Iterator[np.ndarray]:
        """The frames ``(C, H, W)`` of what is at ``index`` of a slice."""
        if "T" not in self.axes:
            yield to_frame(block, self.within)
            return
        axes = self.axes.replace("1", "")
        for one in np.moveaxis(block, axes.index("T"), 0):
            yield to_frame(one, self.within)

    def join(self, frames: list[np.ndarray]) -> np.ndarray:
        """The opposite of `split`."""
        arrays = [from_frame(one, self.within) for one in frames]
        return np.stack(arrays, self.axes.replace("1", "").index("T")) if "T" in self.axes else arrays[0]


def choose_variable(path: Path, shapes: Mapping[str, tuple[int, ...]], variable: str | None) -> str:
    """The name of the frames' variable: the one asked for, or the only one of the most axes.

    Args:
        path: for messages.
        shapes: of all variables of numbers that are no coordinates.
        variable: its name; None = the only one of 3 axes or more or, where there is none, of 2.

    Raises:
        ConfigError: there is none of that name.
        DataError: none at all, or several.
    """
    listed = ", ".join(f"{name} {shape}" for name, shape in shapes.items()) or "none"
    if variable is not None:
        if variable not in shapes:
            raise ConfigError(f"variable {variable!r} of {path}", f"one of {listed}", "choose one of these")
        return variable
    for axes in (3, 2):
        likely = [name for name, shape in shapes.items() if len(shape) >= axes]
        if len(likely) == 1:
            return likely[0]
        if likely:
            found = ", ".join(f"{name} {shapes[name]}" for name in likely)
            raise DataError(f"{path}, with variables {found}", "one of frames", "choose with variable")
    raise DataError(f"{path}, with variables {listed}", "one of frames, of 2 axes or more", "check the file")


def check_chunks(path: Path, one: Variable) -> None:
    """Raises DataError for chunks larger than any frame: they are taken into memory whole, however small the array."""
    size = math.prod(one.chunks or (0,)) * one.dtype.itemsize
    if size > base.MOST_FRAME_BYTES:
        raise DataError(
            f"{path}: chunks of {one.chunks} {one.dtype}",
            f"{base.MOST_FRAME_BYTES // 2**20} MiB a chunk at most",
            "store it in smaller chunks",
        )


def coordinates_of(dataset: Dataset) -> set[str]:
    """The variables that say where or when others are."""
    found = set()
    for name, one in dataset.variables.items():
        for key in ("coordinates", "bounds", "climatology", "grid_mapping"):
            found.update(str(one.attributes.get(key, "")).split())
        positions = (*_VERTICAL, *_HORIZONTAL)
        if one.dims == (name,) or one.attributes.get("standard_name") in positions or moments.is_dated(one.attributes):
            found.add(name)
    return found


def axes_of(path: Path, name: str, dataset: Dataset, layout: str | None) -> str:
    """The axes of a variable, as in `Template`.

    Raises:
        DataError: fewer than 2, or more than one beside time, height and width that is longer than 1.
        ConfigError: a layout that does not fit.
    """
    one = dataset.variables[name]
    if one.dims is None or layout is not None:
        return resolve_layout(path, one.shape, layout)
    letters = [_letter(dim, dataset) for dim in one.dims]
    letters = [letter if letters.count(letter) == 1 else "" for letter in letters]
    free = [i for i, letter in enumerate(letters) if not letter]
    for letter in ("W", "H"):  # axes of no known name: the last ones, as in C
        if letter not in letters and free:
            letters[free.pop()] = letter
    for i in list(free):
        if one.shape[i] == 1:
            letters[i] = "1"
            free.remove(i)
    for letter in ("T", "C"):
        if letter not in letters and free:
            letters[free.pop(0)] = letter
    if free or not {"H", "W"} <= set(letters):
        sizes = ", ".join(f"{dim} {size}" for dim, size in zip(one.dims, one.shape, strict=True))
        raise DataError(f"{path}: {name} with axes {sizes}", "time, channel, height and width at most", "cut it")
    return "".join(letters)


def _letter(dim: str, dataset: Dataset) -> str:
    """What a dimension is by its coordinate or its name; empty = unknown."""
    attributes = dataset.variables[dim].attributes if dim in dataset.variables else {}
    if moments.is_dated(attributes):
        return "T"
    standard, axis = attributes.get("standard_name"), str(attributes.get("axis", "")).upper()
    if standard in _VERTICAL or axis == "Y":
        return "H"
    if standard in _HORIZONTAL or axis == "X":
        return "W"
    return next((letter for letter, names in _NAMES.items() if dim.lower() in names), "")


def find_time(name: str, axes: str, dataset: Dataset) -> str:
    """The variable of the frames' times; empty if there is none."""
    one = dataset.variables[name]
    frames = one.shape[axes.index("T")] if "T" in axes else 1
    shape = (frames,) if "T" in axes else ()
    dim = one.dims[axes.index("T")] if one.dims is not None and "T" in axes else None
    likely = {
        key: time
        for key, time in dataset.variables.items()
        if time.dtype.kind in "uif"
        and (time.shape == shape or (not shape and time.shape == (1,)))
        and (dim is None or time.dims == (dim,))
        and (moments.is_dated(time.attributes) or (_leaf(key) in _NAMES["T"] and "units" in time.attributes and shape))
    }

    def rank(key: str) -> tuple[bool, bool, bool]:
        return key != dim, likely[key].attributes.get("standard_name") != "time", _leaf(key) not in _NAMES["T"]

    return min(likely, key=rank, default="")


def _leaf(name: str) -> str:
    return name.rpartition("/")[2].lower()


def keep(path: Path, name: str, axes: str, dataset: Dataset, time: str) -> dict[str, Kept]:
    """The variables that a copy of the file with other frames can have, too."""
    frames = dataset.variables[name]
    along = frames.dims[axes.index("T")] if frames.dims is not None and "T" in axes else None
    coordinates = coordinates_of(dataset)
    kept = {}
    for key, one in dataset.variables.items():
        of_frames = along in (one.dims or ()) if along is not None else one.dims == frames.dims
        large = one.dtype.itemsize * int(np.prod(one.shape, dtype=np.float64)) > _MOST_KEPT_BYTES
        if key in (name, time) or large or (of_frames and (along is not None or key not in coordinates)):
            continue
        check_chunks(path, one)
        kept[key] = Kept(one.read(()), one.dims, one.attributes)
    if time:
        one = dataset.variables[time]
        check_chunks(path, one)
        kept[time] = Kept(one.read(()), one.dims, one.attributes)
    return kept


def hours_of(path: Path, dataset: Dataset, time: str) -> float | None:
    """For how long what a frame shows was gathered: its time's bounds, or from the only other date in the file.

    Returns:
        None where the file does not say.
    """
    if not time:
        return None
    own = dataset.variables[time]
    bounds = dataset.variables.get(str(own.attributes.get("bounds", "")))
    if bounds is not None and bounds.shape == (*own.shape, 2):
        ends = [(number, own.attributes) for number in bounds.read(()).reshape(-1, 2)[0]]
    else:
        single = [one for one in dataset.variables.values() if moments.is_dated(one.attributes) and one.shape == ()]
        if own.shape != () or len(single) != 2:
            return None
        ends = [(one.read(()), one.attributes) for one in single]
    dates = [moments.decode(f"{path}: {time}", np.asarray(number), attributes) for number, attributes in ends]
    if any(date is None or date.dtype.kind != "M" for date in dates):
        return None
    first, second = (date for date in dates if date is not None)
    return abs(float((first - second) / np.timedelta64(1, "h")))
