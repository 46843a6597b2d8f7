"""What a report shows, before it has a format."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frame_forecast.report.inputs import Sample
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
class Scene:
    """What one model made of some clips.

    Args:
        heading: the task, the pattern and the model.
        animations, strips: of the clips, in their order.
    """

    heading: str
    animations: list[Picture]
    strips: list[Picture]


@dataclass(frozen=True)
class Content:
    """A report in the order in which it is read.

    Args:
        title: of the page.
        summary: sentences on what was done.
        scenes: one a model, task and pattern.
        results: one a model, task and pattern.
        curves: training loss, then scores per lead time.
    """

    title: str
    summary: list[str]
    scenes: list[Scene]
    results: list[Results]
    curves: list[Picture]

    @property
    def pictures(self) -> list[Picture]:
        """All of them."""
        shown = [picture for scene in self.scenes for picture in (*scene.animations, *scene.strips)]
        return [*shown, *self.curves]


def conventions(results: list[Results]) -> dict[str, str]:
    """What the metrics are, once for all tasks."""
    return {name: text for result in results for name, text in result.conventions.items()}


def heading(results: Results) -> str:
    """``Forecast by lstm: 10 frames given, the next 10 scored``."""
    match results.task:
        case "forecast":
            scored = f"{results.context} frames given, the next {results.horizon} scored"
        case "recreate":
            scored = f"{results.context} frames, {results.pattern} hidden, the hidden pixels scored"
        case _ if results.pattern is not None:
            scored = f"{results.context} frames, each predicted from others ({results.pattern})"
        case _:
            scored = f"{results.context} frames given, the same {results.context} scored"
    return f"{TASK_NAMES[results.task]} by {results.model}: {scored}"


def title_of(shown: Results | Sample) -> str:
    """``Recreation (gap:5) by lstm``."""
    pattern = "" if shown.pattern is None else f" ({shown.pattern})"
    return f"{TASK_NAMES[shown.task]}{pattern} by {shown.model}"


def file_stem(shown: Results | Sample, *more: str | int) -> str:
    """The name of a file, without an ending: ``recreate_gap_5_lstm`` and what there is more."""
    parts = [shown.task, *([] if shown.pattern is None else [shown.pattern]), shown.model, *map(str, more)]
    return re.sub(r"[^A-Za-z0-9_.-]", "_", "_".join(parts))


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
