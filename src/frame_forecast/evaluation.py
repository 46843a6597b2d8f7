"""Models on a data set: scores for each model and metric, with what is needed to repeat them."""

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from frame_forecast.data.loaders import to_unit
from frame_forecast.data.sources import ClipSource
from frame_forecast.errors import ConfigError, ShapeError, TaskError
from frame_forecast.masks import PATTERNS, Pattern, future, interleaved
from frame_forecast.metrics import DEFINITIONS, BinaryScores, FrameScores, binarise
from frame_forecast.models import TASKS, Model, create
from frame_forecast.philox import stream_key
from frame_forecast.processes import ALONE, Processes
from frame_forecast.results import EvaluatedClips, Results, Row, this_machine

CLIPS_AT_ONCE = 50
_BASELINES = ("black", "mean_frame", "copy_last")
_BASELINES_OF_HOLES = ("black", "copy_last", "nearest", "linear")  # what is hidden has neighbours in time
_PROTOCOL = {
    "scored": "forecast: the frames after the context; recreate: the pixels that were hidden, and no others; "
    "reconstruct: the whole context, seen by the model, or (pattern interleaved:N) each frame as predicted in "
    "that pass of N which hides it: pass p hides the frames t with t % N = p. A frame with nothing scored does "
    "not count; sums, means and decibels of a frame are of its scored pixels",
    "prediction_range": "models give values in [0, 1] by construction: clipped and unclipped are the same",
    "binarised": "the model reads frames binarised at 0.5 (strictly greater is 1) and is scored against "
    "binarised targets",
    "per_lead_time": "forecast: for each step after the context; recreate, reconstruct: for each frame of the context",
    "null": "not a number: a prediction was not finite, or nothing was there to score",
}


_Meters = dict[str, tuple[FrameScores, BinaryScores]]
"""Of grey and of binarised frames, by model."""


@dataclass(frozen=True)
class _Pass:
    """One call of a model, on whole clips.

    Args:
        observed: bool ``(B, T, 1, H, W)`` or ``(B, T, 1, 1, 1)``: what the model may see.
        scored: of the same shape: which pixels of its prediction are scored.
    """

    observed: Tensor
    scored: Tensor


@dataclass(frozen=True)
class _Plan:
    """A task as passes; for the arguments see `evaluate`.

    Args:
        turns: how many passes it takes to reconstruct.
    """

    task: str
    context: int
    horizon: int
    pattern: Pattern | None
    seed: int
    turns: int

    @property
    def length(self) -> int:
        """Frames of a clip that count."""
        return self.context + self.horizon

    @property
    def steps(self) -> slice:
        """Those of them that are scored."""
        return slice(self.context if self.task == "forecast" else 0, self.length)

    @property
    def missing(self) -> str | None:
        """`Results.pattern`."""
        if self.task == "reconstruct" and self.turns > 1:
            return f"interleaved:{self.turns}"
        return None if self.pattern is None else str(self.pattern)

    def passes(self, index: np.ndarray, frames: Tensor) -> list[_Pass]:
        """For the clips ``index``, whose frames are ``(B, T, C, H, W)``."""
        B, T, _, H, W = frames.shape
        if self.pattern is not None:
            masks = holes(self.pattern, index, T, H, W, self.seed)[None]
        elif self.task == "forecast":
            masks = future(self.context, self.horizon).expand(1, B, T, 1, 1, 1)
        elif self.turns > 1:
            masks = interleaved(T, self.turns)[:, None].expand(-1, B, T, 1, 1, 1)
        else:
            everything = torch.ones((B, T, 1, 1, 1), dtype=torch.bool, device=frames.device)
            return [_Pass(observed=everything, scored=everything)]
        return [_Pass(observed, scored=~observed) for observed in masks.to(frames.device)]


def holes(pattern: Pattern, index: np.ndarray, frames: int, height: int, width: int, seed: int) -> Tensor:
    """What `evaluate` lets models see of the clips ``index``; for the arguments see `Pattern.observed`.

    Returns:
        bool ``(B, T, 1, 1, 1)`` where whole frames are missing, else ``(B, T, 1, H, W)``.
    """
    return pattern.observed(index, frames, height, width, stream_key(seed, "evaluation", str(pattern)))


def with_baselines(name: str, model: Model, task: str) -> dict[str, Model]:
    """The model under test first, then the baselines that belong beside it, for `evaluate`."""
    holes = task == "recreate" or (task == "reconstruct" and model.passes > 1)
    baselines = _BASELINES_OF_HOLES if holes else _BASELINES
    return {name: model} | {baseline: create(baseline) for baseline in baselines if baseline != name}


def evaluate(
    models: Mapping[str, Model],
    source: ClipSource,
    *,
    task: str,
    context: int,
    horizon: int,
    clips: int,
    pattern: Pattern | None = None,
    seed: int = 0,
    batch_size: int = CLIPS_AT_ONCE,
    device: str | torch.device = "cpu",
    weights_sha256: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    openstl: bool = False,
    processes: Processes = ALONE,
) -> Results:
    """Scores models on the first clips of a source, grey and binarised, in flat memory.

    Every task is one or more passes: calls of a model with some pixels hidden from it, which
    `Model.forward` blanks, so that no model can see its target. What the passes predict of the
    scored pixels is put together and scored once.

    Args:
        models: by the name of their rows; the first is the one under test. They are moved to
            ``device`` and are in evaluation mode while this runs.
        source: where clips come from, 0..255.
        task: ``forecast`` scores the ``horizon`` frames after the context; ``recreate`` what
            ``pattern`` hides of the context; ``reconstruct`` the context itself, all models in as
            many passes as the first one takes (`Model.passes`).
        context: frames given, 1 or more; 2 or more to predict each from others.
        horizon: frames forecast, 1 or more; 0 for the other tasks.
        clips: how many.
        pattern: of what is missing to ``recreate``; None for the other tasks.
        seed: where in a clip the pattern lies follows from it, the pattern and the clip's number,
            and so is the same for every model, batch size and run.
        batch_size: clips at a time; the scores do not depend on it.
        device: where models run.
        weights_sha256: of the file that the first model's weights are from.
        progress: called with the clips done and ``clips``.
        openstl: also ``ssim_openstl``, which compares to published tables.
        processes: those that take turns with the batches, each called with the same arguments but the device. Each
            merges the sums of all in the order of the clips: the results do not depend on their number.

    Raises:
        TaskError: an unknown task, or one that a model cannot do.
        ConfigError: a number out of range, more clips than the source has, or no pattern where one
            is needed, or one that does not fit the clips.
        ShapeError: clips shorter than context and horizon, or frames that a model does not take.
    """
    began = time.perf_counter()
    with processes.in_step():
        _check(models, source, task, context, horizon, clips, batch_size, pattern)
        for model in models.values():
            model.to(device)
    model_under_test = next(iter(models))
    plan = _Plan(task, context, horizon, pattern, seed, turns=models[model_under_test].passes)
    totals = _meters(models, openstl)
    digest = hashlib.sha256()
    starts = range(0, clips, batch_size)
    with _evaluation_mode(models.values()), torch.inference_mode():
        for first in range(0, len(starts), processes.count):
            turn = starts[first : first + processes.count]
            part = None
            with processes.in_step():
                if processes.rank < len(turn):
                    start = turn[processes.rank]
                    index = np.arange(start, min(start + batch_size, clips))
                    part = _score(models, source, plan, index, device, openstl)
            for pixels, meters in filter(None, processes.from_all(part)):
                digest.update(pixels)
                for name, (grey, binary) in meters.items():
                    totals[name][0].merge(grey)
                    totals[name][1].merge(binary)
            if progress is not None:
                progress(min(turn[-1] + batch_size, clips), clips)
    rows = [
        Row(name, metric, score.overall, score.per_lead_time)
        for name, pair in totals.items()
        for meter in pair
        for metric, score in meter.compute().items()
    ]
    conventions = {row.metric: DEFINITIONS[row.metric] for row in rows} | _PROTOCOL
    if pattern is not None:
        conventions["pattern"] = f"where pixels are missing follows from seed {seed}, the pattern and the clip's number"
    return Results(
        model=model_under_test,
        weights_sha256=weights_sha256,
        task=task,
        data=EvaluatedClips(source.name, source.split, clips, digest.hexdigest()),
        context=context,
        horizon=horizon,
        pattern=plan.missing,
        conventions=conventions,
        rows=rows,
        machine=this_machine(device, processes.count),
        seconds=time.perf_counter() - began,
    )


def _meters(models: Iterable[str], openstl: bool) -> _Meters:
    return {name: (FrameScores(openstl), BinaryScores()) for name in models}


def _score(
    models: Mapping[str, Model],
    source: ClipSource,
    plan: _Plan,
    index: np.ndarray,
    device: str | torch.device,
    openstl: bool,
) -> tuple[bytes, _Meters]:
    """The pixels of the clips ``index`` that count, and their scores; for the other arguments see `evaluate`."""
    pixels = source.clips(index)
    if pixels.shape[1] < plan.length:
        raise ShapeError(f"clips of {pixels.shape[1]} frames", f"{plan.length} or more", "lower context or horizon")
    pixels = pixels[:, : plan.length]
    frames = to_unit(pixels.to(device))
    passes = plan.passes(index, frames)
    scored = torch.stack([look.scored for look in passes]).any(dim=0)[:, plan.steps]
    meters = _meters(models, openstl)
    for name, model in models.items():
        grey, binary = meters[name]
        target = frames[:, plan.steps]
        grey.update(_predict(model, frames, passes)[:, plan.steps], target, scored)
        binary.update(_predict(model, binarise(frames), passes)[:, plan.steps], target, scored)
    return pixels.cpu().numpy().tobytes(), meters


def _check(
    models: Mapping[str, Model],
    source: ClipSource,
    task: str,
    context: int,
    horizon: int,
    clips: int,
    batch_size: int,
    pattern: Pattern | None,
) -> None:
    if not models:
        raise ConfigError("models=0", "1 or more", "give a model")
    if task not in TASKS:
        raise TaskError(f"task {task!r}", " or ".join(TASKS), "evaluate one of these")
    for name, model in models.items():
        if task not in model.tasks:
            raise TaskError(
                f"task {task!r} for model {name!r}",
                f"one of {', '.join(sorted(model.tasks))}",
                "choose another task or model",
            )
    from_others = task == "reconstruct" and next(iter(models.values())).passes > 1
    for name, value, least in (
        ("context", context, 2 if from_others else 1),
        ("horizon", horizon, 1 if task == "forecast" else 0),
        ("clips", clips, 1),
        ("batch_size", batch_size, 1),
    ):
        if value < least:
            raise ConfigError(f"{name}={value}", f"{least} or more", f"give a larger number of {name}")
    if task != "forecast" and horizon > 0:
        raise ConfigError(f"horizon={horizon} to {task}", "0", "leave the horizon to forecasts")
    if task == "recreate" and pattern is None:
        raise ConfigError("no pattern to recreate", PATTERNS, "say what is missing, for example --pattern random:0.5")
    if task != "recreate" and pattern is not None:
        raise ConfigError(f"pattern {pattern} to {task}", "none", "leave the pattern to --task recreate")
    if clips > len(source):
        raise ConfigError(
            f"clips={clips}",
            f"at most {len(source)}, all that {source.name} {source.split} has",
            "evaluate fewer clips",
        )


@contextlib.contextmanager
def _evaluation_mode(models: Iterable[Model]) -> Iterator[None]:
    """Evaluation mode inside; outside every module is as it was."""
    training = {module: module.training for model in models for module in model.modules()}
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module, was_training in training.items():
            module.training = was_training


def _predict(model: Model, frames: Tensor, passes: list[_Pass]) -> Tensor:
    """What each pass predicts of its scored pixels: ``(B, T, C, H, W)``, 0 where none is scored."""
    prediction = torch.zeros_like(frames)
    for look in passes:
        prediction = torch.where(look.scored, model(frames, look.observed), prediction)
    return prediction
