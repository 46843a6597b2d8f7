"""What a backtest gives: ``backtest.json`` in memory, and what it says in words."""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from frame_forecast.errors import ConfigError, DataError
from frame_forecast.models.baselines import BASELINES
from frame_forecast.ranges import format_ranges
from frame_forecast.records import check_types
from frame_forecast.results import Machine
from frame_forecast.scale import ValueScale

SCHEMA = 1
CSV_HEAD = ("method", "lead_time", "seconds", "score", "threshold", "value")
LOWER_IS_BETTER = ("mae", "rmse", "far")


@dataclass(frozen=True)
class Method:
    """One of the methods compared.

    Args:
        name: as it was typed.
        weights_sha256: of its weights' file; None without weights.
        context: how many of the last frames it looks at.
    """

    name: str
    weights_sha256: str | None
    context: int


@dataclass(frozen=True)
class Threshold:
    """From where on a value is an event.

    Args:
        value: in the source's units.
        mm_per_hour: the rate of rain that this is; None for other data, or if it was not given as a rate.
    """

    value: float
    mm_per_hour: float | None = None

    def label(self, units: str) -> str:
        """``1 mm/h`` or, in the source's units, ``35 dBZ``."""
        if self.mm_per_hour is not None:
            return f"{self.mm_per_hour:g} mm/h"
        return f"{self.value:g} {units}".rstrip()


@dataclass(frozen=True)
class Row:
    """One method, one score.

    Args:
        threshold: of the events that it is of; None for a score of values.
        overall: over all windows and lead times; NaN where undefined.
        per_lead_time: over all windows.
    """

    method: str
    score: str
    threshold: Threshold | None
    overall: float
    per_lead_time: list[float]


@dataclass(frozen=True)
class Backtest:
    """What ``backtest.json`` holds.

    Args:
        source: what was read.
        frames: how many that has.
        horizon: frames forecast from each origin.
        origins: how many frames come before each forecast.
        step_seconds: from a frame to the next; None where unknown.
        units: of the source's values; empty where unknown.
        scale: takes them to [0, 1].
        methods: those compared, the ones that were asked for first.
        conventions: one sentence for each score and for the protocol.
        rows: by method, score and threshold.
        seconds: of wall time.
    """

    source: str
    frames: int
    horizon: int
    origins: list[int]
    step_seconds: float | None
    units: str
    scale: ValueScale
    methods: list[Method]
    conventions: dict[str, str]
    rows: list[Row]
    machine: Machine
    seconds: float

    @property
    def scores(self) -> list[tuple[str, Threshold | None]]:
        """Each score with each of its thresholds, once."""
        return list(dict.fromkeys((row.score, row.threshold) for row in self.rows))

    def row(self, method: str, score: str, threshold: Threshold | None = None) -> Row:
        """One row.

        Raises:
            ConfigError: there is none, for example SSIM of frames smaller than its window.
        """
        for row in self.rows:
            if (row.method, row.score, row.threshold) == (method, score, threshold):
                return row
        raise ConfigError(
            f"a row for {method} {score} {threshold}",
            f"methods {', '.join(one.name for one in self.methods)} and scores that were computed",
            "check the names",
        )

    def span(self, lead_time: int) -> str | None:
        """How long after the last frame seen a lead time is, ``35 min``; None where unknown."""
        if self.step_seconds is None:
            return None
        seconds = lead_time * self.step_seconds
        for unit, length in (("h", 3600), ("min", 60)):
            if seconds >= 2 * length:
                return f"{seconds / length:.3g} {unit}"
        return f"{seconds:.3g} s"

    def wins(self, method: Method, score: str, threshold: Threshold | None) -> list[int]:
        """Lead times, from 1, at which a method is better than each of its `rivals`; not where one is undefined."""
        sign = -1 if score in LOWER_IS_BETTER else 1
        own = self.row(method.name, score, threshold).per_lead_time
        others = [self.row(one.name, score, threshold).per_lead_time for one in self.rivals(method)]
        return [k + 1 for k, value in enumerate(own) if all(sign * value > sign * other[k] for other in others)]

    def rivals(self, method: Method) -> list[Method]:
        """What a method must beat to be worth its cost: one with weights all that have none, one without the
        baselines; none for a baseline."""
        if method.name in BASELINES:
            return []
        trained = method.weights_sha256 is not None
        return [
            one
            for one in self.methods
            if one.weights_sha256 is None and one != method and (trained or one.name in BASELINES)
        ]

    def verdicts(self) -> list[str]:
        """How far each method that has rivals beats them, by PSNR and, for events, by CSI."""
        return [
            self._verdict(method, score, threshold)
            for method in self.methods
            if self.rivals(method)
            for score, threshold in self.scores
            if score in ("psnr", "csi")
        ]

    def _verdict(self, method: Method, score: str, threshold: Threshold | None) -> str:
        by = score.upper() if threshold is None else f"{score.upper()} at {threshold.label(self.units)}"
        rivals = [one.name for one in self.rivals(method)]
        best = rivals[0] if len(rivals) == 1 else f"the best of {', '.join(rivals)}"
        wins = self.wins(method, score, threshold)
        if not wins:
            return f"{method.name} beats {best} at no lead time by {by}"
        if wins == list(range(1, len(wins) + 1)):
            after = "" if (span := self.span(wins[-1])) is None else f" ({span})"
            return f"{method.name} beats {best} up to lead time {wins[-1]} of {self.horizon}{after} by {by}"
        return f"{method.name} beats {best} at lead times {format_ranges(wins)} of {self.horizon} alone by {by}"

    def to_json_dict(self) -> dict[str, Any]:
        """For ``json.dump``; NaN, which JSON lacks, becomes null."""
        rows = [
            dataclasses.asdict(row)
            | {"overall": _nan_to_none(row.overall), "per_lead_time": list(map(_nan_to_none, row.per_lead_time))}
            for row in self.rows
        ]
        return {"schema": SCHEMA} | dataclasses.asdict(self) | {"rows": rows, "verdicts": self.verdicts()}

    @classmethod
    def from_json_dict(cls, record: Mapping[str, Any]) -> Self:
        """What `to_json_dict` gave.

        Raises:
            DataError: another schema, keys that are missing or unknown, or values that cannot be.
        """
        fields = dict(record)
        schema = fields.pop("schema", None)
        if schema != SCHEMA:
            raise DataError(f"a backtest of schema {schema!r}", f"schema {SCHEMA}", "run it again with this version")
        try:
            fields.pop("verdicts")
            fields["scale"] = ValueScale(**fields["scale"])
            fields["machine"] = Machine(**fields["machine"])
            fields["methods"] = [Method(**method) for method in fields["methods"]]
            fields["rows"] = [
                Row(
                    **row
                    | {
                        "threshold": None if row["threshold"] is None else Threshold(**row["threshold"]),
                        "overall": _none_to_nan(row["overall"]),
                        "per_lead_time": list(map(_none_to_nan, row["per_lead_time"])),
                    }
                )
                for row in fields["rows"]
            ]
            backtest = cls(**fields)
            check_types(backtest)
            backtest._check()
            return backtest
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"a backtest that does not fit the schema ({error})", f"schema {SCHEMA}", "run it again"
            ) from error

    def _check(self) -> None:
        """Raises ValueError for what no backtest gives."""
        if not self.origins:
            raise ValueError("no origins")
        if self.horizon < 1 or any(len(row.per_lead_time) != self.horizon for row in self.rows):
            raise ValueError(f"rows of other lead times than horizon={self.horizon}")

    def csv_rows(self) -> Iterator[tuple[str | int | float | None, ...]]:
        """A row of `CSV_HEAD` for each value; None where it is undefined or unknown."""
        for row in self.rows:
            threshold = None if row.threshold is None else row.threshold.value
            for lead_time, value in enumerate(row.per_lead_time, start=1):
                seconds = None if self.step_seconds is None else lead_time * self.step_seconds
                yield row.method, lead_time, seconds, row.score, threshold, _nan_to_none(value)


def _nan_to_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _none_to_nan(value: float | None) -> float:
    return math.nan if value is None else value
