"""Long clips in pieces that a model was trained for, and what a piece shows of its clip."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class Window:
    """Consecutive frames of a clip that a model gets as one canvas.

    Args:
        frames: of the clip, by number.
        kept: those of them whose prediction is taken from this window.
        hidden: frames that are not shown to the model although they are observed.
    """

    frames: range
    kept: Sequence[int]
    hidden: Sequence[int] = ()


def cut(frames: int, longest: int) -> list[Window]:
    """Windows half their length apart; each frame is kept from the one in which it is most central.

    Args:
        frames: of the clip, 1 or more.
        longest: frames of a window, 1 or more; a clip of no more frames is one window.
    """
    length = min(frames, longest)
    starts = [*range(0, frames - length, max(1, length // 2)), frames - length]
    # Between two neighbours, the middle of their two centres is where the next one is nearer.
    ends = [(a + b + length + 1) // 2 for a, b in pairwise(starts)] + [frames]
    return [
        Window(range(start, start + length), range(first, end))
        for start, first, end in zip(starts, [0, *ends], ends, strict=False)
    ]


def interleave(window: Window, passes: int) -> list[Window]:
    """The windows in which each kept frame is predicted from others, `Model.passes` of them.

    Args:
        window: hides nothing.
        passes: pass p hides the frames t of the clip with ``t % passes == p`` and keeps their
            predictions; 1 hides nothing. A pass that would keep nothing is left out.
    """
    if passes == 1:
        return [window]
    made = []
    for p in range(passes):
        hidden = [t for t in window.frames if t % passes == p]
        kept = [t for t in hidden if t in window.kept]
        if kept:
            made.append(Window(window.frames, kept, hidden))
    return made


def around(first: np.ndarray, last: np.ndarray, longest: int) -> list[Window]:
    """Windows that keep every frame in which something is missing, and no other; few, and none needlessly long.

    On either side of a frame that it keeps, a window holds three tenths of ``longest`` frames, and the nearest that
    show what the frame lacks, as far as the clip has them. Frames further off cost much and tell little: with the
    released weights, on 96 validation clips of Moving MNIST, they gained 0.02 dB for lone missing frames, 0.04 for
    gaps of 3 and 0.05 for gaps of 5. A gap at the clip's start or end, which is seen from one side alone, gets all of
    ``longest``, as a forecast does. A window is longer only for gaps that demand it.

    Args:
        first, last: int64 ``(T,)`` as `Missing.spans` gives them.
        longest: frames of a usual window, 1 or more.

    Returns:
        The windows in order of the frames they keep.
    """
    T, margin = len(first), longest * 3 // 10
    windows: list[Window] = []
    lacking = np.flatnonzero(first >= 0).tolist()
    for (opens, closes), gap in groupby(lacking, key=lambda t: (int(first[t]), int(last[t]))):
        kept = list(gap)  # they go into one window
        start = max(0, min(opens - 1, kept[0] - margin))
        stop = min(T, max(closes + 2, kept[-1] + 1 + margin))
        if opens == 0:
            stop = max(stop, min(longest, T))
        elif closes == T - 1:
            start = min(start, max(0, T - longest))
        if windows:
            before = windows[-1]
            both = range(min(before.frames.start, start), max(before.frames.stop, stop))
            if len(both) <= max(longest, len(before.frames)):
                windows[-1] = Window(both, [*before.kept, *kept])
                continue
        windows.append(Window(range(start, stop), kept))
    return windows


class Missing:
    """For each frame of a stream, how long what it lacks has been missing and will be.

    Args:
        longest: frames of a usual window: a frame that is partly observed does not look further for what it lacks.
    """

    def __init__(self, longest: int) -> None:
        self._limit = max(0, (longest - 3) // 2)  # with the frames at both ends, and itself
        self._first: list[int] = []
        self._last: list[int] = []
        self._since: np.ndarray | None = None  # (1, H, W): where each pixel's present gap began, -1 = it is observed
        self._open = False  # whether there are any
        self._runs: list[list[int]] = []  # start and stop of wholly missing frames in a row

    def add(self, observed: np.ndarray) -> None:
        """The next frame's observed mask, bool ``(1, H, W)``."""
        t = len(self._first)
        self._first.append(-1)
        self._last.append(-1)
        whole = bool(observed.all())
        if whole and not self._open:
            return
        if self._since is None:
            self._since = np.full(observed.shape, -1, dtype=np.int32)
        if not observed.any():
            if not self._runs or self._runs[-1][1] < t:
                self._runs.append([t, t])
            self._runs[-1][1] = t + 1
        ended = observed & (self._since >= 0)
        for start in np.unique(self._since[ended]).tolist():
            self._note(start, t)
        self._since[ended] = -1
        self._since[~observed & (self._since < 0)] = t
        self._open = not whole

    def spans(self, never: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Of each frame, the first and the last frame over which something that it lacks is missing.

        Args:
            never: bool ``(1, H, W)``, pixels that count as missing nowhere if they are missing in every frame.

        Returns:
            int64 ``(T,)`` twice; -1 where nothing is missing. Those of a frame that is wholly missing are
            the ends of its gap.
        """
        T = len(self._first)
        if self._since is not None:
            unfinished = self._since >= 0
            if never is not None:
                unfinished &= ~(never & (self._since == 0))
            for start in np.unique(self._since[unfinished]).tolist():
                self._note(start, T)
        first, last = np.array(self._first, dtype=np.int64), np.array(self._last, dtype=np.int64)
        t, there = np.arange(T), first >= 0
        first = np.where(there, np.maximum(first, t - self._limit), -1)
        last = np.where(there, np.minimum(last, t + self._limit), -1)
        for start, stop in self._runs:
            first[start:stop], last[start:stop] = start, stop - 1
        return first, last

    @property
    def nothing_seen(self) -> bool:
        """Whether every frame is wholly missing."""
        return self._runs == [[0, len(self._first)]]

    def _note(self, start: int, stop: int) -> None:
        """A pixel that is missing from frame ``start`` up to ``stop``, which is not one of them."""
        for t in range(start, stop):
            self._first[t] = start if self._first[t] < 0 else min(self._first[t], start)
            self._last[t] = max(self._last[t], stop - 1)


def frames_seen(observed: Tensor) -> Tensor:
    """How many frames of each canvas have an observed pixel.

    Args:
        observed: bool ``(B, T, 1, H, W)``.

    Returns:
        int64 ``(B,)``.
    """
    return observed.flatten(2).any(dim=2).sum(dim=1)


def one_value(frames: Tensor, observed: Tensor) -> Tensor:
    """Which canvases have the same value in all their observed pixels; not those with none.

    Args:
        frames: ``(B, T, C, H, W)`` in [0, 1].
        observed: bool ``(B, T, 1, H, W)``.

    Returns:
        bool ``(B,)``.
    """
    lowest = frames.where(observed, 2.0).flatten(1).amin(dim=1)
    highest = frames.where(observed, -1.0).flatten(1).amax(dim=1)
    return lowest == highest
