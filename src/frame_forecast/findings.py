"""What a stream of frames holds and what is wrong with it, in one pass and flat memory: `examine`."""

from __future__ import annotations

import math
import shlex
from array import array
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from frame_forecast import faults
from frame_forecast.header import Header
from frame_forecast.io.base import Frame, Time
from frame_forecast.io.grid import Grid
from frame_forecast.io.streams import Stream, stay_as_they_are
from frame_forecast.misfit import Misfit
from frame_forecast.ranges import format_ranges

SCHEMA = 1
_DETECT, _NAME, _NEITHER = "recreate --detect", "recreate --missing, if these are faults", "recreate"
_LONG_STEP = 1.5
"""Times the usual step: something may have been lost there."""


@dataclass(frozen=True)
class Finding:
    """Something about some of the frames.

    Args:
        kind: ``missing``, ``missing pixels``, ``blank``, ``frozen``, ``corrupt``, ``flat``, ``still`` or
            ``time gap``, whose frames are those that come late. Frames of one kind with several options are several
            findings.
        frames: their numbers, from 0, increasing.
        meaning: a sentence on what was found.
        option: of the command line, that deals with it.
        broken: the frames are to be treated as missing, which they are not yet.
    """

    kind: str
    frames: tuple[int, ...]
    meaning: str
    option: str
    broken: bool = False


@dataclass(frozen=True)
class Findings:
    """What `examine` found.

    Args:
        header: of the stream.
        frames: how many there are, the missing ones among them.
        low, high: of the observed values, in units.
        first, last: times, None where unknown.
        step: seconds, the usual time between two frames; None where unknown.
        missing: share of the pixels of all frames.
        findings: those that name a frame at least, in the order of `Finding.kind`.
        grid: the places of the frames in the series with those inserted that time gaps have lost; None = none have.
    """

    header: Header
    frames: int
    low: float
    high: float
    first: Time | None
    last: Time | None
    step: float | None
    missing: float
    findings: tuple[Finding, ...]
    grid: Grid | None = None

    def broken(self) -> np.ndarray:
        """bool ``(frames,)``: frames that have values, but such that they are to be treated as missing."""
        flags = np.zeros(self.frames, dtype=bool)
        for finding in self.findings:
            if finding.broken:
                flags[list(finding.frames)] = True
        return flags

    def facts(self) -> list[tuple[str, str]]:
        """Layout, values and times, as names and texts for people."""
        C, H, W = self.header.shape
        facts = [
            ("format", self.header.kind),
            ("frames", f"{self.frames} of {C}x{H}x{W} (C, H, W), {self.header.dtype}"),
            ("values", f"{self.low:.7g} to {self.high:.7g} {self.header.units}".rstrip()),
        ]
        if scale := self.header.scale:
            facts.append(("scale", f"{scale.kind}, {scale.low:g} to {scale.high:g}"))
        elif stay_as_they_are(self.low, self.high, self.header.dtype):
            facts.append(("scale", "none: values in [0, 1] stay as they are"))
        else:
            facts.append(("scale", "from the lowest to the highest value"))
        if self.first is not None:
            unit = " UTC" if isinstance(self.first, np.datetime64) else " s"
            facts.append(("times", f"{_time(self.first)} to {_time(self.last)}{unit}"))
        if self.header.rate and self.header.rate >= 1:
            facts.append(("rate", f"{float(self.header.rate):.6g} frames a second"))
        elif self.header.rate:
            facts.append(("rate", f"a frame every {float(1 / self.header.rate):.6g} s"))
        elif self.step:
            facts.append(("rate", f"uneven, mostly a frame every {self.step:.6g} s"))
        facts.append(("missing", f"{_percent(self.missing)} of the pixels"))
        return facts

    def next_command(self, source: str, layout: str | None = None, variable: str | None = None) -> str:
        """The command line to go on with: recreate what is missing or broken, or forecast.

        Args:
            source: what was examined.
            layout, variable: as they were given.
        """
        given = {"--layout": layout, "--variable": variable}
        options = [word for option, value in given.items() if value is not None for word in (option, value)]
        if self.broken().any() or self.grid is not None:
            words = ["recreate", source, *options, "--detect"]
        elif self.missing:
            words = ["recreate", source, *options]
        else:
            words = ["forecast", source, *options, "--horizon", "12"]
        return shlex.join(["frame-forecast", *words, "-o", "OUT"])

    def to_json_dict(self) -> dict[str, Any]:
        """For ``json.dump``; what is unknown is null."""
        header = self.header
        return {
            "schema": SCHEMA,
            "format": header.kind,
            "frames": self.frames,
            "channels": header.channels,
            "height": header.height,
            "width": header.width,
            "dtype": str(header.dtype),
            "low": self.low,
            "high": self.high,
            "scale": None if header.scale is None else asdict(header.scale),
            "rate": None if header.rate is None else float(header.rate),
            "first": _plain(self.first),
            "last": _plain(self.last),
            "step": self.step,
            "missing": self.missing,
            "findings": [
                {
                    "kind": finding.kind,
                    "frames": format_ranges(finding.frames),
                    "count": len(finding.frames),
                    "broken": finding.broken,
                    "meaning": finding.meaning,
                    "option": finding.option,
                }
                for finding in self.findings
            ],
        }


def examine(stream: Stream, progress: Callable[[int, int | None], None] | None = None) -> Findings:
    """Goes through a stream once, holding three frames at a time.

    Frames that nothing is observed of, and times without a frame, are told apart from those that look broken:
    how that is decided, and what it takes for a fault by mistake, is said in `faults`.

    Args:
        stream: from `open_reader`.
        progress: called with (done, total); the total is None where it is unknown.

    Raises:
        DataError: whatever reading the frames raises.
    """
    tally = _Tally(stream.header, stream.recorded)
    for number, frame in enumerate(stream):
        tally.add(frame)
        if progress is not None:
            progress(number + 1, stream.header.frames)
    return tally.result()


class _Tally:
    """A few numbers of each frame, and the two frames seen last."""

    def __init__(self, header: Header, recorded: bool) -> None:
        self._header = header
        self._recorded = recorded
        self._low, self._high = math.inf, -math.inf
        self._lost = array("q")  # pixels of each frame
        self._detail, self._change, self._skip, self._seconds = array("d"), array("d"), array("d"), array("d")
        self._flat, self._damaged = bytearray(), bytearray()
        self._misfit = Misfit(header.scale)
        self._last: Frame | None = None
        self._last_but_one: Frame | None = None
        self._ever = np.zeros((1, header.height, header.width), dtype=bool)
        self._times: list[Time | None] = [None, None]  # the first, the last

    def add(self, frame: Frame) -> None:
        """Takes the next frame."""
        if not self._lost:
            self._times[0] = frame.time
        self._times[1] = frame.time
        self._seconds.append(_seconds(self._times[0], frame.time))
        lost = frame.observed.size - int(np.count_nonzero(frame.observed))
        self._lost.append(lost)
        self._damaged.append(frame.damaged)
        self._ever |= frame.observed
        seen = lost < frame.observed.size
        self._change.append(_difference(frame, self._last) if seen and self._last else math.nan)
        self._skip.append(_difference(frame, self._last_but_one) if seen and self._last_but_one else math.nan)
        if not seen:
            self._detail.append(math.nan)
            self._flat.append(False)
            self._misfit.skip()
            return
        flat, variance = True, 0.0
        for plane in frame.values:
            known = plane if lost == 0 else plane[frame.observed[0]]
            low, high = known.min(), known.max()
            self._low, self._high = min(self._low, float(low)), max(self._high, float(high))
            flat &= bool(low == high)
            variance += _variance(known) if low < high else 0.0
        self._flat.append(flat)
        if flat:  # nothing is foretold from it, nor is it far from what is
            self._misfit.skip()
        else:
            self._misfit.add(frame.values, frame.observed)
        self._detail.append(math.sqrt(variance / len(frame.values)))
        self._last, self._last_but_one = frame, self._last

    def result(self) -> Findings:
        """Looks at all the numbers together."""
        lost = np.array(self._lost)
        pixels = self._header.height * self._header.width
        first, last = self._times
        steps = np.diff(np.array(self._seconds))
        known = steps.size > 0 and bool(np.isfinite(steps).all())
        step = round(float(np.median(steps)), 9) if known else None  # sums of seconds end in many digits
        parts = [
            *self._missing(lost, pixels),
            Finding("corrupt", _numbers(np.frombuffer(self._damaged, dtype=bool)), "cannot be read", _NEITHER),
            *self._broken(),
        ]
        gone = faults.lost(steps) if step and self._recorded else np.zeros(len(steps), dtype=np.int64)
        if step:
            parts += _time_gaps(steps, step, gone, self._recorded)
        return Findings(
            header=self._header,
            frames=len(lost),
            low=self._low,
            high=self._high,
            first=first if known else None,
            last=last if known else None,
            step=step,
            missing=float(lost.sum() / (pixels * len(lost))),
            findings=tuple(part for part in parts if part.frames),
            grid=Grid(np.concatenate([[0], np.cumsum(1 + gone)]), None) if gone.any() else None,
        )

    def _missing(self, lost: np.ndarray, pixels: int) -> list[Finding]:
        partly = (lost > 0) & (lost < pixels)
        share = float(lost[partly].mean() / pixels) if partly.any() else 0.0
        never = float(1 - self._ever.mean())
        meaning = f"{_percent(share)} of their pixels have no value"
        if never:
            meaning += f"; {_percent(never)} have none in any frame"
        return [
            Finding(
                "missing",
                _numbers((lost == pixels) & ~np.frombuffer(self._damaged, dtype=bool)),
                "the series lacks them, or nothing of them has a value",
                _NEITHER,
            ),
            Finding("missing pixels", _numbers(partly), meaning, _NEITHER),
        ]

    def _broken(self) -> list[Finding]:
        """What `faults` says, and what it lets pass though it might be a fault."""
        change = np.array(self._change)
        blank = faults.blank(np.array(self._detail))
        flat = np.frombuffer(self._flat, dtype=bool) & ~blank
        frozen = faults.frozen(
            np.where(blank | flat, np.nan, change)
        )  # where nothing is seen, nothing moves or freezes
        # Between two blanks, which are alike, a good frame would be the one that is not.
        unforeseen = faults.unforeseen(*self._misfit.numbers()) & ~np.convolve(blank, [True] * 3)[1:-1]
        odd = (faults.odd(change, np.array(self._skip)) | unforeseen) & ~blank & ~frozen
        still = (change == 0) & ~blank & ~frozen & ~flat
        return [
            Finding("blank", _numbers(blank), "black, or one value all over, unlike those beside them", _DETECT, True),
            Finding("frozen", _numbers(frozen), "like the frame before, while the scene moves on", _DETECT, True),
            Finding("corrupt", _numbers(odd), "unlike both neighbours, which are alike", _DETECT, True),
            Finding("flat", _numbers(flat), "one value all over; not taken for faults", _NAME),
            Finding("still", _numbers(still), "equal to the frame before; not taken for faults", _NAME),
        ]


def _time_gaps(steps: np.ndarray, step: float, gone: np.ndarray, recorded: bool) -> list[Finding]:
    """Frames that come late after the one before, where the reader inserted none: with and without lost ones."""
    if not recorded:
        reason = "an animation's frame may be shown for longer"
    else:
        reason = "the steps are too uneven, or it too long, to tell what is lost"

    def find(late: np.ndarray, end: str, option: str) -> Finding:
        longest = float(steps[late].max(initial=0))
        meaning = f"up to {longest:.6g} s after the frame before, usually {step:.6g} s; {end}"
        return Finding("time gap", tuple((np.flatnonzero(late) + 1).tolist()), meaning, option)

    return [
        find(gone > 0, f"frames lost there: {gone.sum()}", _DETECT),
        find((steps > _LONG_STEP * step) & (gone == 0), f"nothing is inserted: {reason}", "none: taken as they come"),
    ]


def _difference(one: Frame, other: Frame) -> float:
    """The mean absolute difference of two frames, over pixels that both have; NaN if there are none."""
    both = (one.observed & other.observed)[0]
    whole = bool(both.all())
    if not whole and not both.any():
        return math.nan
    total = 0.0
    for a, b in zip(one.values, other.values, strict=True):
        if not whole:
            a, b = a[both], b[both]
        if a.dtype.kind == "u":  # as bytes are, which stay so: large frames are compared in little time
            total += float((np.maximum(a, b) - np.minimum(a, b)).mean(dtype=np.float64))
        else:
            with np.errstate(over="ignore"):
                total += float(np.abs(a.astype(np.float64) - b.astype(np.float64)).mean())
    return total / len(one.values)


def _variance(values: np.ndarray) -> float:
    with np.errstate(over="ignore", invalid="ignore"):
        return float(values.var(dtype=np.float64))


def _numbers(flags: np.ndarray) -> tuple[int, ...]:
    return tuple(np.flatnonzero(flags).tolist())


def _seconds(first: Time | None, time: Time | None) -> float:
    """From the first frame's time to another's; NaN where one is unknown."""
    if first is None or time is None:
        return math.nan
    elapsed = np.subtract(time, first)
    return float(elapsed / np.timedelta64(1, "s") if elapsed.dtype.kind == "m" else elapsed)


def _time(time: Time | None) -> str:
    return str(time) if isinstance(time, np.datetime64) else f"{time:.6g}"


def _plain(time: Time | None) -> str | float | None:
    return time if time is None else str(time) if isinstance(time, np.datetime64) else float(time)


def _percent(share: float) -> str:
    """A share for people; what is there is never called 0 %, nor most of it 100 %."""
    return "less than 0.1 %" if 0 < share < 0.001 else f"{math.floor(1000 * share) / 10:g} %"
