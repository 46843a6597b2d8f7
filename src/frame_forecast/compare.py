"""Several methods on the same probes: how near each comes to what is hidden."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from frame_forecast.clip import Clip
from frame_forecast.errors import FrameForecastError, FrameForecastWarning
from frame_forecast.metrics import PSNR_CAP
from frame_forecast.places import Place
from frame_forecast.predict import Forecaster
from frame_forecast.probes import Part, Probe, distances

LEAST = 3
"""Probes that a method must be fast enough for."""

_Errors = dict[tuple[int, int], np.ndarray]
"""Of the pixels of a canvas's frame that are equally far from what is observed, by the frame's number and that
distance: sums of squared errors in [0, 1] and in units, and how many values they are of."""


@dataclass(frozen=True)
class ExpectedError:
    """What the chosen method was off by.

    Args:
        distance: frames to the nearest that shows the pixel; None = none does.
        rmse: root of the mean squared error, in the source's units.
        values: how many were compared.
    """

    distance: int | None
    rmse: float
    values: int


class Comparison:
    """The errors of several methods on the same probes.

    Args:
        probes: the first of them show most.
        shares: of the plan that they are of.
        task, horizon: of the methods.
        seconds: after which no further probe is begun.
        notes: gets a line on each method that is left out.

    Attributes:
        probes: those that there was time for.
        errors: for each method and probe, what `_errors` gives.
    """

    def __init__(
        self,
        probes: Sequence[Probe],
        shares: Mapping[int, float],
        task: str,
        horizon: int,
        seconds: float,
        notes: list[str],
    ) -> None:
        self.probes, self._shares = list(probes), shares
        self._task, self._horizon = task, horizon
        self._seconds, self._notes = seconds, notes
        self.errors: dict[str, list[_Errors]] = {}

    def run(self, forecasters: Mapping[str, Forecaster], progress: Callable[[int, int], None]) -> None:
        """Runs all methods on a probe, then on the next."""
        self.errors = {name: [] for name in forecasters}
        began = time.monotonic()
        for done, probe in enumerate(self.probes):
            if done and (time.monotonic() - began) * (done + 1) / done > self._seconds:
                self.probes = self.probes[:done]
                break
            took = {name: self._time(name, forecasters[name], probe) for name in list(self.errors)}
            took = {name: seconds for name, seconds in took.items() if name in self.errors}
            while not done and len(took) > 1 and sum(took.values()) * LEAST > self._seconds:
                slowest = max(took, key=lambda name: took[name])
                self._notes.append(f"{slowest} is left out: {took.pop(slowest):.0f} s for each of {LEAST} probes")
                del self.errors[slowest]
            progress(done + 1, len(self.probes))

    def _time(self, name: str, forecaster: Forecaster, probe: Probe) -> float:
        """Seconds that a method takes; it is left out if it does not take such frames."""
        start = time.monotonic()
        try:
            self.errors[name].append(_errors(forecaster, probe, self._task, self._horizon))
        except FrameForecastError as error:
            del self.errors[name]
            self._notes.append(f"{name} is left out: {error}")
        return time.monotonic() - start

    @property
    def frames(self) -> int:
        """How many were scored."""
        return len(self._weights())

    def psnr(self, name: str) -> float:
        """Mean over frames, each distance having the share that it really has."""
        unit = self._frames(name)[:, 0]
        with np.errstate(divide="ignore"):
            decibels = np.minimum(-10 * np.log10(unit), PSNR_CAP)
        return float(np.average(decibels, weights=self._weights()))

    def rmse(self, name: str) -> float:
        """In the source's units, likewise."""
        return float(np.sqrt(np.average(self._frames(name)[:, 1], weights=self._weights())))

    def by_distance(self, name: str) -> list[ExpectedError]:
        """The nearest first, pixels that nothing shows last."""
        sums: dict[int, np.ndarray] = {}
        counts: dict[int, int] = {}
        for probe, errors in zip(self.probes, self.errors[name], strict=True):
            for (_, distance), error in errors.items():
                sums[distance] = sums.get(distance, 0) + probe.place.weight * error
                counts[distance] = counts.get(distance, 0) + int(error[2])
        order = sorted(sums, key=lambda distance: (distance == 0, distance))
        return [ExpectedError(d or None, float(np.sqrt(sums[d][1] / sums[d][2])), counts[d]) for d in order]

    def _frames(self, name: str) -> np.ndarray:
        """Mean squared errors of each scored frame, in [0, 1] and in units: ``(frames, 2)``."""
        frames = []
        for errors in self.errors[name]:
            for k in sorted({k for k, _ in errors}):
                total = np.sum([error for (frame, _), error in errors.items() if frame == k], axis=0)
                frames.append(total[:2] / total[2])
        return np.array(frames)

    def _weights(self) -> np.ndarray:
        """What each scored frame counts, ``(frames,)``."""
        kinds, weights = [], []
        for probe, errors in zip(self.probes, next(iter(self.errors.values())), strict=True):
            place = probe.place
            kind_of = dict(zip(place.scored, place.distances, strict=True))
            for k in sorted({k for k, _ in errors}):
                kinds.append(kind_of[place.canvas[k]])
                weights.append(place.weight)
        hidden = {kind: sum(w for d, w in zip(kinds, weights, strict=True) if d == kind) for kind in set(kinds)}
        return np.array([w * self._shares.get(d, 0) / hidden[d] for d, w in zip(kinds, weights, strict=True)])


def _errors(forecaster: Forecaster, probe: Probe, task: str, horizon: int) -> _Errors:
    """What a method is off by.

    Raises:
        FrameForecastError: it does not take such frames, or does not have the task.
    """
    sums: _Errors = {}
    for part in probe.parts:
        made, scale = _answer(forecaster, part, probe.place, task, horizon), part.clip.scale
        away = distances(part.clip.observed)
        for k in np.flatnonzero(part.scored.any(axis=(1, 2, 3))).tolist():
            pixels = part.scored[k, 0]
            true, guess, far = part.clip.values[k][:, pixels], made[k][:, pixels], away[k, 0][pixels]
            unit = scale.to_unit(guess).astype(np.float64) - scale.to_unit(true)
            units = guess.astype(np.float64) - true.astype(np.float64)
            for distance in np.unique(far).tolist():
                those = far == distance
                error = [np.square(unit[:, those]).sum(), np.square(units[:, those]).sum(), unit[:, those].size]
                sums[k, distance] = sums.get((k, distance), 0) + np.array(error, np.float64)
    return sums


def _answer(forecaster: Forecaster, part: Part, place: Place, task: str, horizon: int) -> np.ndarray:
    """The canvas as a method makes it, in the source's units: ``(T, C, H, W)``, made where it is hidden."""
    clip = part.clip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FrameForecastWarning)  # the real run will say it of the real frames
        if task == "forecast":
            given = place.hidden[0] - place.canvas.start
            context = forecaster.context(horizon) or forecaster.contract.context
            made = forecaster.forecast(clip.part(max(0, given - context), given), horizon)
            assert isinstance(made, Clip)
            return np.concatenate([clip.values[:given], made.values])
        if len(clip.values) > forecaster.longest and task == "recreate":
            made = forecaster.recreate(clip)
            assert isinstance(made, Clip)
            return made.values
        return clip.scale.from_unit(forecaster.canvas(task, clip), clip.values.dtype)
