"""What NetCDF, HDF5 and Zarr share: a reader and a writer of one array among several, its packing and its times."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from frame_forecast.errors import OutputError
from frame_forecast.header import Header
from frame_forecast.io import moments
from frame_forecast.io.base import Frame, Reader, Time, Writer
from frame_forecast.io.layout import default_scale, split_shape
from frame_forecast.io.packing import Packing
from frame_forecast.io.rain import is_rain, rain_scale
from frame_forecast.io.variables import (
    Dataset,
    Kept,
    Template,
    axes_of,
    check_chunks,
    choose_variable,
    coordinates_of,
    find_time,
    hours_of,
    keep,
)

EXTRA = "frame-forecast[science]"
"""What pip calls the packages that these formats need."""

TEMPLATE = "template"
"""The key of `Header.meta` for a `Template`."""

_ANY_NUMBER = 2**31
_DATE_UNITS = {"units": "seconds since 1970-01-01", "calendar": "proleptic_gregorian", "standard_name": "time"}


class ScienceReader(Reader):
    """One array of a file with several; ``meta`` has its `Template`.

    What the packing says is missing is unobserved. A time that a regular series lacks is a missing frame.

    Attributes:
        kind: the format's name, as it is registered.
    """

    gaps = True
    takes_layout = True
    takes_variable = True
    kind: ClassVar[str]

    def __init__(self, path: Path, layout: str | None = None, variable: str | None = None) -> None:
        super().__init__(path, layout, variable)
        with self.dataset() as dataset:
            coordinates = coordinates_of(dataset)
            shapes = {
                kinds: {
                    name: one.shape
                    for name, one in dataset.variables.items()
                    if one.dtype.kind in kinds and (name not in coordinates or name == variable)
                }
                for kinds in ("uif", "b")
            }
            name = choose_variable(path, shapes["uif"] or shapes["b"], variable)  # what is bool may be their mask
            one = dataset.variables[name]
            axes = axes_of(path, name, dataset, layout)
            packing = Packing.of_attributes(path, one.dtype, one.attributes)
            shape = tuple(size for letter, size in zip(axes, one.shape, strict=True) if letter != "1")
            T, (C, H, W) = split_shape(path, shape, axes.replace("1", ""), packing.values_dtype)
            check_chunks(path, one)
            time = find_time(name, axes, dataset)
            kept = keep(path, name, axes, dataset, time)
            times = None
            if time:
                times = moments.decode(f"{path}: {time}", kept[time].values.reshape(-1), kept[time].attributes)
            if times is None:
                kept.pop(time, None)
                time = ""
            units = str(one.attributes.get("units", ""))
            scale = default_scale(packing.dtype) if packing.is_plain else None
            if is_rain(name, str(one.attributes.get("standard_name", ""))):
                scale = rain_scale(units, hours_of(path, dataset, time)) or scale
            self.template = Template(
                name, axes, one.dims, packing, one.attributes, one.chunks, one.storage, time, kept, dataset.attributes
            )
            meta = {TEMPLATE: self.template, **self.own_meta(dataset)}
        if one.dims is None or layout is not None:
            meta["layout"] = axes
        self.header = Header(self.kind, T, C, H, W, packing.values_dtype, scale, None, times, meta, units)

    @abc.abstractmethod
    def dataset(self) -> AbstractContextManager[Dataset]:
        """The file's arrays, to be read within the block."""

    def own_meta(self, dataset: Dataset) -> dict[str, Any]:
        """What the writer of this kind needs beside the template."""
        return {}

    def __iter__(self) -> Iterator[Frame]:
        template, header = self.template, self.header
        frames, times = header.frames or 1, header.times
        step = template.block(header.frame_bytes, frames)
        with self.dataset() as dataset:
            read = dataset.variables[template.name].read
            for start in range(0, frames, step):
                block = read(template.index(slice(start, start + step)))
                for number, codes in enumerate(template.split(block), start):
                    values, known = template.packing.unpack(codes)
                    observed = np.asarray(known.all(axis=0, keepdims=True))
                    yield Frame(values, observed, None if times is None else times[number])


class ScienceWriter(Writer):
    """One array with its coordinates and attributes, packed as it was read.

    What depends on the frames beside their times is not written: it would speak of others. Missing pixels have
    the first of the codes that say so, NaN in floats without one.
    """

    def __init__(self, path: Path, header: Header, target: Path) -> None:
        super().__init__(path, header, target)
        self.template = template_for(header)
        template = self.template
        sizes = dict(zip("TCHW1", (header.frames or 0, *header.shape, 1), strict=True))
        shape = tuple(sizes[letter] for letter in template.axes)
        self._block = template.block(header.frame_bytes, header.frames or _ANY_NUMBER)
        if template.chunks is not None:
            chunks = tuple(
                self._block if letter == "T" else min(chunk, size)
                for letter, chunk, size in zip(template.axes, template.chunks, shape, strict=True)
            )
            self.template = replace(template, chunks=chunks)
        elif header.frames is None:  # only what is in chunks can grow
            chunks = tuple(1 if letter == "T" else size for letter, size in zip(template.axes, shape, strict=True))
            self.template = replace(template, chunks=chunks)
        self._waiting: list[np.ndarray] = []
        self._times: list[Time] = []
        self._array = self.start(shape)

    @abc.abstractmethod
    def start(self, shape: tuple[int, ...]) -> Any:
        """Makes the file and in it the array of the frames, which is returned: what can be written to by index.

        Args:
            shape: of the array; 0 frames = `extend` says how many there are.
        """

    @abc.abstractmethod
    def extend(self, shape: tuple[int, ...]) -> None:
        """Gives the array another shape: more frames."""

    @abc.abstractmethod
    def add(self, name: str, one: Kept) -> None:
        """Makes another array."""

    def check(self) -> None:
        """Raises the OSError of what could not be written, for libraries that do not do so themselves."""

    def _write(self, frame: Frame) -> None:
        packing = self.template.packing
        known = np.broadcast_to(frame.observed, frame.values.shape)
        if frame.values.dtype.kind == "f":
            known = known & np.isfinite(frame.values)
        if packing.dtype.kind != "f" and not packing.missing and not known.all():
            raise OutputError(
                f"missing pixels in frame {self.written} for {self.target}",
                f"none: {self.template.name} has no code that says so",
                "fill them first, or write .npz, which has a mask",
            )
        self._waiting.append(packing.pack(frame.values, known))
        if frame.time is not None:
            self._times.append(frame.time)
        if len(self._waiting) == self._block:
            self._flush(self.written + 1)

    def _flush(self, written: int) -> None:
        """Writes the frames that wait, the last of ``written``."""
        template = self.template
        if "T" in template.axes and self.header.frames is None:
            sizes = dict(zip("TCHW1", (written, *self.header.shape, 1), strict=True))
            self.extend(tuple(sizes[letter] for letter in template.axes))
        self._array[template.index(slice(written - len(self._waiting), written))] = template.join(self._waiting)
        self.check()
        self._waiting = []

    def finish(self) -> None:
        if self._waiting:
            self._flush(self.written)
        template = self.template
        times = np.array(self._times) if len(self._times) == self.written else None
        for name, one in template.kept.items():
            if name == template.time:
                if times is not None:
                    self.add(name, self._at_times(one, times, times[:0]))
            elif times is not None and moments.is_dated(one.attributes) and one.values.size == 1 and template.time:
                self.add(name, self._at_times(one, times, template.kept[template.time].values.reshape(-1)[:1]))
            else:
                self.add(name, one)

    def _at_times(self, one: Kept, times: np.ndarray, start: np.ndarray) -> Kept:
        """A variable of dates for these frames.

        Args:
            one: as it was in the file.
            times: ``(frames,)``.
            start: the number of the file's own time, from which ``one`` keeps its distance; empty = none.
        """
        template = self.template
        if start.size:
            own = moments.decode(template.time, start, template.kept[template.time].attributes)
            before = moments.decode(self.target.name, one.values.reshape(-1), one.attributes)
            if own is None or before is None or own.dtype.kind != times.dtype.kind:
                return one
            times = times + (before - own)
        attributes = one.attributes
        if moments.is_dated(attributes) != (times.dtype.kind == "M"):
            attributes = _time_attributes(times)
        numbers = moments.encode(times, attributes, one.values.dtype)
        if "T" not in template.axes:
            return Kept(numbers.reshape(one.values.shape), one.dims, attributes)
        dims = None if template.dims is None else (template.dims[template.axes.index("T")],)
        # Bounds would be of the frames of the file that was read.
        return Kept(numbers, dims, {key: value for key, value in attributes.items() if key != "bounds"})


def template_for(header: Header) -> Template:
    """How frames are written: as they were read where that is possible, in one array even if from many files."""
    template: Template | None = header.meta.get(TEMPLATE)
    if template is None or (header.channels > 1 and "C" not in template.axes):
        return _plain_template(header)
    if template.packing.is_plain and template.packing.values_dtype != header.dtype.newbyteorder("="):
        attributes = {
            key: value for key, value in template.attributes.items() if key not in ("_FillValue", "_Unsigned")
        }
        template = replace(template, packing=Packing(header.dtype), attributes=attributes)
    sizes = dict(zip("CHW", header.shape, strict=True))
    own = {} if template.dims is None else dict(zip(template.dims, template.axes, strict=True))
    kept = {
        name: one
        for name, one in template.kept.items()
        if all(
            sizes.get(own.get(dim, ""), size) == size
            for dim, size in zip(one.dims or (), one.values.shape, strict=False)
        )
    }
    template = replace(template, kept=kept)
    if "T" in template.axes or header.frames == 1:
        return template
    along = template.time or "time"
    return replace(
        template,
        axes=f"T{template.axes}",
        dims=None if template.dims is None else (along, *template.dims),
        chunks=None if template.chunks is None else (1, *template.chunks),
    )


def _plain_template(header: Header) -> Template:
    """For frames that were read from another format."""
    letters = "THW" if header.channels == 1 else "TCHW"
    names = {"T": "time", "C": "channel", "H": "y", "W": "x"}
    dims = tuple(names[letter] for letter in letters)
    sizes = dict(zip("TCHW", (1, *header.shape), strict=True))
    kept = {}
    if header.times is not None:
        kept["time"] = Kept(
            np.empty(0, np.int64 if header.times.dtype.kind == "M" else np.float64),
            ("time",),
            _time_attributes(header.times),
        )
    return Template(
        "frames",
        letters,
        dims,
        Packing(header.dtype),
        {"units": header.units} if header.units else {},
        tuple(sizes[letter] for letter in letters),
        time="time",
        kept=kept,
    )


def _time_attributes(times: np.ndarray) -> dict[str, str]:
    return dict(_DATE_UNITS) if times.dtype.kind == "M" else {"units": "s", "long_name": "time from the first frame"}
