"""Archives of NumPy arrays: the format here that keeps everything a clip has, its mask included.

What is written holds ``frames`` and their ``layout``, and where there are any ``observed``, bool
``(T, 1, H, W)``, ``times`` ``(T,)``, ``scale`` (low, high) and ``scale_kind`` unless it is linear, ``units``, and
``rate`` (frames, seconds).
"""

import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

import numpy as np
from numpy.lib import format as npy

from frame_forecast.errors import DataError
from frame_forecast.header import Header
from frame_forecast.io.base import Frame, Reader, Writer, spooled, unreadable
from frame_forecast.io.formats.npy import NpyWriter, read_header
from frame_forecast.io.grid import Grid, find_grid
from frame_forecast.io.layout import array_bytes, default_scale, frames_of, resolve_layout, split_shape
from frame_forecast.io.registry import register_reader, register_writer
from frame_forecast.scale import ScaleKind, ValueScale

_FRAMES = "frames"
_ZIP_MAGIC = b"PK\x03\x04"
_SUFFIX = b".npy"
_MOST_SMALL_BYTES = 2**26  # times of 8 million frames
_ArrayHeader = tuple[tuple[int, ...], bool, np.dtype]


@register_reader("npz", (".npz",))
class NpzReader(Reader):
    """The array called ``frames``, or the only one of 3 or 4 axes."""

    takes_layout = True

    @classmethod
    def sniff(cls, path: Path, head: bytes) -> bool:
        length = int.from_bytes(head[26:28], "little")  # of the first member's name
        return head.startswith(_ZIP_MAGIC) and head[30 : 30 + length].endswith(_SUFFIX)

    def __init__(self, path: Path, layout: str | None = None) -> None:
        super().__init__(path, layout)
        with zipfile.ZipFile(path) as archive:
            arrays = {name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")}
            headers = {}
            for key, name in arrays.items():
                with archive.open(name) as file:
                    headers[key] = read_header(file, path)
            key = _choose(path, {key: shape for key, (shape, _, _) in headers.items()})
            self._member = arrays[key]
            shape, fortran, dtype = headers[key]
            own = key == _FRAMES  # arrays of certain names mean something beside one called so
            texts = {}
            for name in ("layout", "scale_kind", "units"):
                if own and name in arrays and headers[name][0] == ():
                    texts[name] = str(_read_small(path, archive, arrays[name], headers[name]))
            if layout is None:
                layout = texts.get("layout")
            axes = resolve_layout(path, shape, layout)
            T, (C, H, W) = split_shape(path, shape, axes, dtype)
            masked = own and "observed" in arrays
            if masked and headers["observed"] != ((T, 1, H, W), False, np.dtype(bool)):
                raise unreadable(path, f"'observed' is no bool {(T, 1, H, W)} in C order")
            self._mask = arrays["observed"] if masked else None
            small = {}
            for name, size in (("times", T), ("scale", 2), ("rate", 2)):
                if own and name in arrays:
                    if headers[name][0] != (size,):
                        raise unreadable(path, f"{name!r} of shape {headers[name][0]} instead of {(size,)}")
                    small[name] = _read_small(path, archive, arrays[name], headers[name])
            scale = default_scale(dtype)
            if "scale" in small:
                low, high = map(float, small["scale"])
                scale = ValueScale(low, high, cast(ScaleKind, texts.get("scale_kind", "linear")))
        self._shape, self._axes = (shape[::-1], axes[::-1]) if fortran else (shape, axes)
        self.header = Header(
            "npz",
            T,
            C,
            H,
            W,
            dtype,
            scale,
            Fraction(*map(int, small["rate"])) if "rate" in small else None,
            small.get("times"),
            {"layout": axes, "fortran": fortran},
            texts.get("units", ""),
        )

    def grid(self) -> Grid | None:
        # Dates are of recordings; seconds may be of an animation, whose frames last as long as they like.
        times = self.header.times
        return find_grid(times) if times is not None and times.dtype.kind == "M" else None

    def __iter__(self) -> Iterator[Frame]:
        header = self.header
        with zipfile.ZipFile(self.path) as archive, archive.open(self._member) as file:
            read_header(file, self.path)
            if self._axes.startswith("T") or "T" not in self._axes:
                frames = frames_of(file, self.path, self._shape, self._axes, header.dtype)
            else:  # every frame is spread over the whole array
                whole = spooled(file, self.path)
                if whole.seek(0, 2) != array_bytes(self._shape, header.dtype):
                    raise unreadable(self.path, f"{self._member} ends early")
                whole.seek(0)
                frames = frames_of(whole, self.path, self._shape, self._axes, header.dtype)
            if self._mask is None:
                yield from map(Frame.whole, frames)
                return
            with archive.open(self._mask) as mask_file:
                read_header(mask_file, self.path)
                shape = (self._shape[self._axes.index("T")] if "T" in self._axes else 1, 1, *header.shape[1:])
                masks = frames_of(mask_file, self.path, shape, "TCHW", np.dtype(bool))
                yield from map(Frame, frames, masks)


def _read_small(path: Path, archive: zipfile.ZipFile, member: str, header: _ArrayHeader) -> np.ndarray:
    """An array that stands beside the frames."""
    shape, _, dtype = header
    if array_bytes(shape, dtype) > _MOST_SMALL_BYTES:
        raise unreadable(path, f"{member} of {dtype} and shape {shape} beside the frames")
    with archive.open(member) as file:
        return npy.read_array(file, allow_pickle=False)


def _choose(path: Path, shapes: dict[str, tuple[int, ...]]) -> str:
    """The key of the frames."""
    likely = [key for key, shape in shapes.items() if len(shape) in (3, 4)]
    if _FRAMES in shapes:
        return _FRAMES
    if len(likely) == 1 or len(shapes) == 1:
        return (likely or list(shapes))[0]
    found = ", ".join(f"{key} {shape}" for key, shape in shapes.items())
    raise DataError(f"{path} with arrays {found}", f"one called {_FRAMES}", "rename it, or save it alone as .npy")


@register_writer("npz", (".npz",))
class NpzWriter(Writer):
    """See the module; packed, and the same bytes for the same frames."""

    def __init__(self, path: Path, header: Header, target: Path) -> None:
        super().__init__(path, header, target)
        # A zip archive takes one member after the other, each of known length: they are made first.
        self._folder = tempfile.TemporaryDirectory(dir=path.parent, prefix=".npz.")
        self._parts = Path(self._folder.name)
        self._frames = NpyWriter(self._parts / "frames.npy", header, target)
        _, H, W = header.shape
        mask = Header("npy", header.frames, 1, H, W, np.dtype(bool), meta={"layout": "TCHW"})
        self._observed = NpyWriter(self._parts / "observed.npy", mask, target)
        self._whole = True
        self._times: list[float | np.datetime64] = []

    def _write(self, frame: Frame) -> None:
        self._frames.write(Frame.whole(frame.values))
        self._observed.write(Frame.whole(frame.observed))
        self._whole &= bool(frame.observed.all())
        if frame.time is not None:
            self._times.append(frame.time)

    def finish(self) -> None:
        header = self.header
        names = ["frames"] if self._whole else ["frames", "observed"]
        for writer in (self._frames, self._observed):
            writer.finish()
            writer.close()
        small = {"layout": np.array(self._frames.layout)}
        if len(self._times) == self.written:
            small["times"] = np.array(self._times)
        if header.scale is not None:
            small["scale"] = np.array([header.scale.low, header.scale.high], np.float64)
            if header.scale.kind != "linear":
                small["scale_kind"] = np.array(header.scale.kind)
        if header.units:
            small["units"] = np.array(header.units)
        if header.rate is not None:
            small["rate"] = np.array(header.rate.as_integer_ratio())
        for name, array in small.items():
            np.save(self._parts / f"{name}.npy", array)
        with zipfile.ZipFile(self.path, "w") as archive:
            for name in (*names, *small):
                info = zipfile.ZipInfo(f"{name}.npy")  # without the time of day
                info.compress_type = zipfile.ZIP_DEFLATED
                part = self._parts / info.filename
                with part.open("rb") as file, archive.open(info, "w", force_zip64=True) as member:
                    shutil.copyfileobj(file, member, 2**20)

    def close(self) -> None:
        self._frames.close()
        self._observed.close()
        self._folder.cleanup()
