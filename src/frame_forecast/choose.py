"""Which method is best on frames of one's own, and how far it will be off: `choose`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from frame_forecast import predict, weights
from frame_forecast.changes import Changes
from frame_forecast.compare import LEAST, Comparison, ExpectedError
from frame_forecast.devices import choose_device
from frame_forecast.errors import ConfigError
from frame_forecast.header import Header
from frame_forecast.io.base import Frame
from frame_forecast.places import Plan, for_forecast, for_reconstruct, for_recreate
from frame_forecast.predict import AUTO, Forecaster
from frame_forecast.probes import gather, probe_bytes
from frame_forecast.streaming import Survey

SECONDS = 30.0
"""What comparing takes at the most, beside reading the frames and a last probe that was begun."""

_METHODS = ("optical_flow", "linear", "nearest", "copy_last", "mean_frame")
"""Without weights; the first is taken where nothing can be compared."""

_TRAINED = ".motion"  # ends the tags of released weights that know more than one data set

_MOST = 32  # probes
_ENOUGH = 96  # scored frames: further probes are left out
_FEW = 8  # probes that are made all the same
_MOST_BYTES = 2**30  # of all probes


class Candidates:
    """Methods to choose from; stands in for a `Forecaster` until one is chosen.

    Args:
        forecasters: by the name that the table will say; of those that cannot be told apart, the first is taken.
        left_out: a line on each that should be one and cannot.

    Attributes:
        name, title: `AUTO`.
        longest: frames of the longest canvas that one of them takes.
    """

    name = title = AUTO
    weights_sha256 = None

    def __init__(self, forecasters: Mapping[str, Forecaster], left_out: Sequence[str] = ()) -> None:
        self.forecasters = dict(forecasters)
        self.left_out = list(left_out)
        self.longest = max(one.longest for one in self.forecasters.values())

    def check_task(self, task: str) -> None:
        """Raises TaskError unless one of them has a task."""
        able = [one for one in self.forecasters.values() if task in one.model.tasks]
        (able or list(self.forecasters.values()))[0].check_task(task)

    def identity(self) -> dict[str, str | None]:
        """What can be chosen: the digest of each one's weights by its name, None without weights."""
        return {name: one.weights_sha256 for name, one in self.forecasters.items()}


@dataclass(frozen=True)
class Score:
    """How near one method came to what was hidden.

    Args:
        model: its name.
        psnr: in dB, of each frame, their mean.
    """

    model: str
    psnr: float


@dataclass(frozen=True)
class Choice:
    """The best of several methods.

    Args:
        name: of the best.
        best: it.
        table: every method that was compared, the best first, the others by their scores.
        probes: canvases that they were compared on.
        frames: how many frames were hidden in them, in whole or in part.
        rmse: that the best is expected to be off by on what is really missing, in the source's units; None where
            nothing could be compared.
        expected: the same by distance.
        notes: which methods were left out and why, and what could not be tried as it really is.
    """

    name: str
    best: Forecaster
    table: list[Score]
    probes: int
    frames: int
    rmse: float | None
    expected: list[ExpectedError]
    notes: list[str]

    def __str__(self) -> str:
        if not self.table:
            return f"{self.name}, for nothing could be hidden to compare methods on"
        scores = ", ".join(f"{one.model} {one.psnr:.1f} dB" for one in self.table)
        return f"on your data: {scores} ({self.frames} frames hidden)"

    def facts(self) -> dict[str, Any]:
        """What a sidecar says of it."""
        return {
            "model": self.name,
            "weights_sha256": self.best.weights_sha256,
            "table": [{"model": one.model, "psnr": round(one.psnr, 2)} for one in self.table],
            "probes": self.probes,
            "frames_hidden": self.frames,
            "expected_psnr": round(self.table[0].psnr, 2) if self.table else None,
            "expected_rmse": self.rmse,
            "expected_error": [asdict(one) for one in self.expected],
            "notes": self.notes,
        }


def load(name: str, own: Sequence[str] = (), device: str = "auto") -> Forecaster | Candidates:
    """The method that a user names, or for `AUTO` all that may be chosen.

    Args:
        name: as `predict.load` takes it, or `AUTO`.
        own: weights to choose from besides, as `predict.load` takes them.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.

    Raises:
        ConfigError: ``own`` without `AUTO`, the same twice, or whatever loading raises; a method that lacks a
            package is left out instead.
        WeightsError: as `predict.load`.
    """
    if name != AUTO:
        if own:
            raise ConfigError(f"--candidate {own[0]} with --model {name}", f"--model {AUTO}", "leave one of them out")
        return predict.load(name, device)
    device = choose_device(device)  # what is wrong with it is no method's fault
    forecasters: dict[str, Forecaster] = {}
    for one in own:
        if one in forecasters:
            raise ConfigError(f"--candidate {one} twice", "each once", "leave one out")
        forecasters[one] = predict.load(one, device)
    left_out = []
    for one in [*(tag for tag in weights.tags() if tag.endswith(_TRAINED)), *_METHODS]:
        if one in forecasters:
            continue
        try:
            forecasters[one] = predict.load(one, device)
        except ConfigError as error:
            left_out.append(f"{one} is left out: {error}")
    return Candidates(forecasters, left_out)


def choose(
    frames: Callable[[], Iterable[Frame]],
    header: Header,
    found: Survey,
    task: str,
    horizon: int,
    candidates: Candidates,
    *,
    seconds: float = SECONDS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Choice:
    """Hides observed frames as the missing ones are, and takes the method that comes nearest to them.

    All are compared on the same probes. Which these are depends on the frames alone; how many there is time for,
    on the machine too. Frames above 512x512 pixels are compared on four squares of 256 pixels a side.

    Args:
        frames: the stream from its start, less what is to be treated as missing.
        header: of the stream.
        found: by `survey` in these very frames, in windows of ``candidates.longest``.
        task: one of the three.
        horizon: frames to forecast.
        candidates: the methods.
        seconds: after which no further probe is begun.
        progress: called as probes are done.

    Returns:
        The best of those that have the task and take such frames; one without weights where nothing can be hidden.

    Raises:
        FrameForecastError: whatever reading the frames raises.
    """
    plan = _plan(task, horizon, header, found, candidates)
    scored = np.cumsum([0, *(len(place.scored) for place in plan.places)])
    places = [place for i, place in enumerate(plan.places) if i < _FEW or scored[i] < _ENOUGH]
    changes = Changes()
    watched = changes.watch(frames())
    probes = gather(watched, places, found)
    for _ in watched:  # the frames after the last that a probe needs
        pass
    notes = [*candidates.left_out, *plan.notes]
    compared = Comparison(probes, plan.shares, changes, task, horizon, seconds, notes)
    able = {name: one for name, one in candidates.forecasters.items() if task in one.model.tasks}
    notes += [f"{name} is left out: it does not {task}" for name in candidates.forecasters if name not in able]
    compared.run(able, progress)
    if not compared.probes or not compared.errors:
        name = next((one for one in _METHODS if one in able), next(iter(able)))
        return Choice(name, able[name], [], 0, 0, None, [], notes)
    name, *_ = ranked = compared.ranked()
    table = [Score(one, compared.psnr(one)) for one in ranked]
    return Choice(
        name,
        able[name],
        table,
        len(compared.probes),
        compared.frames,
        compared.rmse(name),
        compared.by_distance(name),
        notes,
    )


def _plan(task: str, horizon: int, header: Header, found: Survey, candidates: Candidates) -> Plan:
    """Where to hide something, in no more memory than there should be."""
    forecasters = candidates.forecasters.values()
    if task == "forecast":
        context = max(one.context(horizon) or one.contract.context for one in forecasters)
        longest = context + horizon
    else:
        context = 0
        longest = max([candidates.longest, *(len(window.frames) for window in found.windows)])
    most = max(LEAST, min(_MOST, _MOST_BYTES // probe_bytes(found, longest, header.frame_bytes)))
    if task == "forecast":
        return for_forecast(found, horizon, context, most)
    if task == "reconstruct":
        return for_reconstruct(found, candidates.longest, most)
    return for_recreate(found, most)
