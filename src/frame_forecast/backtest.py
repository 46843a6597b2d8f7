"""How far into the future each method can be trusted on people's own frames: `backtest`."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from rich.console import Console

from frame_forecast import metrics, predict, streaming, verification, weights
from frame_forecast.devices import BYTES_A_PIXEL, check_memory
from frame_forecast.errors import ConfigError, DataError, same_warning_once
from frame_forecast.header import Header
from frame_forecast.io.base import Frame
from frame_forecast.io.rain import value_of_rate
from frame_forecast.io.streams import Location, open_reader
from frame_forecast.metrics import FrameScores, Score
from frame_forecast.progress import bar
from frame_forecast.results import this_machine
from frame_forecast.scale import ValueScale
from frame_forecast.skill import Backtest, Method, Row, Threshold
from frame_forecast.times import step_seconds
from frame_forecast.verification import EventScores, UnitScores

BESIDE = ("copy_last", "mean_frame", "optical_flow")
"""Methods without weights, scored beside every other."""

RAIN_RATES = (0.1, 1.0, 5.0)
"""mm/h, thresholds for rain and reflectivity: any, moderate and heavy."""

_RATE = "mm/h"
_PROTOCOL = {
    "scored": "pixels of which the truth is known, and no others; a frame with none does not count",
    "origins": "each method sees its context, the last frames before the origin, and none after it; the scale alone "
    "is of the whole source",
    "psnr_and_ssim": "of the values that the scale takes to [0, 1]",
    "event": "a value at or above the threshold",
    "null": "not a number: nothing was there to score, or no event in a ratio's denominator",
}


def backtest(
    source: Location | Sequence[Location],
    horizon: int,
    *,
    windows: int = 8,
    models: Sequence[str] = (),
    thresholds: Sequence[str] = (),
    layout: str | None = None,
    variable: str | None = None,
    device: str = "auto",
    console: Console,
) -> Backtest:
    """Forecasts what is known already, from origins that move through the frames, and scores each lead time.

    The frames are read twice; in memory are no more than those of one window, context and horizon.

    Args:
        source: a file, folder, glob or list of files with a frame each.
        horizon: frames to forecast from each origin.
        windows: how many origins, spread evenly from the first that leaves every method its context to the last
            that leaves a truth of ``horizon`` frames.
        models: what `predict.load` takes, to be scored beside `BESIDE`; none = the released weights for motion in
            general, ``*.motion``, if there are any.
        thresholds: of events: numbers in the source's units, or such as ``1mm/h`` for rain and reflectivity; none =
            `RAIN_RATES` for these, and no events for other data.
        layout: axes of arrays.
        variable: name of the frames in files with several arrays.
        device: where the models run.
        console: for the progress bar.

    Raises:
        ConfigError: a horizon, number of windows or threshold that cannot be, or more frames at once than memory can
            hold.
        DataError: too few frames.
        TaskError: a model that does not forecast.
        FrameForecastError: whatever loading, reading or the models raise besides.
    """
    for name, value in (("horizon", horizon), ("windows", windows)):
        if value < 1:
            raise ConfigError(f"{name}={value}", "1 or more", f"give a larger number of {name}")
    began = time.perf_counter()
    names = dict.fromkeys([*(models or motion_weights()), *BESIDE])
    forecasters = {name: predict.load(name, device) for name in names}
    for one in forecasters.values():
        one.check_task("forecast")
    contexts = {name: streaming.context_of(one, horizon) for name, one in forecasters.items()}
    context = max(contexts.values())
    least = max(streaming.context_of(one, 1) for one in forecasters.values()) + 1
    with same_warning_once(), open_reader(source, layout, variable) as stream:
        header = stream.header
        limits = _thresholds(thresholds, header)
        pixels = math.prod(header.shape)
        check_memory(BYTES_A_PIXEL * (context + horizon) * pixels, f"a horizon of {horizon}", "lower it")
        if header.frames is not None:  # rather now than after a long look
            _origins(stream.name, header.frames, context, horizon, windows, least)
        with bar(console, "looking") as progress:
            frames = _watched(stream, lambda done: progress(done, header.frames))
            found = streaming.survey(((frame, frame) for frame in frames), header, context + horizon, stream.name)
        origins = _origins(stream.name, found.frames, context, horizon, windows, least)
        meters = {name: _Meters(found.scale, limits) for name in names}
        with bar(console, "backtest") as progress:
            done = 0
            for past, future in _windows(stream, origins, context, horizon):
                for name, one in forecasters.items():
                    answers = streaming.forecast(past, header, found, one, horizon)
                    meters[name].update([answer.frame for answer in answers], future)
                    progress(done := done + 1, windows * len(names))
                del past, future  # or they would be there until the next window is
    rows = [row for name, meter in meters.items() for row in meter.rows(name)]
    defined = metrics.DEFINITIONS | verification.DEFINITIONS
    return Backtest(
        source=stream.name,
        frames=found.frames,
        horizon=horizon,
        origins=origins,
        step_seconds=step_seconds([] if header.times is None else header.times, header.rate),
        units=header.units,
        scale=found.scale,
        methods=[Method(name, one.weights_sha256, contexts[name]) for name, one in forecasters.items()],
        conventions={row.score: defined[row.score] for row in rows} | _PROTOCOL,
        rows=rows,
        machine=this_machine(next(iter(forecasters.values())).device),
        seconds=time.perf_counter() - began,
    )


def motion_weights() -> list[str]:
    """The released weights that are for motion in general, not for one kind of frames."""
    return [tag for tag in weights.tags() if tag.endswith(".motion")]


class _Meters:
    """The scores of one method.

    Args:
        scale: of the source.
        thresholds: of events.
    """

    def __init__(self, scale: ValueScale, thresholds: list[Threshold]) -> None:
        self._scale = scale
        self._grey, self._units = FrameScores(), UnitScores()
        self._events = {threshold: EventScores(threshold.value) for threshold in thresholds}

    def update(self, forecast: list[Frame], truth: list[Frame]) -> None:
        """Adds a window: what was forecast, and what came."""
        prediction, target = (np.stack([frame.values for frame in frames])[None] for frames in (forecast, truth))
        scored = torch.from_numpy(np.stack([frame.observed for frame in truth])[None])
        self._grey.update(self._unit(prediction), self._unit(target), scored)
        own, known = (torch.from_numpy(values.astype(np.float32)) for values in (prediction, target))
        for meter in (self._units, *self._events.values()):
            meter.update(own, known, scored)

    def _unit(self, values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(self._scale.to_unit(values))

    def rows(self, method: str) -> Iterator[Row]:
        """All scores so far."""
        grey, units = self._grey.compute(), self._units.compute()
        squared = units["mse"]
        values = {
            "psnr": grey["psnr"],
            **{name: grey[name] for name in ("ssim",) if name in grey},  # none of frames smaller than its window
            "mae": units["mae"],
            "rmse": Score(math.sqrt(squared.overall), [math.sqrt(value) for value in squared.per_lead_time]),
        }
        of_events = {threshold: meter.compute() for threshold, meter in self._events.items()}
        for threshold, scores in ({None: values} | of_events).items():
            for name, score in scores.items():
                yield Row(method, name, threshold, score.overall, score.per_lead_time)


def _origins(source: str, frames: int, context: int, horizon: int, windows: int, least: int) -> list[int]:
    """How many frames come before each forecast.

    Args:
        least: frames with which a shorter horizon or fewer windows would do.

    Raises:
        DataError: too few frames for as many origins.
    """
    needed = context + horizon + windows - 1
    if frames < needed:
        raise DataError(
            f"{source} of {frames} frames",
            f"{needed} at least: {context} of context, {horizon} of horizon, {windows - 1} for more windows",
            "give more frames" if frames < least else "give more frames, or lower --horizon or --windows",
        )
    last = frames - horizon
    if windows == 1:
        return [last]
    return [context + i * (last - context) // (windows - 1) for i in range(windows)]


def _windows(
    frames: Iterable[Frame], origins: list[int], context: int, horizon: int
) -> Iterator[tuple[list[Frame], list[Frame]]]:
    """The frames before and after each origin."""
    waiting = deque(origins)
    buffer: deque[Frame] = deque(maxlen=context + horizon)
    for read, frame in enumerate(frames, start=1):
        buffer.append(frame)
        if waiting and read == waiting[0] + horizon:
            waiting.popleft()
            yield list(islice(buffer, context)), list(islice(buffer, context, None))


def _thresholds(texts: Sequence[str], header: Header) -> list[Threshold]:
    """The thresholds that were asked for, or the usual ones of rain.

    Raises:
        ConfigError: not a number, or a rate of what is not rain.
    """
    if texts:
        return list(dict.fromkeys(_threshold(text, header) for text in texts))
    usual = [(value_of_rate(rate, header.units, header.scale), rate) for rate in RAIN_RATES]
    return [Threshold(value, rate) for value, rate in usual if value is not None]


def _threshold(text: str, header: Header) -> Threshold:
    number = text.strip().removesuffix(_RATE)
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    is_rate = number != text.strip()
    if not math.isfinite(value) or (is_rate and value <= 0):
        raise ConfigError(
            f"threshold {text!r}", f"a number in the source's units, or such as 1{_RATE} for rain", "write it so"
        )
    if not is_rate:
        return Threshold(value)
    own = value_of_rate(value, header.units, header.scale)
    if own is None:
        raise ConfigError(
            f"threshold {text!r} for values in {header.units or 'unknown units'}",
            "rain in a known time, or dBZ",
            "give a number in the source's units",
        )
    return Threshold(own, value)


def _watched(frames: Iterable[Frame], progress: Callable[[int], None]) -> Iterator[Frame]:
    for done, frame in enumerate(frames, start=1):
        yield frame
        progress(done)
