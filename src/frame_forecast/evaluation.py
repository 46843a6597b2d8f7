"""Models on a data set: scores for each model and metric, with what is needed to repeat them."""

import contextlib
import dataclasses
import hashlib
import math
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from frame_forecast.data.loaders import to_unit
from frame_forecast.data.sources import ClipSource
from frame_forecast.errors import ConfigError, DataError, ShapeError, TaskError
from frame_forecast.masks import future
from frame_forecast.metrics import DEFINITIONS, BinaryScores, FrameScores, binarise
from frame_forecast.models import Model, create
from frame_forecast.models.baselines import BASELINES

SCHEMA = 1
_TASKS = ("forecast", "reconstruct")
_PROTOCOL = {
    "prediction_range": "models give values in [0, 1] by construction: clipped and unclipped are the same",
    "binarised": "the model reads frames binarised at 0.5 (strictly greater is 1) and is scored against "
    "binarised targets",
    "per_lead_time": "forecast: for each step after the context; reconstruct: for each frame of the context",
    "null": "not a number: a prediction was not finite, or nothing was there to score",
}


@dataclass(frozen=True)
class EvaluatedClips:
    """Which clips were scored.

    Args:
        name, split: of the source.
        clips: how many, from the first.
        sha256: of the bytes of the frames used (context and horizon), clip after clip.
    """

    name: str
    split: str
    clips: int
    sha256: str


@dataclass(frozen=True)
class Machine:
    """Where it ran."""

    cpu: str
    cores: int
    torch: str
    device: str


@dataclass(frozen=True)
class Row:
    """One model, one metric.

    Args:
        overall: over all scored frames; NaN where undefined.
        per_lead_time: for each scored frame of a clip.
    """

    model: str
    metric: str
    overall: float
    per_lead_time: list[float]


@dataclass(frozen=True)
class Results:
    """What ``results.json`` holds.

    Args:
        model: the one under test; rows of other models stand beside it.
        weights_sha256: of its weights' file; None for weights that are not from a file.
        task: ``forecast`` or ``reconstruct``.
        context, horizon: frames given and frames forecast (0 for ``reconstruct``).
        pattern: of the holes; None without.
        conventions: one sentence for each metric and for the protocol.
        seconds: of wall time, all models together.
    """

    model: str
    weights_sha256: str | None
    task: str
    data: EvaluatedClips
    context: int
    horizon: int
    pattern: str | None
    conventions: dict[str, str]
    rows: list[Row]
    machine: Machine
    seconds: float

    def row(self, model: str, metric: str) -> Row:
        """One row.

        Raises:
            ConfigError: there is none, for example SSIM of frames smaller than its window.
        """
        for row in self.rows:
            if (row.model, row.metric) == (model, metric):
                return row
        names = ", ".join(f"{row.model} {row.metric}" for row in self.rows)
        raise ConfigError(f"a row for {model} {metric}", f"one of {names}", "check both names")

    def to_json_dict(self) -> dict[str, Any]:
        """For ``json.dump``; NaN, which JSON lacks, becomes null."""
        rows = [
            {
                "model": row.model,
                "metric": row.metric,
                "overall": _nan_to_none(row.overall),
                "per_lead_time": [_nan_to_none(value) for value in row.per_lead_time],
            }
            for row in self.rows
        ]
        return {"schema": SCHEMA} | dataclasses.asdict(self) | {"rows": rows}

    @classmethod
    def from_json_dict(cls, record: Mapping[str, Any]) -> Self:
        """What `to_json_dict` gave.

        Raises:
            DataError: another schema, or keys that are missing or unknown.
        """
        fields = dict(record)
        schema = fields.pop("schema", None)
        if schema != SCHEMA:
            raise DataError(f"results of schema {schema!r}", f"schema {SCHEMA}", "evaluate again with this version")
        try:
            fields["data"] = EvaluatedClips(**fields["data"])
            fields["machine"] = Machine(**fields["machine"])
            fields["rows"] = [
                Row(
                    row["model"],
                    row["metric"],
                    _none_to_nan(row["overall"]),
                    [_none_to_nan(value) for value in row["per_lead_time"]],
                )
                for row in fields["rows"]
            ]
            return cls(**fields)
        except (KeyError, TypeError) as error:
            raise DataError(
                f"results that do not fit the schema ({error})", f"schema {SCHEMA}", "evaluate again"
            ) from error


def with_baselines(name: str, model: Model) -> dict[str, Model]:
    """The model under test first, then the baselines, for `evaluate`."""
    return {name: model} | {baseline: create(baseline) for baseline in BASELINES if baseline != name}


def evaluate(
    models: Mapping[str, Model],
    source: ClipSource,
    *,
    task: str,
    context: int,
    horizon: int,
    clips: int,
    batch_size: int = 50,
    device: str | torch.device = "cpu",
    weights_sha256: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    openstl: bool = False,
) -> Results:
    """Scores models on the first clips of a source, grey and binarised, in flat memory.

    A model is given ``context`` frames of each clip and black, hidden frames for the rest of
    its canvas: no model can see its target.

    Args:
        models: by the name of their rows; the first is the one under test. They are moved to
            ``device`` and are in evaluation mode while this runs.
        source: where clips come from, 0..255.
        task: ``forecast`` scores the ``horizon`` frames after the context; ``reconstruct``
            scores the context itself.
        context: frames given, 1 or more.
        horizon: frames forecast, 1 or more; 0 for ``reconstruct``.
        clips: how many.
        batch_size: clips at a time; the scores do not depend on it.
        device: where models run.
        weights_sha256: of the file that the first model's weights are from.
        progress: called with the clips done and ``clips``.
        openstl: also ``ssim_openstl``, which compares to published tables.

    Raises:
        TaskError: an unknown task, or one that a model cannot do.
        ConfigError: a number out of range, or more clips than the source has.
        ShapeError: clips shorter than context and horizon, or frames that a model does not take.
    """
    _check(models, source, task, context, horizon, clips, batch_size)
    began = time.perf_counter()
    scores = {name: (FrameScores(openstl), BinaryScores()) for name in models}
    length = context + horizon
    scored = slice(context, length) if task == "forecast" else slice(0, context)
    digest = hashlib.sha256()
    with _evaluation_mode(models.values()), torch.inference_mode():
        for model in models.values():
            model.to(device)
        for start in range(0, clips, batch_size):
            pixels = source.clips(np.arange(start, min(start + batch_size, clips)))
            if pixels.shape[1] < length:
                raise ShapeError(f"clips of {pixels.shape[1]} frames", f"{length} or more", "lower context or horizon")
            pixels = pixels[:, :length]
            digest.update(pixels.cpu().numpy().tobytes())
            frames = to_unit(pixels.to(device))
            given, target = frames[:, :context], frames[:, scored]
            for name, model in models.items():
                grey, binary = scores[name]
                grey.update(_predict(model, given, horizon)[:, scored], target)
                binary.update(_predict(model, binarise(given), horizon)[:, scored], target)
            if progress is not None:
                progress(start + len(pixels), clips)
    rows = [
        Row(name, metric, score.overall, score.per_lead_time)
        for name, meters in scores.items()
        for meter in meters
        for metric, score in meter.compute().items()
    ]
    return Results(
        model=next(iter(models)),
        weights_sha256=weights_sha256,
        task=task,
        data=EvaluatedClips(source.name, source.split, clips, digest.hexdigest()),
        context=context,
        horizon=horizon,
        pattern=None,
        conventions={row.metric: DEFINITIONS[row.metric] for row in rows} | _PROTOCOL,
        rows=rows,
        machine=Machine(_cpu_name(), os.cpu_count() or 1, torch.__version__, _device_name(device)),
        seconds=time.perf_counter() - began,
    )


def _check(
    models: Mapping[str, Model],
    source: ClipSource,
    task: str,
    context: int,
    horizon: int,
    clips: int,
    batch_size: int,
) -> None:
    if task not in _TASKS:
        raise TaskError(f"task {task!r}", " or ".join(_TASKS), "evaluate one of these")
    for name, model in models.items():
        if task not in model.tasks:
            raise TaskError(
                f"task {task!r} for model {name!r}",
                f"one of {', '.join(sorted(model.tasks))}",
                "choose another task or model",
            )
    least_horizon = 1 if task == "forecast" else 0
    for name, value, least in (
        ("models", len(models), 1),
        ("context", context, 1),
        ("horizon", horizon, least_horizon),
        ("clips", clips, 1),
        ("batch_size", batch_size, 1),
    ):
        if value < least:
            raise ConfigError(f"{name}={value}", f"{least} or more", f"give a larger number of {name}")
    if task == "reconstruct" and horizon > 0:
        raise ConfigError(f"horizon={horizon} to reconstruct", "0", "leave the horizon to forecasts")
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


def _predict(model: Model, given: Tensor, horizon: int) -> Tensor:
    """Every frame ``(B, context + horizon, C, H, W)`` from the given ``(B, context, C, H, W)``."""
    B, context, C, H, W = given.shape
    canvas = torch.cat([given, given.new_zeros((B, horizon, C, H, W))], dim=1)
    observed = future(context, horizon).to(given.device).expand(B, -1, -1, -1, -1)
    return model(canvas, observed)


def _nan_to_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _none_to_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")  # on Linux platform.processor() is mostly empty
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _device_name(device: str | torch.device) -> str:
    kind = torch.device(device)
    return f"{kind} ({torch.cuda.get_device_name(kind)})" if kind.type == "cuda" else str(kind)
