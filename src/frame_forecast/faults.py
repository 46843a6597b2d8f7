"""Frames that look broken, told from a few numbers of each: `blank`, `frozen`, `odd` and `unforeseen`; and those that
are gone from between two: `lost`.

Nothing in a frame says that it is broken: a black one may be night, one like the last a scene that stands
still. What tells is the frames around it, so each rule compares with what is usual in the clip, and asks that
the fault begins and ends at once: rain, light and motion mostly come and go over some frames. What more than
a third of the frames do is no fault but how the clip is (drawings held for two frames, slides, a dry day).

The shares below were chosen on recorded video, coded anew by H.264, MPEG-4 and VP9 with faults put in; on
radar scans and on microscopy, in none of which they find a fault that is not there. The rules would rather miss
a fault than take a good frame for one: they miss a freeze that was coded so badly that it flickers, damage to
a small part of a frame, and damage other than freezes and blanks that lasts for several frames. They do take a
single flash, an empty frame among sparse ones, and a drawing that stops and goes on at once, for faults.
"""

import numpy as np

_MOST = 1 / 3
"""Of the frames: what more do is no fault."""
_BLANK = 0.05
"""Of the usual detail: what a coder or a sensor in the dark leaves of one value is below 0.03."""
_DETAILED = 0.25
"""Of the usual detail: the frames beside a blank have more, unless light or rain fade."""
_STILL = 0.1
"""Of the usual change: what coders make of a frame that repeats the last is mostly below 0.07."""
_CUT = 3.0
"""Times the usual change: a picture that comes in with more than that is a new one, and may stand still."""
_THAW = 1.25
"""Times the change before a freeze: the change after it is larger, as motion has gone on behind it."""
_ODD = 3.0
"""Times the distance between its neighbours: how far an odd frame is from both; 1 where all is well."""
_UNFORESEEN = 3.0
"""Times the usual distance from what the neighbours show: on noisy microscopy it is up to 1.6."""
_FAINT = 0.02
"""Of the usual contrast: what is less may be a cursor that blinks in a picture that stands still."""
_NEAR = 0.25
"""Of the usual step: how far one may be from it, or from twice it and more, and still be one, or two and more."""


def blank(detail: np.ndarray) -> np.ndarray:
    """Frames that are black, or of one value all over, between frames that are not.

    Args:
        detail: ``(frames,)``, the standard deviation of each frame's pixels; NaN = a missing frame.

    Returns:
        bool ``(frames,)``.
    """
    found, seen, values, usual = _start(detail)
    for start, stop in _runs(values <= _BLANK * usual):
        before, after = _sides(values, start, stop, usual)
        found[seen[start:stop]] = min(before, after) >= _DETAILED * usual
    return _unless_habit(found, len(seen))


def frozen(change: np.ndarray) -> np.ndarray:
    """Frames that repeat the one before, while what they show moves; the first of a run is good.

    Frames that are equal bit for bit count where the motion stops at once; frames that are nearly equal, as
    coders leave them, only where it jumps when it goes on.

    Args:
        change: ``(frames,)``, the mean absolute difference of each frame to the last that was not missing; NaN =
            none, as for the first.

    Returns:
        bool ``(frames,)``.
    """
    found, seen, values, usual = _start(change)
    thaw = -1
    for start, stop in _runs(values <= _STILL * usual):
        before, after = _sides(values, start, stop, usual)
        if start - 1 == thaw:  # the step between two freezes says what was lost, not how fast it moves
            before = usual
        exact = not values[start:stop].any()
        jumps = start > 0 and stop < len(values) and after >= _THAW * before
        if before <= _CUT * usual and (exact or jumps):
            found[seen[start:stop]] = True
            thaw = stop
    return _unless_habit(found, len(seen) + 1)


def odd(change: np.ndarray, skip: np.ndarray) -> np.ndarray:
    """Single frames that are far from both their neighbours while these are close to one another: torn,
    scrambled, or of something else.

    Args:
        change: as for `frozen`.
        skip: ``(frames,)``, the same difference to the last frame but one.

    Returns:
        bool ``(frames,)``.
    """
    found, seen, values, usual = _start(change)
    nearest = np.minimum(values[:-1], values[1:])
    found[seen[:-1]] = nearest >= _ODD * np.maximum(skip[seen[1:]], usual)
    return _unless_habit(found, len(seen) + 1)


def unforeseen(error: np.ndarray, apart: np.ndarray, contrast: np.ndarray) -> np.ndarray:
    """Single frames that are further from what their neighbours show than these are from one another: torn, shifted,
    partly black, of another brightness.

    Not so a cut, the frames after which are like one another, nor motion, however fast, that goes on. Two in a row
    are none: next to a single fault all is well, so these flicker.

    Args:
        error, apart, contrast: ``(frames,)`` from `misfit.Misfit.numbers`.

    Returns:
        bool ``(frames,)``.
    """
    found, seen, values, usual = _start(error)
    if not len(seen):
        return found
    least = max(_UNFORESEEN * usual, _FAINT * float(np.nanmedian(contrast)))
    for start, stop in _runs(values > np.maximum(apart[seen], least)):
        found[seen[start]] = stop == start + 1
    return _unless_habit(found, len(seen) + 2)


def lost(steps: np.ndarray) -> np.ndarray:
    """How many frames are gone from between two.

    Where most steps are near the usual one, a step of nearly twice that, or longer, has lost as many frames as fit
    into it evenly. A camera that slows down in the dark, for less than that, has lost none.

    Args:
        steps: ``(frames - 1,)``, the time from each frame to the next.

    Returns:
        int64 ``(frames - 1,)``. All 0 where no step is usual, or where more would be lost than there are: that is
        another recording, not a gap.
    """
    usual = np.median(steps)
    none = np.zeros(len(steps), dtype=np.int64)
    if not usual > 0 or np.mean(np.abs(steps / usual - 1) > _NEAR) > _MOST:
        return none
    counts = np.where(steps >= (2 - _NEAR) * usual, np.rint(steps / usual).astype(np.int64) - 1, none)
    return counts if counts.sum() <= len(steps) + 1 else none


def _start(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Nothing found yet, the frames that have a number, these numbers, and the usual one."""
    seen = np.flatnonzero(np.isfinite(numbers))
    values = numbers[seen]
    return np.zeros(len(numbers), dtype=bool), seen, values, _usual(values)


def _sides(values: np.ndarray, start: int, stop: int, usual: float) -> tuple[float, float]:
    """The numbers beside a run; the usual one where the clip begins or ends with it."""
    return values[start - 1] if start > 0 else usual, values[stop] if stop < len(values) else usual


def _usual(values: np.ndarray) -> float:
    """The median of what is not 0; NaN, to which nothing compares, if all is."""
    positive = values[values > 0]
    return float(np.median(positive)) if len(positive) else np.nan


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Where each run of True begins, and where it has ended."""
    edges = np.flatnonzero(np.diff(np.pad(flags.astype(np.int8), 1)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _unless_habit(found: np.ndarray, frames: int) -> np.ndarray:
    return found if found.sum() <= _MOST * frames else np.zeros_like(found)
