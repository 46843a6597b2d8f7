"""Reflectivity composites of the Finnish Meteorological Institute: PGM pictures whose comments say when and what.

A grey value is half decibels above -32 dBZ, and the largest is no data, as in pysteps' ``import_fmi_pgm``.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np

from frame_forecast.header import Header
from frame_forecast.io.base import Frame, Reader, Writer, unreadable
from frame_forecast.io.formats.pgm import PgmReader
from frame_forecast.io.packing import Packing
from frame_forecast.io.registry import register_reader, register_writer
from frame_forecast.scale import ValueScale

_FACTOR, _OFFSET = 0.5, -32.0
_STAMP = re.compile(r"obstime (\d{12})")
_TIME = "%Y%m%d%H%M"


@register_reader("fmi", (".pgm",), rank=1)
class FmiReader(Reader):
    """One scan, in dBZ: already logarithmic, so that the scale is linear, from no echo to the largest code."""

    gzipped = True

    @classmethod
    def sniff(cls, path: Path, head: bytes) -> bool:
        return (
            head.startswith(b"P5")
            and b"# obstime " in head
            and re.search(rb"# param \w*Reflectivity", head) is not None
        )

    def __init__(self, path: Path, layout: str | None = None) -> None:
        super().__init__(path, layout)
        self._picture = PgmReader(path)
        inner = self._picture.header
        maximum, comments = inner.meta["maximum"], inner.meta["comments"]
        stamps = [match[1] for match in map(_STAMP.fullmatch, comments) if match]
        if len(stamps) != 1:
            raise unreadable(path, f"{len(stamps)} times of observation in its comments")
        time = np.array([datetime.strptime(stamps[0], _TIME)], "datetime64[s]")
        self._packing = Packing(inner.dtype, _FACTOR, _OFFSET, (maximum,))
        self.header = Header(
            "fmi",
            1,
            1,
            inner.height,
            inner.width,
            self._packing.values_dtype,
            ValueScale(_OFFSET, _FACTOR * (maximum - 1) + _OFFSET),
            None,
            time,
            {"comments": comments, "packing": self._packing},
            "dBZ",
        )

    def __iter__(self) -> Iterator[Frame]:
        times = self.header.times
        for frame in self._picture:
            values, known = self._packing.unpack(frame.values)
            yield Frame(values, known, None if times is None else times[0])


@register_writer("fmi", (".pgm",), rank=1)
class FmiWriter(Writer):
    """One scan with the comments that it was read with, and its own time in them."""

    most_frames = 1
    gzipped = True
    holds = "float32 float64", (1,)

    def _write(self, frame: Frame) -> None:
        packing: Packing = self.header.meta["packing"]
        comments = "".join(f"# {line}\n" for line in self.header.meta["comments"])
        if isinstance(frame.time, np.datetime64):
            stamp = frame.time.astype("datetime64[s]").item().strftime(_TIME)
            comments = _STAMP.sub(f"obstime {stamp}", comments)
        _, H, W = self.header.shape
        codes = packing.pack(frame.values, frame.observed & np.isfinite(frame.values))
        head = f"P5\n{comments}{W} {H}\n{packing.missing[0]}\n".encode("latin-1")
        self.path.write_bytes(head + codes.tobytes())
