"""Curves as SVG: training loss, and scores per lead time. The same input gives the same bytes."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from frame_forecast.report.content import Picture, file_stem, title_of
from frame_forecast.report.inputs import TrainingCurves
from frame_forecast.report.tables import METRICS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from frame_forecast.results import Results

LEAD_TIME_METRICS = ("mse_frame", "ssim", "bin_f1")
_LINE_STYLES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))


@dataclass(frozen=True)
class _Theme:
    """Colours on one background; the lines are Okabe and Ito's, which any colour vision tells apart."""

    background: str
    ink: str
    grid: str
    lines: tuple[str, ...]


_LIGHT = _Theme("#ffffff", "#1f2328", "#e3e6ea", ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"))
_DARK = _Theme("#161b22", "#e6edf3", "#30363d", ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442"))


def training_plot(curves: TrainingCurves) -> Picture:
    """Loss over steps, of training batches and of the validation clips."""

    def draw(axes: Axes, theme: _Theme) -> None:
        axes.plot(curves.steps, curves.train_loss, color=theme.lines[0], linewidth=1, label="training batches")
        if curves.validation_loss:
            axes.plot(
                curves.validation_steps,
                curves.validation_loss,
                color=theme.lines[1],
                marker="o",
                markersize=4,
                linewidth=2,
                label="validation clips",
            )
        axes.set_xlabel("step")
        axes.set_ylabel("loss")

    steps, seconds = curves.steps[-1] + 1, curves.seconds[-1]
    alt = f"Line chart: training loss from {curves.train_loss[0]:.4g} to {curves.train_loss[-1]:.4g}"
    if curves.validation_loss:
        alt += f", validation loss from {curves.validation_loss[0]:.4g} to {curves.validation_loss[-1]:.4g}"
    return _picture("plots/training_loss.svg", draw, f"{alt}.", f"Loss over {steps:,} steps, in {_duration(seconds)}.")


def lead_time_plots(results: Results) -> list[Picture]:
    """One plot for each of `LEAD_TIME_METRICS` that the results have: every model's score by step."""
    present = {row.metric for row in results.rows}
    return [_lead_time_plot(results, metric) for metric in LEAD_TIME_METRICS if metric in present]


def _lead_time_plot(results: Results, metric: str) -> Picture:
    shown = METRICS[metric]
    step = "lead time" if results.task == "forecast" else "frame of the clip"
    rows = [row for row in results.rows if row.metric == metric]
    rows.sort(key=lambda row: row.model != results.model)

    ends = ", ".join(f"{row.model} from {' to '.join(map(shown.show, _ends(row.per_lead_time)))}" for row in rows)
    return steps_plot(
        f"plots/{file_stem(results, metric)}.svg",
        {row.model: row.per_lead_time for row in rows},
        thick={results.model},
        x="lead time in frames" if results.task == "forecast" else step,
        y=f"{metric} ({shown.unit})",
        alt=f"Line chart of {metric} by {step}: {ends}.",
        caption=f"{title_of(results)}: {metric} by {step}, {shown.direction}.",
    )


def steps_plot(
    path: str,
    lines: dict[str, list[float]],
    *,
    thick: Collection[str],
    x: str,
    y: str,
    alt: str,
    caption: str,
    from_zero: bool = True,
) -> Picture:
    """A line for each name, by step from 1.

    Args:
        path: as for `Picture`, and so are ``alt`` and ``caption``.
        lines: a value for each step; NaN leaves a gap.
        thick: the names to look at first.
        x, y: what is on the axes.
        from_zero: begin the axis there if no value is below, so that a distance looks as large as it is.
    """

    def draw(axes: Axes, theme: _Theme) -> None:
        from matplotlib.ticker import MaxNLocator

        for i, (name, values) in enumerate(lines.items()):
            axes.plot(
                range(1, len(values) + 1),
                values,
                color=theme.lines[i % len(theme.lines)],
                linestyle=_LINE_STYLES[i % len(_LINE_STYLES)],
                linewidth=3 if name in thick else 1.8,
                label=name,
            )
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if from_zero and all(value >= 0 for values in lines.values() for value in values if math.isfinite(value)):
            axes.set_ylim(bottom=0)

    return _picture(path, draw, alt, caption)


def _ends(values: list[float]) -> tuple[float, float]:
    """The first and the last that are there: steps without anything to score have none."""
    known = [value for value in values if math.isfinite(value)] or values
    return known[0], known[-1]


def _picture(path: str, draw: Callable[[Axes, _Theme], None], alt: str, caption: str) -> Picture:
    return Picture(path, _svg(draw, _LIGHT), alt, caption, dark=_svg(draw, _DARK))


def _svg(draw: Callable[[Axes, _Theme], None], theme: _Theme) -> bytes:
    import matplotlib
    from matplotlib.figure import Figure

    # The salt stands in for random ids, and the date is left out: equal curves, equal files.
    with matplotlib.rc_context(
        {"svg.hashsalt": "frame-forecast", "font.size": 11, "axes.spines.top": False, "axes.spines.right": False}
    ):
        figure = Figure(figsize=(6.4, 3.8), layout="constrained", facecolor=theme.background)
        axes = figure.subplots()
        axes.set_facecolor(theme.background)
        draw(axes, theme)
        axes.grid(axis="y", color=theme.grid, linewidth=1)
        axes.set_axisbelow(True)
        axes.spines[:].set_color(theme.grid)
        axes.tick_params(colors=theme.ink, length=0)
        axes.xaxis.label.set_color(theme.ink)
        axes.yaxis.label.set_color(theme.ink)
        figure.legend(loc="outside upper left", ncols=2, frameon=False, labelcolor=theme.ink)
        file = io.BytesIO()
        figure.savefig(file, format="svg", metadata={"Date": None})
    return file.getvalue()


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
