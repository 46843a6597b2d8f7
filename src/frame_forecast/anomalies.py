"""How unusual the error of each frame's prediction is, as a table: `Scores`."""

from __future__ import annotations

import csv
import math
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from frame_forecast.files import replacing
from frame_forecast.io.base import Frame, Time
from frame_forecast.scale import ValueScale

COLUMNS = ("frame", "time", "rmse", "psnr", "score", "flagged")
REACH = 15
"""Frames before and after that tell how much errors vary."""
FLAGGED = 4.0
"""The score from which on a frame is flagged, if the frames beside it are better by `CLEAR`. Set so that one torn frame
of an animation is, by `linear` and by `optical_flow`; no larger set was tried."""
CLEAR = 2.0
"""dB: those beside that torn frame, which are predicted from it in part, were 3 to 6 dB better; both sides of a cut
should be equally bad."""
_NEAR = (-4, -3, -2, 2, 3, 4)  # frames that tell what is usual; those beside suffer from a fault, too
_KEPT = REACH + _NEAR[-1]  # rows before and after that a score depends on
_FEWEST = (3, 6)  # of these frames, and of those within reach, for a median to mean something
_NORMAL = 1.4826  # times the median distance is the standard deviation where errors are normal
_STEADY = 0.5  # dB: errors that vary less than that are taken to vary as much
_MOST = 100.0  # dB, as everywhere in this package: of a prediction without error


@dataclass(frozen=True)
class _Row:
    """What is known of a frame before those after it.

    Args:
        time: None where it is unknown.
        rmse: in units; NaN where nothing can be compared.
        psnr: on the scale, in dB; NaN likewise.
    """

    time: Time | None
    rmse: float
    psnr: float


class Scores:
    """Compares the frames of a stream with what a model makes of them; memory does not grow with the stream.

    A frame's PSNR is first compared with the median of those of the frames two to four before and after it, so that
    motion that comes and goes counts little; then with how much others within `REACH` differ from theirs::

        drop = median(psnr of the frames two to four away) - psnr
        score = drop / max(1.4826 * median(abs(drop) of the others within reach), 0.5)

    A PSNR is the logarithm of an error, so that the score says how many times larger than usual the error is, in terms
    of how much errors vary there: 0 is usual, below 0 better. A frame is flagged from `FLAGGED` on, if its PSNR is
    also below those of both frames beside it, by `CLEAR`. The first and the last frame are predicted from one side
    alone, badly as a rule, and never flagged.

    Args:
        scale: takes values to [0, 1].

    Attributes:
        flagged: how many frames of those in the table.
    """

    def __init__(self, scale: ValueScale) -> None:
        self.flagged = 0
        self._scale = scale
        self._waiting: deque[Frame] = deque()  # for what the model makes of them
        self._rows: deque[_Row] = deque()
        self._first = 0  # number of the first of these
        self._written = 0
        self._writer: Any = None

    def watch(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """The same frames, which `add` takes again in the same order."""
        for frame in frames:
            self._waiting.append(frame)
            yield frame

    @contextmanager
    def into(self, path: Path) -> Iterator[None]:
        """The table appears at ``path`` after the block, if that ends well: a row for each frame added in it.

        Raises:
            OutputError: it cannot be written.
        """
        with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            self._writer = csv.writer(file)
            self._writer.writerow(COLUMNS)
            yield
            while self._written < self._first + len(self._rows):
                self._write_next()

    def add(self, prediction: np.ndarray, made: np.ndarray) -> None:
        """What the model makes of the next frame.

        Args:
            prediction: ``(C, H, W)`` in units.
            made: bool ``(1, H, W)``, where it is one.
        """
        frame = self._waiting.popleft()
        known = (frame.observed & made)[0]
        rmse = psnr = math.nan
        if known.any():
            truth, guess = frame.values[:, known], prediction[:, known]
            rmse = math.sqrt(_mean_square(truth, guess))
            error = _mean_square(self._scale.to_unit(truth), self._scale.to_unit(guess))
            psnr = min(_MOST, -10 * math.log10(error)) if error > 0 else _MOST
        self._rows.append(_Row(frame.time, rmse, psnr))
        if self._first + len(self._rows) > self._written + _KEPT:
            self._write_next()

    def _write_next(self) -> None:
        """The row of the first frame that has none, of those around it as many as there are."""
        place = self._written - self._first
        around = np.array([row.psnr for row in self._rows])[: place + _KEPT + 1]
        row, (score, flagged) = self._rows[place], score_of(around, place)
        time = "" if row.time is None else row.time if isinstance(row.time, np.datetime64) else round(row.time, 6)
        cells = ["" if math.isnan(cell) else f"{cell:.{digits}f}" for cell, digits in ((row.psnr, 2), (score, 2))]
        rmse = "" if math.isnan(row.rmse) else f"{row.rmse:.6g}"
        self._writer.writerow([self._written, time, rmse, *cells, str(flagged).lower()])
        self.flagged += flagged
        self._written += 1
        if self._written - self._first > _KEPT:
            self._rows.popleft()
            self._first += 1


def score_of(psnr: np.ndarray, place: int) -> tuple[float, bool]:
    """How unusual one of some consecutive frames is, as `Scores` says.

    Args:
        psnr: ``(frames,)`` in dB; NaN = cannot be compared.
        place: which one.

    Returns:
        Its score, NaN where too few can be compared, and whether it is flagged.
    """
    ends = -_NEAR[0]
    near = sliding_window_view(np.pad(psnr, ends, constant_values=np.nan), 2 * ends + 1)[:, np.add(_NEAR, ends)]
    enough = np.isfinite(near).sum(axis=1) >= _FEWEST[0]
    drop = np.full(len(psnr), np.nan)
    drop[enough] = np.nanmedian(near[enough], axis=1) - psnr[enough]
    others = np.concatenate([drop[max(0, place - REACH) : place], drop[place + 1 : place + REACH + 1]])
    others = others[np.isfinite(others)]
    if len(others) < _FEWEST[1] or math.isnan(drop[place]):
        return math.nan, False
    score = float(drop[place]) / max(_NORMAL * float(np.median(np.abs(others))), _STEADY)
    beside = np.concatenate([psnr[max(0, place - 1) : place], psnr[place + 1 : place + 2]])
    return score, score >= FLAGGED and len(beside) == 2 and not (beside < psnr[place] + CLEAR).any()


def _mean_square(one: np.ndarray, other: np.ndarray) -> float:
    """The mean square of a difference."""
    return float(np.mean(np.square(one.astype(np.float64) - other.astype(np.float64))))
