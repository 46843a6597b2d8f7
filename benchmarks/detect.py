"""How many broken frames `--detect` finds in real files, how many good ones it takes for broken, and what it costs.

Six kinds of faults are put into single frames of a video, an animation, a microscopy stack and a radar event, twenty
of each kind, a few at a time; and these and four more radar events are looked at as they are. Each is done by all the
rules, and without what neighbours predict, as before that was there. The files are looked for in
``FRAME_FORECAST_DATA``::

    python benchmarks/detect.py --out benchmarks/results/detect.csv
"""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path
from typing import Annotated, cast
from unittest import mock

import numpy as np
import typer

from common import record
from frame_forecast import findings
from frame_forecast.header import Header
from frame_forecast.io.base import Frame
from frame_forecast.io.streams import Stream, open_reader
from frame_forecast.misfit import Misfit

FILES = ["video/cockatoo.mp4", "video/newtonscradle.gif", "video/calcium_imaging.tif", "radar/mch/20150515"]
CLEAN = ["radar/mch/20160711", "radar/KNMI/2010/08", "radar/fmi/pgm/20160928", "radar/bom/prcp-c10/66/2020/10/31"]
"""Looked at as they are, and no more."""
ALL = FILES + CLEAN
FRAMES = 140  # of each file at most: they are held in memory, and looked at some hundred times
FAULTS = 20  # of each kind
_APART = 10  # of so many frames one is broken at most


def torn(frame: Frame, far: Frame, low: float, high: float, rng: np.random.Generator) -> np.ndarray:
    """From a row on, everything is further left or right, as after a lost packet."""
    H, W = frame.observed.shape[1:]
    row, way = rng.integers(H // 4, 3 * H // 4), rng.choice([-1, 1]) * rng.integers(W // 10, W // 3)
    values = frame.values.copy()
    values[:, row:] = np.roll(values[:, row:], way, axis=2)
    return values


def shifted(frame: Frame, far: Frame, low: float, high: float, rng: np.random.Generator) -> np.ndarray:
    """All of it is elsewhere, as after a knock on the camera."""
    H, W = frame.observed.shape[1:]
    ways = [rng.choice([-1, 1]) * rng.integers(side // 16 + 1, side // 4) for side in (H, W)]
    return np.roll(frame.values, ways, axis=(1, 2))


def wrong_gain(frame: Frame, far: Frame, low: float, high: float, rng: np.random.Generator) -> np.ndarray:
    """Darker or brighter."""
    brighter = (frame.values.astype(np.float64) - low) * rng.choice([0.5, 0.7, 1.4, 2.0]) + low
    return np.clip(brighter, low, high).astype(frame.values.dtype)


def half_black(frame: Frame, far: Frame, low: float, high: float, rng: np.random.Generator) -> np.ndarray:
    """The upper or the lower half has the lowest value."""
    values = frame.values.copy()
    half = values.shape[1] // 2
    values[:, rng.choice([0, half]) :][:, :half] = low
    return values


def block_noise(frame: Frame, far: Frame, low: float, high: float, rng: np.random.Generator) -> np.ndarray:
    """24 blocks, a sixteenth of a side long, of any value: less than a tenth of the frame."""
    values = frame.values.copy()
    H, W = values.shape[1:]
    h, w = max(1, H // 16), max(1, W // 16)
    for _ in range(24):
        y, x = rng.integers(H - h), rng.integers(W - w)
        values[:, y : y + h, x : x + w] = rng.uniform(low, high)
    return values


def another(frame: Frame, far: Frame, low: float, high: float, rng: np.random.Generator) -> np.ndarray:
    """The frame that is furthest from it in time."""
    return far.values.copy()


KINDS: list[Callable[..., np.ndarray]] = [torn, shifted, wrong_gain, half_black, block_noise, another]


class Broken:
    """What `examine` takes of a stream: frames from memory, some of them broken."""

    recorded = True

    def __init__(self, header: Header, frames: list[Frame], broken: dict[int, np.ndarray]) -> None:
        self.header, self._frames, self._broken = header, frames, broken

    def __iter__(self) -> Iterator[Frame]:
        for number, frame in enumerate(self._frames):
            yield replace(frame, values=self._broken.get(number, frame.values))


class NoMisfit(Misfit):
    """As if neighbours predicted nothing."""

    def add(self, values: np.ndarray, observed: np.ndarray) -> None:
        self.skip()


def rounds(frames: int, rng: np.random.Generator) -> Iterator[list[int]]:
    """Numbers of frames to break together, none beside another nor at an end; `FAULTS` in all."""
    left = FAULTS
    while left:
        count = min(left, max(1, frames // _APART))
        # One of each of as many equal parts of the file, and none of the first or last two of a part.
        edges = np.linspace(0, frames, count + 1).astype(int)
        yield [int(rng.integers(a + 2, b - 2)) for a, b in pairwise(edges)]
        left -= count


def look(
    path: Path, header: Header, frames: list[Frame], kind: Callable[..., np.ndarray] | None
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Which frames are broken, and bool ``(T,)``, which are taken for broken: all of the file as it is, or its first
    frames time and again until `FAULTS` have been put in."""
    if kind is None:
        with open_reader(path) as stream:
            yield [], findings.examine(stream).broken()
        return
    known = [frame.values[:, frame.observed[0]] for frame in frames]
    low, high = min(float(values.min()) for values in known), max(float(values.max()) for values in known)
    rng = np.random.default_rng(0)
    for numbers in rounds(len(frames), rng):
        broken = {t: kind(frames[t], frames[0 if 2 * t > len(frames) else -1], low, high, rng) for t in numbers}
        for values in broken.values():
            values[~np.isfinite(values)] = low  # what is out of a radar's reach was moved into it
        yield numbers, findings.examine(cast(Stream, Broken(header, frames, broken))).broken()


def measurements(files: list[str], data: Path) -> Iterator[dict[str, object]]:
    """A row for each file, kind of fault and set of rules."""
    for name in files:
        with open_reader(data / name) as stream:
            header, frames = stream.header, list(islice(stream, FRAMES)) if name in FILES else []
        header = replace(header, frames=len(frames) or None, times=None)
        for kind in [None, *(KINDS if frames else [])]:
            for rules, misfit in (("change", NoMisfit), ("neighbours", Misfit)):
                hits = alarms = looked_at = faults = 0
                began = time.process_time()
                with mock.patch.object(findings, "Misfit", misfit):
                    for numbers, found in look(data / name, header, frames, kind):
                        faults += len(numbers)
                        hits += int(found[numbers].sum())
                        alarms += int(found.sum() - found[numbers].sum())
                        looked_at += len(found)
                yield {
                    "file": name,
                    "fault": "none" if kind is None else kind.__name__,
                    "rules": rules,
                    "faults": faults,
                    "found": hits,
                    "frames_looked_at": looked_at,
                    "false_alarms": alarms,
                    "cpu_ms_per_frame": round(1000 * (time.process_time() - began) / looked_at, 2),
                }


def main(
    out: Annotated[Path, typer.Option(help="CSV file to write.")] = Path("benchmarks/results/detect.csv"),
    file: Annotated[list[str], typer.Option(help="May be given several times.")] = ALL,
) -> None:
    """Measures, prints and writes."""
    data = os.environ.get("FRAME_FORECAST_DATA")
    if data is None:
        raise typer.BadParameter("set FRAME_FORECAST_DATA to the folder that has video/ and radar/")
    record(out, measurements(file, Path(data)))


if __name__ == "__main__":
    typer.run(main)
