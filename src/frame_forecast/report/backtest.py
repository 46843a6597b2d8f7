"""A backtest as files that people read: scores per lead time as tables and curves."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from frame_forecast.files import replacing
from frame_forecast.report.content import Picture
from frame_forecast.report.plots import steps_plot
from frame_forecast.report.tables import escaped
from frame_forecast.skill import CSV_HEAD, LOWER_IS_BETTER

if TYPE_CHECKING:
    from frame_forecast.skill import Backtest, Threshold

MAIN_SCORES = ("psnr", "ssim", "mae", "rmse", "csi", "fss_5")
"""Those worth a look first; the rest is in the files."""

LEGEND = "lead times in frames; ↑ higher is better, ↓ lower; best in bold"
JSON_FILE, CSV_FILE, PAGE = "backtest.json", "backtest.csv", "backtest.md"
_CURVES = ("psnr", "csi", "fss_5")
_COLUMNS = 5  # lead times in a table, which is to fit a terminal
_IN_UNITS = ("mae", "rmse")
_UNDEFINED = "-"


@dataclass(frozen=True)
class ScoreTable:
    """One score of every method.

    Args:
        title: the score, its unit and which way is better.
        lead_times: the heads of the columns, the last of which is of all lead times.
        rows: each method's name and cells, of which the best to the digits shown are marked True.
    """

    title: str
    lead_times: list[str]
    rows: list[tuple[str, list[tuple[str, bool]]]]


def score_tables(backtest: Backtest, scores: tuple[str, ...] | None = None) -> list[ScoreTable]:
    """A table for each score and threshold.

    Args:
        scores: those to show; None = all.
    """
    return [
        _table(backtest, score, threshold) for score, threshold in backtest.scores if scores is None or score in scores
    ]


def write_backtest(folder: Path, backtest: Backtest) -> Path:
    """Writes ``backtest.json``, ``backtest.csv``, ``plots/*.svg`` and ``backtest.md``, which shows them.

    All of them appear, or where one cannot be written none does; those that are there are replaced.

    Returns:
        The path of ``backtest.md``.

    Raises:
        OutputError: the disk is full, read-only or not there.
    """
    record = json.dumps(backtest.to_json_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(CSV_HEAD)
    writer.writerows(backtest.csv_rows())
    pictures = plots(backtest)
    files = {JSON_FILE: f"{record}\n".encode(), CSV_FILE: table.getvalue().encode()}
    files |= {picture.path: picture.data for picture in pictures}
    files[PAGE] = markdown(backtest, pictures).encode()
    with ExitStack() as stack:  # they take their names when all are written
        for path, data in files.items():
            stack.enter_context(replacing(folder / path)).write_bytes(data)
    return folder / PAGE


def plots(backtest: Backtest) -> list[Picture]:
    """PSNR by lead time, and CSI and FSS for each threshold."""
    return [_plot(backtest, score, threshold) for score, threshold in backtest.scores if score in _CURVES]


def markdown(backtest: Backtest, pictures: list[Picture]) -> str:
    """Verdicts, curves and every score; the pictures are links into the folder."""
    parts = [
        f"# Backtest of {escaped(backtest.source)}",
        setting(backtest) + ".",
        "\n".join(f"- {escaped(verdict)}" for verdict in backtest.verdicts()),
        "## Curves",
        *(f"![{escaped(picture.alt)}]({picture.path})\n\n{escaped(picture.caption)}" for picture in pictures),
        "## Scores",
        f"{LEGEND[0].upper()}{LEGEND[1:]}.",
    ]
    for table in score_tables(backtest):
        lines = [["method", *table.lead_times], ["---", *["---:"] * len(table.lead_times)]]
        lines += [
            [escaped(name), *(f"**{text}**" if best else text for text, best in cells)] for name, cells in table.rows
        ]
        parts += [f"### {escaped(table.title)}", "\n".join(f"| {' | '.join(line)} |" for line in lines)]
    parts += ["## How it was measured"]
    parts += ["\n".join(f"- {escaped(name)}: {escaped(text)}" for name, text in backtest.conventions.items())]
    return "\n\n".join(part for part in parts if part) + "\n"


def setting(backtest: Backtest) -> str:
    """``8 windows, 12 frames forecast in each (60 min), origins after frames 10 to 28 of 40``."""
    span = backtest.span(backtest.horizon)
    first, last = backtest.origins[0], backtest.origins[-1]
    windows = len(backtest.origins)
    return (
        f"{windows} window{'s' * (windows > 1)}, {backtest.horizon} frames forecast in each"
        f"{'' if span is None else f' ({span})'}, origins after "
        + (f"frames {first} to {last}" if windows > 1 else f"frame {last}")
        + f" of {backtest.frames}"
    )


def _table(backtest: Backtest, score: str, threshold: Threshold | None) -> ScoreTable:
    lead_times = _spread(backtest.horizon)
    rows = [backtest.row(method.name, score, threshold) for method in backtest.methods]
    columns = [[row.per_lead_time[lead_time - 1] for row in rows] for lead_time in lead_times]
    cells = [_cells(column, score) for column in [*columns, [row.overall for row in rows]]]
    name = _name(backtest, score, threshold)
    return ScoreTable(
        name if score == "base_rate" else f"{name} {'↓' if score in LOWER_IS_BETTER else '↑'}",
        [*map(str, lead_times), "all"],
        [(row.method, list(line)) for row, line in zip(rows, zip(*cells, strict=True), strict=True)],
    )


def _cells(values: list[float], score: str) -> list[tuple[str, bool]]:
    finite = [value for value in values if math.isfinite(value)]
    texts = [_shown(value, score) for value in values]
    if not finite or score == "base_rate":
        return [(text, False) for text in texts]
    best = _shown(min(finite) if score in LOWER_IS_BETTER else max(finite), score)
    return [(text, text == best and len(values) > 1) for text in texts]


def _shown(value: float, score: str) -> str:
    if not math.isfinite(value):
        return _UNDEFINED
    if score not in _IN_UNITS:
        return f"{value:.2f}" if score == "psnr" else f"{value:.3f}"  # the others are shares
    size = math.floor(math.log10(value)) if value > 0 else 0
    return f"{value:.{max(0, 2 - size)}f}" if size > -5 else f"{value:.2e}"


def _plot(backtest: Backtest, score: str, threshold: Threshold | None) -> Picture:
    lines = {one.name: backtest.row(one.name, score, threshold).per_lead_time for one in backtest.methods}
    name = _name(backtest, score, threshold)
    stem = score if threshold is None else f"{score}_{threshold.label(backtest.units)}"
    step = backtest.span(1)
    ends = ", ".join(
        f"{method} from {' to '.join(text for text, _ in _cells([values[0], values[-1]], score))}"
        for method, values in lines.items()
    )
    return steps_plot(
        f"plots/{re.sub(r'[^A-Za-z0-9_.-]', '_', stem)}.svg",
        lines,
        thick=[one.name for one in backtest.methods if one.weights_sha256 is not None],
        x="lead time in frames" if step is None else f"lead time in frames of {step}",
        y=name,
        alt=f"Line chart of {name} by lead time: {ends}.",
        caption=f"{name} by lead time, higher is better.",
        from_zero=score != "psnr",
    )


def _name(backtest: Backtest, score: str, threshold: Threshold | None) -> str:
    """``PSNR (dB)``, ``MAE (mm)``, ``CSI at 1 mm/h``, ``FSS 5x5 at 1 mm/h``."""
    at = "" if threshold is None else f" at {threshold.label(backtest.units)}"
    if score == "base_rate":
        return f"share of events in the truth{at}"
    if score.startswith("fss_"):
        size = score.removeprefix("fss_")
        return f"FSS {size}x{size}{at}"
    unit = "dB" if score == "psnr" else backtest.units if score in _IN_UNITS else ""
    return f"{score.upper()}{f' ({unit})' if unit else ''}{at}"


def _spread(horizon: int) -> list[int]:
    """Lead times from 1 to the horizon, evenly, no more than a table has columns for."""
    count = min(horizon, _COLUMNS)
    return [1] if count == 1 else [1 + i * (horizon - 1) // (count - 1) for i in range(count)]
