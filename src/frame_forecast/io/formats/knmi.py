"""Radar products of the Royal Netherlands Meteorological Institute: HDF5 with images, each with its calibration.

What a pixel's value means is in the file: ``calibration_formulas`` (such as ``GEO=0.01*PV+0.0``), and the values of
``calibration_missing_data`` and ``calibration_out_of_image``.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from frame_forecast.header import Header
from frame_forecast.io.base import Frame, Reader, Writer, check_frame_size, require, unreadable
from frame_forecast.io.formats.hdf5 import SKELETON, STORAGE, Disk, check_array, look_inside, skeleton
from frame_forecast.io.packing import Packing
from frame_forecast.io.rain import rain_scale
from frame_forecast.io.registry import register_reader, register_writer
from frame_forecast.io.science import EXTRA
from frame_forecast.io.variables import choose_variable

_NUMBER = r"[-+]?\s*[\d.]+(?:[eE][-+]?\d+)?"
_FORMULA = re.compile(rf"GEO\s*=\s*({_NUMBER})\s*\*\s*PV\s*(?:\+?\s*({_NUMBER}))?")
_UNITS = re.compile(r"\[(.+?)\]")
_KNOWN_UNITS = {"MM": "mm", "DBZ": "dBZ"}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_START, _END = "product_datetime_start", "product_datetime_end"


def _images(file: Any) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the images of an open file that have a calibration."""
    return {
        name: group["image_data"].shape
        for name, group in file.items()
        if name.startswith("image") and "calibration" in group and "image_data" in group
    }


@register_reader("knmi", (".h5", ".hdf5", ".hdf"), rank=2)
class KnmiReader(Reader):
    """One scan, of ``image1`` or of whatever image is asked for; its time is the end of what it shows."""

    takes_variable = True

    @classmethod
    def sniff(cls, path: Path, head: bytes) -> bool:
        return look_inside(path, head, lambda file: "overview" in file and bool(_images(file)))

    def __init__(self, path: Path, layout: str | None = None, variable: str | None = None) -> None:
        super().__init__(path, layout, variable)
        with require("h5py", EXTRA).File(path) as file:
            image = choose_variable(path, _images(file), variable)
            self._name = f"{image}/image_data"
            data = file[self._name]
            if data.ndim != 2 or data.dtype.kind not in "ui":
                raise unreadable(path, f"{self._name} of {data.dtype}, shape {data.shape}")
            H, W = data.shape
            calibration = file[f"{image}/calibration"].attrs
            formula = _text(calibration["calibration_formulas"])
            match = _FORMULA.fullmatch(formula.strip())
            if match is None:
                raise unreadable(path, f"calibration {formula!r}, which is not of the form GEO=a*PV+b")
            factor, offset = (float((number or "0").replace(" ", "")) for number in match.groups())
            codes = [
                np.atleast_1d(calibration[name])[0]
                for name in ("calibration_missing_data", "calibration_out_of_image")
                if name in calibration
            ]
            self._packing = Packing(data.dtype, factor, offset, tuple(dict.fromkeys(codes)))
            check_frame_size(path, 1, H, W, self._packing.values_dtype)
            quantity = _UNITS.search(_text(file[image].attrs.get("image_geo_parameter", "")))
            units = "" if quantity is None else _KNOWN_UNITS.get(quantity[1], quantity[1])
            start, end = (_time(path, _text(file["overview"].attrs[name])) for name in (_START, _END))
            meta = {
                "image": image,
                "packing": self._packing,
                "chunks": data.chunks,
                "storage": {key: getattr(data, key) for key in STORAGE},
                "attributes": dict(data.attrs),
                "length": end - start,
                SKELETON: skeleton(file, self._name),
            }
        scale = rain_scale(units, float((end - start) / np.timedelta64(1, "h")))
        times = np.array([end])
        self.header = Header("knmi", 1, 1, H, W, self._packing.values_dtype, scale, None, times, meta, units)

    def __iter__(self) -> Iterator[Frame]:
        times = self.header.times
        with require("h5py", EXTRA).File(self.path) as file:
            data = file[self._name]
            check_array(self.path, data)
            values, known = self._packing.unpack(data[()][None])
        yield Frame(values, known, None if times is None else times[0])


def _text(value: Any) -> str:
    """An attribute, which may be an array of one."""
    one = np.atleast_1d(value)[0]
    return one.decode("latin-1") if isinstance(one, bytes) else str(one)


def _time(path: Path, text: str) -> np.datetime64:
    """A time such as ``26-AUG-2010;00:05:00.000``."""
    day, month, rest = text.split("-", 2)
    if month.upper() not in _MONTHS:  # strptime would want the months of the user's language
        raise unreadable(path, f"the time {text!r}")
    date = datetime.strptime(f"{day}-{_MONTHS.index(month.upper()) + 1}-{rest}", "%d-%m-%Y;%H:%M:%S.%f")
    return np.datetime64(date, "ms")


def _time_text(time: np.datetime64) -> bytes:
    date = time.astype("datetime64[us]").item()
    return f"{date:%d}-{_MONTHS[date.month - 1]}-{date:%Y;%H:%M:%S}.{date.microsecond // 1000:03d}".encode()


@register_writer("knmi", (".h5", ".hdf5", ".hdf"), rank=2)
class KnmiWriter(Writer):
    """One scan in the file that it was read from, with its own times and statistics."""

    most_frames = 1
    holds = "float32 float64", (1,)

    def _write(self, frame: Frame) -> None:
        meta = self.header.meta
        packing: Packing = meta["packing"]
        known = frame.observed & np.isfinite(frame.values)
        self.path.write_bytes(meta[SKELETON])
        with Disk(self.path) as disk, require("h5py", EXTRA).File(disk, "r+") as file:
            storage = {key: value for key, value in meta["storage"].items() if value}
            codes = packing.pack(frame.values, known)[0]
            data = file.create_dataset(f"{meta['image']}/image_data", data=codes, chunks=meta["chunks"], **storage)
            for name, value in meta["attributes"].items():
                data.attrs[name] = value
            if isinstance(frame.time, np.datetime64):
                overview = file["overview"].attrs
                for name, time in ((_START, frame.time - meta["length"]), (_END, frame.time)):
                    overview[name] = np.full_like(overview[name], _time_text(time))
            if f"{meta['image']}/statistics" in file and known.any():
                statistics = file[f"{meta['image']}/statistics"].attrs
                for name, value in (("max", frame.values[known].max()), ("min", frame.values[known].min())):
                    key = f"stat_{name}_value"
                    if key in statistics:
                        statistics[key] = np.full_like(statistics[key], value)
        disk.check()
