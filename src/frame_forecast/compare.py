"""Several methods on the same probes: how near each comes to what is hidden."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from frame_forecast.changes import Changes
from frame_forecast.clip import Clip
from frame_forecast.errors import FrameForecastError, FrameForecastWarning
from frame_forecast.metrics import PSNR_CAP
from frame_forecast.places import Place
from frame_forecast.predict import Forecaster
from frame_forecast.probes import Part, Probe, distances

LEAST = 3
"""Probes that a method must be fast enough for."""

_APART = 1.0
"""Standard errors by which one method must be better than another before it in order, to be told from it: the rule of
one (Breiman et al., "Classification and regression trees", 1984, section 3.4.3)."""

_FOLLOWS = 0.7
"""Power of what changes that squared errors grow with. Like the half-lives of places, it was chosen on 100 cases of
``benchmarks/auto.py``; 0.5 and 1 are hardly worse."""

_STILL = 0.05  # of what changes on average, added to all: what rests has errors, too

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
        changes: in the stream that they are of.
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
        changes: Changes,
        task: str,
        horizon: int,
        seconds: float,
        notes: list[str],
    ) -> None:
        self.probes, self._shares, self._changes = list(probes), shares, changes
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

    def ranked(self) -> list[str]:
        """The methods, one first that none is better than as far as the probes can tell: of several the one that was
        given first. The others follow by their PSNR."""
        order = sorted(self.errors, key=lambda name: -self.psnr(name))
        first = next(name for name in self.errors if not self._told_apart(order[0], name))
        return [first, *(name for name in order if name != first)]

    def _told_apart(self, better: str, other: str) -> bool:
        """Whether the difference of two methods is large beside how much it varies from probe to probe; frames of one
        probe vary together."""
        differences, weights = self._decibels(better) - self._decibels(other), self._weights()
        mean = np.average(differences, weights=weights)
        sums = np.bincount([probe for probe, _ in self._keys()], weights * (differences - mean))
        return bool(mean > 0 and mean >= _APART * np.sqrt(np.square(sums).sum()) / weights.sum())

    def psnr(self, name: str) -> float:
        """Mean over frames, each distance having the share that it really has."""
        return float(np.average(self._decibels(name), weights=self._weights()))

    def rmse(self, name: str) -> float:
        """In the source's units, likewise, if errors follow what changes."""
        return float(np.sqrt(self._growth * np.average(self._frames(name)[:, 1], weights=self._weights())))

    def by_distance(self, name: str) -> list[ExpectedError]:
        """The nearest first, pixels that nothing shows last; if errors follow what changes."""
        sums: dict[int, np.ndarray] = {}
        counts: dict[int, int] = {}
        for probe, errors in zip(self.probes, self.errors[name], strict=True):
            for (_, distance), error in errors.items():
                sums[distance] = sums.get(distance, 0) + probe.place.weight * error
                counts[distance] = counts.get(distance, 0) + int(error[2])
        order = sorted(sums, key=lambda distance: (distance == 0, distance))
        growth = self._growth
        return [ExpectedError(d or None, float(np.sqrt(growth * sums[d][1] / sums[d][2])), counts[d]) for d in order]

    @cached_property
    def _growth(self) -> float:
        """What squared errors on the probes are multiplied by, to be those on what is really missing.

        A ratio estimate (Cochran, "Sampling techniques", 3rd edition 1977, chapter 6): what errors follow, how much
        frames change across a gap or, before a forecast, from one to the next, is known for both. 1 where it is not.
        """
        if self._task == "reconstruct":  # probes are all over the stream
            return 1.0
        forecast = self._task == "forecast"
        gaps = {0: (self._changes.latest(), 1)} if forecast else self._changes.across()
        real, pixels = np.array([*gaps.values()], np.float64).reshape(-1, 2).T
        of_probes = [_changes(probe, forecast) for probe in self.probes]
        tried = np.array([of_probes[i].get(k, np.nan) for i, k in self._keys()])
        known = np.isfinite(tried)
        tried, weights = tried[known], self._weights()[known]
        if not weights.any() or not np.isfinite(real).any():
            return 1.0
        still = _STILL * np.average(tried, weights=weights)
        if still == 0:
            return 1.0
        expected, found = np.power(real + still, _FOLLOWS), np.power(tried + still, _FOLLOWS)
        return float(np.average(expected, weights=pixels) / np.average(found, weights=weights))

    def _decibels(self, name: str) -> np.ndarray:
        """PSNR of each scored frame, ``(frames,)``."""
        with np.errstate(divide="ignore"):
            return np.minimum(-10 * np.log10(self._frames(name)[:, 0]), PSNR_CAP)

    def _frames(self, name: str) -> np.ndarray:
        """Mean squared errors of each scored frame, in [0, 1] and in units: ``(frames, 2)``."""
        frames = []
        for i, k in self._keys():
            errors = self.errors[name][i]
            total = np.sum([error for (frame, _), error in errors.items() if frame == k], axis=0)
            frames.append(total[:2] / total[2])
        return np.array(frames)

    def _keys(self) -> list[tuple[int, int]]:
        """Of each scored frame the number of its probe, and its own in the canvas."""
        any_method = next(iter(self.errors.values()))
        return [(i, k) for i, errors in enumerate(any_method) for k in sorted({k for k, _ in errors})]

    def _weights(self) -> np.ndarray:
        """What each scored frame counts, ``(frames,)``."""
        kinds, weights = [], []
        for i, k in self._keys():
            place = self.probes[i].place
            kinds.append(dict(zip(place.scored, place.distances, strict=True))[place.canvas[k]])
            weights.append(place.weight)
        hidden = {kind: sum(w for d, w in zip(kinds, weights, strict=True) if d == kind) for kind in set(kinds)}
        return np.array([w * self._shares.get(d, 0) / hidden[d] for d, w in zip(kinds, weights, strict=True)])


def _changes(probe: Probe, forecast: bool) -> dict[int, float]:
    """What `Changes` says of the frames of a canvas that are hidden, by their numbers in it: mean of its parts.

    Before a forecast it is one number for all of them.
    """
    found: dict[int, list[float]] = {}
    for part in probe.parts:
        clip = part.clip
        if forecast:
            given = probe.place.hidden[0] - probe.place.canvas.start
            latest = Changes.of(clip.part(0, given)).latest()
            across = {} if latest is None else dict.fromkeys(range(given, len(clip.values)), latest)
        else:
            across = {k: change for k, (change, _) in Changes.of(clip).across().items()}
        for k, change in across.items():
            found.setdefault(k, []).append(change)
    return {k: float(np.mean(changes)) for k, changes in found.items()}


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
