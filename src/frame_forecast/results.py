"""What an evaluation gives: ``results.json`` in memory."""

import dataclasses
import math
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch

from frame_forecast.errors import ConfigError, DataError
from frame_forecast.models import TASKS
from frame_forecast.records import check_types

SCHEMA = 1


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
    """Where it ran.

    Args:
        device: that models were on, with how many processes had one each if there were several.
    """

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
        task: ``forecast``, ``recreate`` or ``reconstruct``.
        context, horizon: frames given, those with holes too, and frames forecast (0 for other tasks).
        pattern: of what is missing from the context: as given for ``recreate``, ``interleaved:N``
            where ``reconstruct`` took N passes; None where nothing is missing.
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
            DataError: another schema, keys that are missing or unknown, or values that cannot be.
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
            results = cls(**fields)
            check_types(results)
            results._check()
            return results
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"results that do not fit the schema ({error})", f"schema {SCHEMA}", "evaluate again"
            ) from error

    def _check(self) -> None:
        """Raises ValueError for what no evaluation gives."""
        if self.task not in TASKS:
            raise ValueError(f"task={self.task!r}")
        if any(not row.per_lead_time for row in self.rows):
            raise ValueError("a row without a score per lead time")


def this_machine(device: str | torch.device, processes: int = 1) -> Machine:
    """The machine that runs this, with models on ``device``, or on one like it for each of several processes."""
    name = _device_name(device) if processes == 1 else f"{processes} x {_device_name(device)}"
    return Machine(_cpu_name(), os.cpu_count() or 1, torch.__version__, name)


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
    return f"{kind.type} ({torch.cuda.get_device_name(kind)})" if kind.type == "cuda" else kind.type
