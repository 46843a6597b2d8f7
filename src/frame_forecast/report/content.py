"""What a report shows, before it has a format."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frame_forecast.results import Results


TASK_NAMES = {"forecast": "Forecast", "recreate": "Recreation", "reconstruct": "Reconstruction"}


@dataclass(frozen=True)
class Picture:
    """One picture.

    Args:
        path: where it lies in the run's folder, with forward slashes.
        data: the file.
        alt: says in words what there is to see.
        caption: what it is.
        dark: the same for a page with a dark background; None = it fits both.
    """

    path: str
    data: bytes
    alt: str
    caption: str
    dark: bytes | None = None


@dataclass(frozen=True)
class Content:
    """A report in the order in which it is read.

    Args:
        title: of the page.
        summary: sentences on what was done.
        animations, strips: of the samples.
        results: one a task and pattern.
        curves: training loss, then scores per lead time.
    """

    title: str
    summary: list[str]
    animations: list[Picture]
    strips: list[Picture]
    results: list[Results]
    curves: list[Picture]

    @property
    def pictures(self) -> list[Picture]:
        """All of them."""
        return [*self.animations, *self.strips, *self.curves]


def conventions(results: list[Results]) -> dict[str, str]:
    """What the metrics are, once for all tasks."""
    return {name: text for result in results for name, text in result.conventions.items()}


def heading(results: Results) -> str:
    """``Forecast: 10 frames given, the next 10 scored``."""
    match results.task:
        case "forecast":
            scored = f"{results.context} frames given, the next {results.horizon} scored"
        case "recreate":
            scored = f"{results.context} frames, {results.pattern} hidden, the hidden pixels scored"
        case _ if results.pattern is not None:
            scored = f"{results.context} frames, each predicted from others ({results.pattern})"
        case _:
            scored = f"{results.context} frames given, the same {results.context} scored"
    return f"{TASK_NAMES[results.task]}: {scored}"


def subject(results: Results) -> str:
    """What results a report can hold once: ``forecast``, ``recreate random:0.5``."""
    return results.task if results.pattern is None else f"{results.task} {results.pattern}"


def file_stem(*parts: str | int) -> str:
    """The name of a file, without an ending."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", "_".join(str(part) for part in parts))


def measured(results: Results) -> dict[str, str]:
    """What is needed to repeat the scores, as words and values."""
    machine, data = results.machine, results.data
    return {
        "data": f"{data.name}, {data.split} split, {data.clips:,} clips",
        "SHA-256 of the data": data.sha256,
        "SHA-256 of the weights": results.weights_sha256 or "weights of this run, not from a file",
        "machine": f"{machine.cpu}, {machine.cores} cores; torch {machine.torch} on {machine.device}",
        "time": f"{results.seconds:.1f} s for all models together",
    }
