"""Probes: canvases of a stream of which something is hidden, to see what a method makes of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from frame_forecast.clip import Clip
from frame_forecast.io.base import Frame
from frame_forecast.places import Place
from frame_forecast.streaming import Survey

_LARGE = 512 * 512  # pixels of a frame from which on a few squares stand for it
_SIDE = 256  # of a square
_SQUARES = 4
_RIM = 16  # pixels along a cut side that are not scored: a method would see what lies beyond


@dataclass(frozen=True)
class Part:
    """A canvas, or a square of one.

    Args:
        clip: the truth, with ``observed`` of what a model may see.
        scored: bool ``(T, 1, H, W)``: hidden, and the truth is known.
    """

    clip: Clip
    scored: np.ndarray


@dataclass(frozen=True)
class Probe:
    """A canvas of which something is hidden.

    Args:
        place: of the stream.
        parts: of the canvas, each for a run of its own: it is large, or there is one.
    """

    place: Place
    parts: list[Part]


def gather(frames: Iterable[Frame], places: Sequence[Place], found: Survey) -> list[Probe]:
    """Goes through a stream once, up to the last frame that is needed.

    Args:
        frames: the stream, less what is to be treated as missing.
        places: what to hide.
        found: by `survey` in these very frames.

    Returns:
        A probe for each place where anything can be scored, in their order.
    """
    last_use: dict[int, int] = {}
    for place in places:
        for t in place.needed:
            last_use[t] = max(last_use.get(t, 0), place.needed.stop)
    waiting = sorted(range(len(places)), key=lambda i: places[i].needed.stop)
    kept: dict[int, Frame] = {}
    made: dict[int, Probe | None] = {}
    for t, frame in enumerate(frames):
        if len(made) == len(places):
            break
        if t in last_use:
            kept[t] = frame
        while len(made) < len(places) and places[i := waiting[len(made)]].needed.stop == t + 1:
            made[i] = _probe(places[i], kept, found, np.random.default_rng([0, i]))
        for old in [s for s in kept if last_use[s] <= t + 1]:
            del kept[old]
    return [probe for _, probe in sorted(made.items()) if probe is not None]


def probe_bytes(found: Survey, frames: int, frame_bytes: int) -> int:
    """About what a probe of so many frames takes in memory.

    Args:
        found: in the stream.
        frames: of a canvas.
        frame_bytes: of a frame's values.
    """
    pixels = found.never.size
    share = 1.0 if pixels <= _LARGE else _SQUARES * _SIDE**2 / pixels
    return int(share * frames * (frame_bytes + 2 * pixels))


def _probe(place: Place, frames: dict[int, Frame], found: Survey, rng: np.random.Generator) -> Probe | None:
    """None where nothing can be scored."""
    values = np.stack([frames[t].values for t in place.canvas])
    known = np.stack([frames[t].observed for t in place.canvas])
    if place.pattern is None:
        hidden = np.isin(place.canvas, place.hidden).reshape(-1, 1, 1, 1)
    else:
        missing = np.stack([~frames[t].observed & ~found.never for t in place.pattern])
        hidden = _whole_gaps(np.roll(missing, place.roll, axis=(2, 3)), known)
    scored = known & hidden & np.isin(place.canvas, place.scored).reshape(-1, 1, 1, 1)
    parts = []
    for rows, columns in _squares(np.any(scored, axis=(0, 1)), rng):
        square, inside = (..., rows, columns), (..., *_inside(rows, columns, *scored.shape[2:]))
        inner = np.zeros_like(scored)
        inner[inside] = scored[inside]
        observed = (known & ~hidden)[square]
        clip = Clip(values[square].copy(), observed, found.scale, source=found.source)
        parts.append(Part(clip, inner[square].copy()))
    return Probe(place, parts) if parts else None


def _whole_gaps(hidden: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Of the pixels to hide, those whose gap in time keeps its length: what is missing does not prolong it.

    Args:
        hidden, known: bool ``(T, 1, H, W)``.
    """
    kept = hidden.copy()
    for order in (range(len(hidden)), range(len(hidden) - 1, -1, -1)):
        ends = np.ones_like(hidden[0])  # whether the frame before, or before the gap, is observed or beyond the canvas
        for t in order:
            kept[t] &= ends
            ends = np.where(hidden[t], ends, known[t])
    return kept


def distances(observed: np.ndarray) -> np.ndarray:
    """Frames from each pixel to the nearest frame that shows it.

    Args:
        observed: bool ``(T, 1, H, W)``.

    Returns:
        int32 of that shape; 0 where a pixel is observed itself, and where no frame shows it.
    """
    T = len(observed)
    nearest = np.full(observed.shape, T, np.int32)
    for order in (range(T), range(T - 1, -1, -1)):
        away = np.full(observed.shape[1:], T, np.int32)
        for t in order:
            away = np.where(observed[t], 0, np.minimum(away + 1, T))
            nearest[t] = np.minimum(nearest[t], away)
    return np.where(nearest < T, nearest, 0)


def _squares(scored: np.ndarray, rng: np.random.Generator) -> list[tuple[slice, slice]]:
    """Rows and columns of the parts that a frame is scored in: all of it, or squares drawn from a grid.

    Args:
        scored: bool ``(H, W)``, pixels that are scored in any frame.

    Returns:
        Nothing where none is.
    """
    H, W = scored.shape
    if not scored.any():
        return []
    if H * W <= _LARGE:
        return [(slice(0, H), slice(0, W))]
    grid = [(row, column) for row in _along(H) for column in _along(W)]
    useful = [square for square in grid if scored[_inside(*square, H, W)].any()]
    chosen = rng.permutation(len(useful))[:_SQUARES]
    return [useful[i] for i in sorted(chosen)]


def _along(length: int) -> list[slice]:
    """Sides of squares that cover an axis."""
    if length <= _SIDE:
        return [slice(0, length)]
    count = -(-(length - 2 * _RIM) // (_SIDE - 2 * _RIM))
    return [slice(start, start + _SIDE) for i in range(count) for start in [(length - _SIDE) * i // (count - 1)]]


def _inside(rows: slice, columns: slice, height: int, width: int) -> tuple[slice, slice]:
    """A square less its rim where it is cut out of a frame."""
    return (
        slice(rows.start + _RIM * (rows.start > 0), rows.stop - _RIM * (rows.stop < height)),
        slice(columns.start + _RIM * (columns.start > 0), columns.stop - _RIM * (columns.stop < width)),
    )
