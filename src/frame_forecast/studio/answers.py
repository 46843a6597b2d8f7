"""What a model makes of a clip, beside the truth where that is known: `answer`."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
import torch

from frame_forecast import streaming
from frame_forecast.call import Cancel, Cancelled, Progress
from frame_forecast.choose import Candidates, Choice, choose
from frame_forecast.clip import Clip
from frame_forecast.errors import ConfigError, DataError, TaskError
from frame_forecast.header import Header
from frame_forecast.io.base import Frame
from frame_forecast.metrics import FrameScores
from frame_forecast.models import TASKS
from frame_forecast.predict import Forecaster
from frame_forecast.scale import ValueScale
from frame_forecast.studio.limits import Limits

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Holes:
    """Pixels to hide.

    Args:
        mask: the bits of ``(H, W)`` in base64, 1 = hidden, the most significant first.
        frames: in which; None = in all.
    """

    mask: str
    frames: list[int] | None = None


@dataclass(frozen=True)
class Asked:
    """What to do with a clip.

    Args:
        task: one of the three.
        start: frames given to a forecast; None = all.
        horizon: frames to forecast; None for the other tasks.
        missing: frames to hide from the model.
        holes: pixels to hide from it.
    """

    task: str
    start: int | None = None
    horizon: int | None = None
    missing: Sequence[int] = ()
    holes: Sequence[Holes] = ()


@dataclass(frozen=True)
class Answer:
    """What a model made.

    Args:
        clip: on the timeline of the one that was given: of a forecast the given frames, then those made.
        made: numbers of the frames that were made, in whole or in part.
        model: that made them.
        scores: how near they are to what is known of them; None where nothing is.
        table: how near each of several models came, where one was chosen.
        seconds: that it took.
        notes: lines on how the model was chosen.
    """

    clip: Clip
    made: list[int]
    model: str
    scores: dict[str, Any] | None
    table: list[dict[str, Any]] | None
    seconds: float
    notes: list[str] = field(default_factory=list)


def answer(
    clip: Clip,
    asked: Asked,
    forecaster: Forecaster | Candidates,
    limits: Limits,
    *,
    progress: Progress,
    cancel: Cancel,
) -> Answer:
    """Forecasts, recreates or reconstructs a clip, as the commands of these names do.

    Args:
        clip: what is known, and what may be hidden of it.
        asked: what to do; the model sees no more than that says.
        forecaster: what does it, or what to choose from.
        limits: of the answer.
        progress: called with what is done and what there is to do.
        cancel: asked now and then.

    Raises:
        Cancelled: ``cancel`` said so.
        FrameForecastError: what is asked for does not fit the clip, nothing is left to see or missing, or whatever
            the model raises.
    """
    began = time.monotonic()
    if asked.task not in TASKS:
        raise TaskError(f"task {asked.task!r}", " or ".join(TASKS), "choose one")
    forecaster.check_task(asked.task)
    start, horizon = _span(clip, asked, limits)
    given = clip.part(0, start)
    shown = given.observed & ~_hidden(clip, asked)[:start]
    pairs = list(zip(_frames(given, given.observed), _frames(given, shown), strict=True))
    frames = [frame for _, frame in pairs]
    T, C, H, W = given.values.shape
    header = clip.header or Header("array", T, C, H, W, given.values.dtype, _by_dtype(clip))
    header = replace(header, frames=T, dtype=given.values.dtype, times=given.times)
    found = streaming.survey(pairs, header, forecaster.longest, clip.source)
    if asked.task == "recreate" and not found.incomplete:
        raise DataError(
            f"{clip.source}, of which nothing is missing", "frames or pixels to fill", "hide frames or paint a hole"
        )
    choice = None
    if isinstance(forecaster, Candidates):
        choice = choose(
            lambda: iter(frames), header, found, asked.task, horizon, forecaster, progress=_telling(progress, cancel)
        )
        forecaster = choice.best
        found = streaming.survey(pairs, header, forecaster.longest, clip.source)
    header = replace(header, scale=found.scale)
    if asked.task == "forecast":
        made = list(streaming.forecast(frames, header, found, forecaster, horizon, progress=progress, cancel=cancel))
    else:
        run = streaming.recreate if asked.task == "recreate" else streaming.reconstruct
        made = list(_watched(run(frames, found, forecaster), T, progress, cancel))
    complete = _joined(clip, given, made, asked.task)
    mask = np.stack([one.made for one in made])
    first = T if asked.task == "forecast" else 0
    return Answer(
        complete,
        (first + np.flatnonzero(mask.any(axis=(1, 2, 3)))).tolist(),
        forecaster.title if choice is None else choice.name,
        _scores(clip, complete, mask, first),
        None if choice is None else [{"model": one.model, "psnr": round(one.psnr, 2)} for one in choice.table],
        round(time.monotonic() - began, 3),
        [] if choice is None else _notes(choice),
    )


def _span(clip: Clip, asked: Asked, limits: Limits) -> tuple[int, int]:
    """How many frames are given, and how many are to come after them.

    Raises:
        ConfigError: they do not fit the clip.
        DataError: the answer would be too large.
    """
    T, *shape = clip.values.shape
    if asked.task != "forecast":
        if asked.start is not None or asked.horizon is not None:
            raise ConfigError(f"start or horizon to {asked.task}", "a forecast, which has them", "leave them out")
        return T, 0
    start = T if asked.start is None else asked.start
    if not 1 <= start <= T:
        raise ConfigError(f"start {start} of {T} frames", f"1 to {T} frames to be given", "choose another start")
    if asked.horizon is None or asked.horizon < 1:
        raise ConfigError(f"a horizon of {asked.horizon} frames", "1 at least", "say how many frames to forecast")
    limits.check(f"{clip.source} with the forecast", start + asked.horizon, *shape)
    return start, asked.horizon


def _hidden(clip: Clip, asked: Asked) -> np.ndarray:
    """bool ``(T, 1, H, W)``, what is to be hidden.

    Raises:
        ConfigError: frames that the clip does not have, or a mask of another size.
    """
    T, _, H, W = clip.values.shape
    hidden = np.zeros((T, 1, H, W), bool)
    _check_numbers(asked.missing, T)
    hidden[list(asked.missing)] = True
    for holes in asked.holes:
        try:
            packed = np.frombuffer(base64.b64decode(holes.mask, validate=True), np.uint8)
        except (binascii.Error, ValueError) as error:
            raise ConfigError(f"a mask that is no base64 ({error})", "bits in base64", "see docs/api.md") from error
        if len(packed) != -(-H * W // 8):
            raise ConfigError(
                f"a mask of {len(packed)} bytes", f"{-(-H * W // 8)} for frames of {H}x{W}", "see docs/api.md"
            )
        mask = np.unpackbits(packed, count=H * W).astype(bool).reshape(H, W)
        where = list(range(T)) if holes.frames is None else holes.frames
        _check_numbers(where, T)
        hidden[where] |= mask
    return hidden


def _check_numbers(frames: Sequence[int], T: int) -> None:
    wrong = [t for t in frames if not 0 <= t < T]
    if wrong:
        raise ConfigError(f"frame {wrong[0]} of {T}", f"0 to {T - 1}", "count from 0")


def _frames(clip: Clip, observed: np.ndarray) -> Iterator[Frame]:
    for t in range(len(clip.values)):
        yield Frame(clip.values[t], observed[t], None if clip.times is None else clip.times[t])


def _by_dtype(clip: Clip) -> ValueScale | None:
    """The scale of a clip without a header, if its type alone says it: what is hidden must not tell."""
    return clip.scale if clip.scale == ValueScale.of_dtype(clip.values.dtype) else None


def _joined(clip: Clip, given: Clip, made: list[streaming.Made], task: str) -> Clip:
    """The answer on the clip's timeline, in its scale: what is shown side by side must look alike."""
    values = np.stack([one.frame.values for one in made])
    observed = np.stack([one.frame.observed for one in made])
    times = given.times
    if task == "forecast":
        moments = [one.frame.time for one in made]
        values, observed = np.concatenate([given.values, values]), np.concatenate([given.observed, observed])
        if times is not None:
            times = None if moments[0] is None else np.concatenate([times, np.array(moments, times.dtype)])
    return Clip(values, observed, clip.scale, times, clip.source, clip.header)


def _scores(clip: Clip, complete: Clip, made: np.ndarray, first: int) -> dict[str, Any] | None:
    """Of the pixels that were made and are known: PSNR and squared error in [0, 1], absolute error in units.

    Args:
        clip: the truth.
        complete: the answer, on the same timeline.
        made: bool ``(K, 1, H, W)``, of the frames from ``first`` on.
    """
    stop = min(len(clip.values), first + len(made))
    scored = made[: stop - first] & clip.observed[first:stop]
    if not scored.any():
        return None
    total, by_frame, apart, count = FrameScores(), [], 0.0, 0
    for k in np.flatnonzero(scored.any(axis=(1, 2, 3))).tolist():  # one by one: a long clip takes much memory
        truth, guess = clip.values[first + k], complete.values[first + k]
        one = FrameScores()
        unit = [torch.from_numpy(clip.scale.to_unit(values))[None, None] for values in (guess, truth)]
        one.update(unit[0], unit[1], torch.from_numpy(scored[k])[None, None])
        by_frame.append({"frame": first + k, "psnr": one.compute()["psnr"].overall})
        total.merge(one)
        error = guess[:, scored[k, 0]].astype(np.float64) - truth[:, scored[k, 0]]
        apart, count = apart + float(np.abs(error).sum()), count + error.size
    found = total.compute()
    return {
        "psnr": found["psnr"].overall,
        "mse": found["mse"].overall,
        "ssim": found["ssim"].overall if "ssim" in found else None,
        "mae": apart / count,
        "by_frame": by_frame,
    }


def _notes(choice: Choice) -> list[str]:
    return [str(choice) if choice.table else f"{choice}.", *choice.notes]


def _telling(progress: Progress, cancel: Cancel) -> Progress:
    """What `choose` calls between its probes."""

    def tell(done: int, total: int) -> None:
        if cancel():
            raise Cancelled
        progress(done, total)

    return tell


def _watched(items: Iterable[_Item], total: int, progress: Progress, cancel: Cancel) -> Iterator[_Item]:
    tell = _telling(progress, cancel)
    for done, item in enumerate(items, start=1):
        yield item
        tell(done, total)
