"""Clips of the page: read within bounds, kept in folders, sent and written."""

from __future__ import annotations

import json
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from frame_forecast.clip import Clip
from frame_forecast.errors import DataError, OutputError
from frame_forecast.header import Header
from frame_forecast.io import clips as whole
from frame_forecast.io.registry import readers
from frame_forecast.io.streams import open_reader, scale_of_range
from frame_forecast.scale import ValueScale
from frame_forecast.studio.limits import Limits
from frame_forecast.studio.wire import MASKS, VALUES, Wire, read_head

_SOURCE, _TIMES, _REST = "source.npy", "times.npy", "rest.json"
_KIND = "array"  # of headers: no writer's own
_AS_THEY_ARE = ("uint8", "uint16", "float32")
_PICTURES = (".gif", ".mp4", ".webp")
"""Formats to look at: values that are no bytes are written as bytes of the clip's range."""

_OFFERED = (*_PICTURES, ".npy", ".npz", ".tif")
"""Downloads; the others hold the values as they are."""


def suffixes() -> dict[str, list[str]]:
    """``read``: of files that can be opened; ``write``: that a clip can be downloaded as."""
    files = {suffix for one in readers() if not one.format.folder for suffix in one.suffixes}
    return {"read": sorted(files), "write": list(_OFFERED)}


def read(source: str | Path, name: str, limits: Limits) -> Clip:
    """A file's frames, bounded before they are decoded as far as its header tells, and while they are.

    Args:
        source: what `open_reader` takes.
        name: what it is called in messages.
        limits: of a clip.

    Raises:
        FrameForecastError: whatever reading raises, or it is too large.
    """
    with open_reader(source) as stream:
        header = stream.header
        limits.check(name, header.frames or 1, *header.shape)
        frames = []
        for frame in stream:
            frames.append(frame)
            limits.check(name, len(frames), *header.shape)
    values = np.stack([frame.values for frame in frames]).astype(header.dtype, copy=False)
    observed = np.stack([frame.observed for frame in frames])
    moments = [frame.time for frame in frames]
    times = None if any(moment is None for moment in moments) else np.array(moments)
    return Clip(values, observed, header.scale or _scale_of(values, observed), times, name, header)


def unpack(path: Path, name: str, limits: Limits) -> Clip:
    """Frames as a page sends them (see `wire`), such as those drawn there.

    Raises:
        DataError: no such frames, not of bytes, too many, or fewer than they say.
    """
    with path.open("rb") as file:
        wire = read_head(file, name)
        if wire.dtype != "uint8":
            raise DataError(f"{name} of {wire.dtype}", "uint8", "send bytes, or the file that the frames are from")
        T, C, H, W = wire.shape
        limits.check(name, T, C, H, W)
        if T < 2:
            raise DataError(f"{name} of a single frame", "2 frames or more", "send more")
        values, masks = file.read(T * wire.frame_bytes), file.read(T * wire.mask_bytes)
        rest = file.read(1)
    if rest or len(values) + len(masks) != T * (wire.frame_bytes + wire.mask_bytes):
        raise DataError(
            f"{name} of {'more' if rest else 'fewer'} bytes than its header says",
            f"{T * wire.frame_bytes} bytes of values and {T * wire.mask_bytes} of what is observed",
            "check both",
        )
    observed = _unpack_masks(np.frombuffer(masks, np.uint8), wire)
    if not observed.any():
        raise DataError(f"{name}, of which nothing is observed", "observed pixels", "check the mask")
    return Clip.from_array(np.frombuffer(values, np.uint8).reshape(wire.shape), observed, source=name)


def keep(folder: Path, clip: Clip, **facts: Any) -> dict[str, Any]:
    """Writes a clip into its folder.

    Args:
        folder: made if it is not there.
        clip: what to keep.
        facts: more of what the page is told.

    Returns:
        What the page is told of it: `viewer.schema.Clip` without what the server adds.
    """
    folder.mkdir(exist_ok=True)
    wire = Wire(
        clip.values.dtype.name if clip.values.dtype.name in _AS_THEY_ARE else "float32",
        clip.values.shape,
        _kind(clip.observed),
    )
    sent = clip.values.astype(np.dtype(wire.dtype).newbyteorder("<"), copy=False)
    _write(folder / VALUES, sent)
    _write(folder / MASKS, _pack_masks(clip.observed, wire))
    if clip.values.dtype != sent.dtype:
        np.save(folder / _SOURCE, clip.values)
    if clip.times is not None:
        np.save(folder / _TIMES, clip.times)
    rest = {
        "wire": asdict(wire),
        "scale": asdict(clip.scale),
        "source": clip.source,
        "header": None if clip.header is None else _header_facts(clip.header),
    }
    (folder / _REST).write_text(json.dumps(rest), encoding="utf-8")
    return _told(clip, wire) | facts


def load(folder: Path) -> Clip:
    """The clip that `keep` wrote. Its header has what every format knows; what one alone does is gone."""
    rest = json.loads((folder / _REST).read_text(encoding="utf-8"))
    wire = Wire(**{**rest["wire"], "shape": tuple(rest["wire"]["shape"])})
    if (folder / _SOURCE).exists():
        values = np.load(folder / _SOURCE, allow_pickle=False)
    else:
        values = np.fromfile(folder / VALUES, np.dtype(wire.dtype).newbyteorder("<")).reshape(wire.shape)
    observed = _unpack_masks(np.fromfile(folder / MASKS, np.uint8), wire)
    times = np.load(folder / _TIMES, allow_pickle=False) if (folder / _TIMES).exists() else None
    header = None if rest["header"] is None else _header(rest["header"], values, times)
    return Clip(values, observed, ValueScale(**rest["scale"]), times, rest["source"], header)


def _header_facts(header: Header) -> dict[str, Any]:
    """What `_header` makes a header of, in JSON."""
    return {
        "scale": None if header.scale is None else asdict(header.scale),
        "rate": None if header.rate is None else str(header.rate),
        "units": header.units,
    }


def _header(facts: dict[str, Any], values: np.ndarray, times: np.ndarray | None) -> Header:
    scale = None if facts["scale"] is None else ValueScale(**facts["scale"])
    rate = None if facts["rate"] is None else Fraction(facts["rate"])
    T, C, H, W = values.shape
    return Header(_KIND, T, C, H, W, values.dtype, scale, rate, times, units=facts["units"])


def write(folder: Path, name: str, suffix: str) -> int:
    """Writes a kept clip as a file, for someone to take home.

    Args:
        folder: of the clip, where the file goes.
        name: of the file.
        suffix: that says its format. One to look at gets bytes of the clip's range where its values are no bytes,
            the lowest where nothing is known.

    Returns:
        Its size in bytes.

    Raises:
        OutputError: a suffix that is not offered, or a format that cannot hold the clip.
    """
    if suffix not in _OFFERED:
        raise OutputError(f"a download as {suffix[:20]!r}", f"one of {', '.join(_OFFERED)}", "choose one")
    clip, target = load(folder), folder / f"{name}{suffix}"
    if suffix in _PICTURES:
        clip = _to_look_at(clip)
    whole.write(clip, target, force=True)
    return target.stat().st_size


def _to_look_at(clip: Clip) -> Clip:
    """The clip in bytes with nothing missing."""
    if clip.values.dtype == np.uint8 and clip.observed.all():
        return clip
    unit = clip.scale.to_unit(clip.values)
    np.copyto(unit, 0, where=~clip.observed)
    scale = ValueScale.of_dtype(np.dtype(np.uint8))
    T, C, H, W = clip.values.shape
    rate = clip.header.rate if clip.header else None
    header = Header(_KIND, T, C, H, W, np.dtype(np.uint8), scale, rate, clip.times)
    return Clip(
        scale.from_unit(unit, header.dtype), np.ones_like(clip.observed), scale, clip.times, clip.source, header
    )


def _scale_of(values: np.ndarray, observed: np.ndarray) -> ValueScale:
    known = values[np.broadcast_to(observed, values.shape)]
    return scale_of_range(float(known.min()), float(known.max()), values.dtype)


def _told(clip: Clip, wire: Wire) -> dict[str, Any]:
    T, C, H, W = clip.values.shape
    frames = clip.observed.any(axis=(1, 2, 3))
    low, high = shown_range(clip)
    return {
        "frames": T,
        "channels": C,
        "height": H,
        "width": W,
        "dtype": clip.values.dtype.newbyteorder("=").name,
        "low": low,
        "high": high,
        "units": clip.header.units if clip.header else "",
        "rate": float(clip.header.rate) if clip.header and clip.header.rate else None,
        "times": _seconds(clip.times),
        "missing": np.flatnonzero(~frames).tolist(),
        "holes": bool((~clip.observed[frames]).any()),
        "wire": {"dtype": wire.dtype, "shape": list(wire.shape), "observed": wire.observed},
    }


def shown_range(clip: Clip) -> tuple[float, float]:
    """What a picture of the clip runs from and to, in its units: the scale's ends where that is linear."""
    if clip.scale.kind == "linear":
        return float(clip.scale.low), float(clip.scale.high)
    known = clip.values[np.broadcast_to(clip.observed, clip.values.shape)]
    return (float(known.min()), float(known.max())) if known.size else (0.0, float(clip.scale.high))


def _seconds(times: np.ndarray | None) -> list[float] | None:
    """From the first frame."""
    if times is None:
        return None
    if times.dtype.kind == "M":
        return ((times - times[0]) / np.timedelta64(1, "s")).tolist()
    return (times - times[0]).astype(np.float64).tolist()


def _kind(observed: np.ndarray) -> str:
    if observed.all():
        return "all"
    frames = observed.any(axis=(1, 2, 3), keepdims=True)
    return "frames" if (observed == frames).all() else "pixels"


def _pack_masks(observed: np.ndarray, wire: Wire) -> np.ndarray:
    """uint8 ``(T * wire.mask_bytes,)``."""
    T = len(observed)
    if wire.observed == "pixels":
        return np.packbits(observed.reshape(T, -1), axis=1).reshape(-1)
    return observed[:, 0, 0, 0].astype(np.uint8) if wire.observed == "frames" else np.zeros(0, np.uint8)


def _unpack_masks(packed: np.ndarray, wire: Wire) -> np.ndarray:
    """bool ``(T, 1, H, W)``."""
    T, _, H, W = wire.shape
    if wire.observed == "pixels":
        bits = np.unpackbits(packed.reshape(T, -1), axis=1, count=H * W)
        return bits.astype(bool).reshape(T, 1, H, W)
    frames = packed.astype(bool) if wire.observed == "frames" else np.ones(T, bool)
    return np.broadcast_to(frames[:, None, None, None], (T, 1, H, W)).copy()


def _write(path: Path, array: np.ndarray) -> None:
    with path.open("wb") as file:
        array.tofile(file)
