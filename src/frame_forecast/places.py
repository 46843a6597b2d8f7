"""Where observed frames of a stream can be hidden as its missing ones are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, zip_longest
from typing import TypeVar

import numpy as np

from frame_forecast.streaming import Survey
from frame_forecast.windows import Window, cut

_Item = TypeVar("_Item")

PARTLY = 0
"""In place of a frame's distance: it lacks some pixels alone, each of which has its own."""

_PASSES = 4  # a frame of so many is hidden to reconstruct it, as in most models' own passes
_FEW = 16  # frames hidden in gaps of one length, where it is hardly enough
_CHANGES = (0, -1, 1, -2, 2, *(-round(2 ** (k / 2)) for k in range(3, 64)))  # of a gap's length, as tried
_ORIGINS = 8  # of forecasts that all frames can be scored of, where there are so many frames


@dataclass(frozen=True)
class Place:
    """What to hide, by numbers of the stream's frames.

    Args:
        canvas: frames that a model gets.
        hidden: those of them that are hidden whole; none, if ``pattern`` is given.
        scored: those of them whose hidden pixels are scored.
        distances: of each scored frame, frames to the nearest observed one, or `PARTLY`.
        weight: what it counts beside others.
        pattern: as many frames as the canvas has, whose missing pixels are hidden in it.
        roll: pixels down and to the right by which they are moved; what leaves a frame comes in on its other side.
    """

    canvas: range
    hidden: Sequence[int]
    scored: Sequence[int]
    distances: Sequence[int]
    weight: float = 1.0
    pattern: range | None = None
    roll: tuple[int, int] = (0, 0)

    @property
    def needed(self) -> range:
        """Frames of the stream that it is made of."""
        if self.pattern is None:
            return self.canvas
        return range(min(self.canvas.start, self.pattern.start), max(self.canvas.stop, self.pattern.stop))


@dataclass(frozen=True)
class Plan:
    """Where to hide something.

    Args:
        places: in the order of their worth: the first of them show most.
        shares: of the frames that are really to be made, how many have each distance.
        notes: how what is hidden differs from what is really missing.
    """

    places: list[Place]
    shares: dict[int, float]
    notes: list[str] = field(default_factory=list)


def for_recreate(found: Survey, most: int) -> Plan:
    """Gaps as they are, moved to where something is observed: frame by frame, so that their lengths and what is
    around them stay. Holes in frames are moved in time or within the frame.

    Args:
        found: in the stream.
        most: places at most.
    """
    partly = (found.seen > 0) & (found.seen < np.count_nonzero(~found.never))
    gaps = [(window, gap) for window in found.windows for gap in _gaps(window, found.seen == 0)]
    holes = [window for window in found.windows if partly[window.kept].any()]
    real = [d for _, gap in gaps for d in _gap_distances(gap, found.frames)]
    shares = {d: float(real.count(d)) for d in sorted(set(real))}
    if holes:
        shares[PARTLY] = float(sum(np.count_nonzero(partly[window.kept]) for window in holes))
    share = most if not holes else 0 if not gaps else most // 2
    notes: list[str] = []
    both = _gaps_elsewhere(gaps, found, share, notes), _holes_elsewhere(holes, partly, found, most - share)
    return Plan([place for pair in zip_longest(*both) for place in pair if place is not None], shares, notes)


def for_reconstruct(found: Survey, longest: int, most: int) -> Plan:
    """One frame in four is hidden, in windows all over the stream.

    Args:
        found: in the stream.
        longest: frames of a window.
        most: places at most.
    """
    windows = cut(found.frames, longest)
    turns = [(window, p) for p in range(_PASSES) for window in windows]
    places = []
    for i in _spread(len(turns), most):
        window, p = turns[i]
        # Neighbours that are chosen hide other frames.
        hidden = [t for t in window.frames if t % _PASSES == (p + window.frames.start) % _PASSES]
        scored = [t for t in hidden if t in window.kept and found.seen[t]]
        if scored and len(hidden) < len(window.frames):
            places.append(Place(window.frames, hidden, scored, [1] * len(scored)))
    return Plan(_shuffled(places), {1: 1.0})


def for_forecast(found: Survey, horizon: int, context: int, most: int) -> Plan:
    """The last frames are forecast from those before them, and so on back in time: the later, the more it counts.

    Args:
        found: in the stream.
        horizon: frames to forecast.
        context: frames that a method looks at, at the most.
        most: places at most.
    """
    T = found.frames
    least = max(2, min(context, T) // 2)
    tried = min(horizon, T - least)
    if tried < 1:
        return Plan([], {})
    notes = [] if tried == horizon else [f"only {tried} of {horizon} lead times can be tried on {T} frames"]
    step = max(1, min(tried // 3, (T - tried - least) // _ORIGINS))
    places = []
    for origin in range(T - step, least - 1, -step):  # the first of them show the next few frames alone
        scored = range(origin, min(T, origin + tried))
        canvas = range(max(0, origin - context), scored.stop)
        if found.seen[canvas.start : origin].any() and len(places) < most:
            weight = 0.5 ** ((T - origin) / tried)
            places.append(Place(canvas, scored, scored, range(1, len(scored) + 1), weight))
    return Plan(places, dict.fromkeys(range(1, tried + 1), 1.0), notes)


def _gaps(window: Window, missing: np.ndarray) -> Iterator[range]:
    """Runs of wholly missing frames that a window keeps."""
    whole = [t for t in window.kept if missing[t]]
    for _, run in groupby(enumerate(whole), key=lambda pair: pair[1] - pair[0]):
        frames = [t for _, t in run]
        yield range(frames[0], frames[-1] + 1)


def _gap_distances(gap: range, frames: int) -> list[int]:
    """From each frame of a gap to the nearest before or after it, in a clip of so many frames."""
    before = [t - gap.start + 1 if gap.start > 0 else frames for t in gap]
    after = [gap.stop - t if gap.stop < frames else frames for t in gap]
    return [min(pair) for pair in zip(before, after, strict=True)]


def _gaps_elsewhere(gaps: list[tuple[Window, range]], found: Survey, most: int, notes: list[str]) -> list[Place]:
    """Gaps in turn, each as near to itself as it can be hidden, and where as little as possible was hidden before; the
    nearer, the more it counts.

    Those of a length that there is hardly any room for are tried a little shorter and longer besides.
    """
    T = found.frames
    shown = 2 * found.seen >= found.seen.max()
    used = np.zeros(T, np.int64)
    taken: set[tuple[int, int]] = set()
    places: list[Place] = []
    chosen = _shuffled([gaps[i] for i in _spread(len(gaps), most)])
    scored_of = {len(gap): 0 for _, gap in chosen}
    for change in _CHANGES:
        turns = [(w, gap) for w, gap in chosen if len(gap) + change > 0 and (not change or scored_of[len(gap)] < _FEW)]
        while turns:
            left = []
            for window, gap in turns:
                length = len(gap) + change
                start = _start(gap, length, shown, used, taken) if len(places) < most else None
                if start is None:
                    continue
                taken.add((start, length))
                used[start : start + length] += 1
                moved = range(start, start + length)
                scored = [t for t in moved if found.seen[t]]
                scored_of[len(gap)] += len(scored)
                where = _gap_distances(range(gap.start, gap.start + length), gap.start + length + (gap.stop < T))
                distances = [where[t - start] for t in scored]
                weight = 0.5 ** (abs(start - gap.start) / max(4, len(gap)))
                places.append(Place(_canvas(window, gap, moved, T), moved, scored, distances, weight))
                left.append((window, gap))
            turns = left
        if not change:
            notes += [
                f"gaps of {length} frames do not fit anywhere else: other lengths are tried"
                for length, scored in scored_of.items()
                if not scored
            ]
    return places


def _start(gap: range, length: int, shown: np.ndarray, used: np.ndarray, taken: set[tuple[int, int]]) -> int | None:
    """Where a gap begins if it is hidden elsewhere, with an observed frame at either end unless it has none.

    Args:
        gap: as it is.
        length: frames to hide.
        shown: bool ``(T,)``, which frames are observed.
        used: ``(T,)``, how often each was hidden.
        taken: starts and lengths there were.

    Returns:
        None if it cannot be hidden anywhere.
    """
    T = len(shown)
    if length >= T:
        return None
    starts = np.arange(T - length + 1)
    ends = np.concatenate([[False], shown, [False]])
    sums = (np.concatenate([[0], np.cumsum(x)]) for x in (shown, used))
    hidden, overlap = (upto[length:] - upto[:-length] for upto in sums)
    # The clip begins or ends with a gap that has no frame there: what lies beyond is cut off.
    fits = (ends[:-1][starts] | (gap.start == 0)) & (ends[length + 1 :] | (gap.stop == T)) & (hidden > 0)
    fits[[start for start, known in taken if known == length]] = False
    if not fits.any():
        return None
    cost = np.abs(starts - gap.start) + (length - hidden) + T * overlap
    return int(np.where(fits, cost, np.inf).argmin())


def _canvas(window: Window, gap: range, moved: range, frames: int) -> range:
    """The frames around a gap that was moved: as many as around itself, if there are."""
    length = len(window.frames)
    if gap.start == 0:
        return range(moved.start, min(frames, moved.start + length))
    if gap.stop == frames:
        return range(max(0, moved.stop - length), moved.stop)
    start = min(max(0, moved.start - (gap.start - window.frames.start)), frames - length)
    return range(start, start + length)


def _holes_elsewhere(windows: list[Window], partly: np.ndarray, found: Survey, most: int) -> list[Place]:
    """Windows in turn, their holes moved in time: where they are in a frame can say how hard they are to fill.

    Holes that never move are moved within the frame, every other time, as are those of a stream that is no longer
    than a window.
    """
    if not windows:
        return []
    rng = np.random.default_rng(0)
    H, W = found.never.shape[1:]
    chosen = _shuffled([windows[i] for i in _spread(len(windows), most)])
    places = []
    for i in range(most):
        window = chosen[i % len(chosen)]
        length, start, stop = len(window.frames), window.frames.start, window.frames.stop
        steps = [by for by in range(-min(length, start), min(length, found.frames - stop) + 1) if by]
        in_time = steps and not (found.unseen and (i // len(chosen) + i) % 2)
        later = int(rng.choice(steps)) if in_time else 0
        roll = (0, 0) if in_time else (int(rng.integers(H)), int(rng.integers(W)))
        scored = [t + later for t in window.kept if partly[t]]
        canvas = range(start + later, stop + later)
        places.append(Place(canvas, (), scored, [PARTLY] * len(scored), pattern=window.frames, roll=roll))
    return places


def _spread(count: int, most: int) -> list[int]:
    """``most`` of ``count`` numbers, evenly spread, or all."""
    return [(2 * i + 1) * count // (2 * most) for i in range(most)] if count > most else list(range(count))


def _shuffled(items: list[_Item]) -> list[_Item]:
    """The same in an order in which the first few are as good a sample as any."""
    return [items[i] for i in np.random.default_rng(0).permutation(len(items))]
