"""Scores as tables and in words, and the report as Markdown."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from frame_forecast.report.content import Content, Picture, conventions, heading, measured

if TYPE_CHECKING:
    from frame_forecast.results import Results, Row


@dataclass(frozen=True)
class Metric:
    """How a metric is shown; what it is, `Results.conventions` says.

    Args:
        unit: short, for a table's head.
        form: of a value, for `str.format`.
        higher_is_better: else lower is.
    """

    unit: str
    form: str
    higher_is_better: bool = False

    @property
    def direction(self) -> str:
        """Which way is better, in words."""
        return "higher is better" if self.higher_is_better else "lower is better"

    @property
    def arrow(self) -> str:
        """Which way is better, as an arrow."""
        return "↑" if self.higher_is_better else "↓"

    def show(self, value: float) -> str:
        """The value as a table has it; n/a for NaN."""
        return self.form.format(value) if math.isfinite(value) else "n/a"


METRICS = {
    "mse": Metric("per pixel", "{:.4f}"),
    "mse_frame": Metric("sum per frame", "{:.1f}"),
    "mae_frame": Metric("sum per frame", "{:.1f}"),
    "ssim": Metric("1 = equal", "{:.3f}", higher_is_better=True),
    "ssim_openstl": Metric("1 = equal", "{:.3f}", higher_is_better=True),
    "psnr": Metric("dB", "{:.2f}", higher_is_better=True),
    "bin_accuracy": Metric("of pixels", "{:.2%}", higher_is_better=True),
    "bin_cross_entropy": Metric("nats per pixel", "{:.4f}"),
    "bin_mse": Metric("per pixel", "{:.4f}"),
    "bin_f1": Metric("1 = equal", "{:.3f}", higher_is_better=True),
    "bin_iou": Metric("1 = equal", "{:.3f}", higher_is_better=True),
}


@dataclass(frozen=True)
class Cell:
    """A score as shown, and whether no other model's is better to the digits shown."""

    text: str
    best: bool


@dataclass(frozen=True)
class Table:
    """Scores of one kind.

    Args:
        caption: which kind.
        metrics: the columns.
        rows: models with a cell for each column, the model under test first.
    """

    caption: str
    metrics: list[str]
    rows: list[tuple[str, list[Cell]]]


def score_tables(results: Results) -> list[Table]:
    """Two tables, grey and binarised; one where there are no scores of the other kind."""
    rows = {(row.model, row.metric): row for row in results.rows}
    models = sorted(dict.fromkeys(row.model for row in results.rows), key=lambda name: name != results.model)
    present = {row.metric for row in results.rows}
    tables = []
    for caption, binarised in (("Grey frames", False), ("Frames binarised at 0.5", True)):
        metrics = [name for name in METRICS if name in present and name.startswith("bin_") == binarised]
        columns = [_column(name, [rows.get((model, name)) for model in models]) for name in metrics]
        if metrics:
            tables.append(
                Table(caption, metrics, list(zip(models, map(list, zip(*columns, strict=True)), strict=True)))
            )
    return tables


def findings(results: Results) -> list[str]:
    """What the scores say, in plain words, the baselines' victories included."""
    said = []
    black = [row for row in results.rows if (row.model, row.metric) == ("black", "bin_accuracy")]
    if black and black[0].overall > 0.5:
        accuracy = f"{black[0].overall:.1%}"
        said.append(
            f"All-black frames already get {accuracy} accuracy, because most pixels are dark: accuracy says"
            " little. Look at F1 and cross-entropy."
        )
    tables = score_tables(results)
    if not tables or len(tables[0].rows) < 2:
        return said
    lost, compared = [], 0
    for table in tables:
        for column, metric in enumerate(table.metrics):
            (_, own), *others = [(model, cells[column]) for model, cells in table.rows]
            winners = [(model, cell.text) for model, cell in others if cell.best]
            compared += own.best or bool(winners)
            if winners and not own.best:
                lost.append(f"{winners[0][0]} is better in {metric} ({winners[0][1]} against {own.text})")
    said.append(f"{results.model} is best, or equal to the best, in {compared - len(lost)} of {compared} scores.")
    if lost:
        said.append("; ".join(lost) + ".")
    return said


def markdown_table(results: Results) -> str:
    """The scores as Markdown: models by metrics, the best in bold, a table each for grey and binarised."""
    parts = []
    for table in score_tables(results):
        heads = [f"{name} {METRICS[name].arrow} ({METRICS[name].unit})" for name in table.metrics]
        lines = [["model", *heads], ["---", *["---:"] * len(heads)]]
        lines += [
            [escaped(model), *(f"**{cell.text}**" if cell.best else cell.text for cell in cells)]
            for model, cells in table.rows
        ]
        parts.append(f"{table.caption}:\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n\n".join(parts)


def markdown(content: Content) -> str:
    """The report as Markdown, with its pictures as links into the run's folder."""
    parts = [f"# {escaped(content.title)}", escaped(" ".join(content.summary))]
    if content.scenes:
        parts += ["## Pictures"]
    for scene in content.scenes:
        parts += [f"### {escaped(scene.heading)}", *map(_link, scene.animations), *map(_link, scene.strips)]
    if content.results:
        parts += ["## Scores", "↓ lower is better, ↑ higher is better, best in bold."]
    for results in content.results:
        parts += [f"### {escaped(heading(results))}", *map(escaped, findings(results)), markdown_table(results)]
    if content.curves:
        parts += ["## Curves", *map(_link, content.curves)]
    if content.results:
        parts += ["## How it was measured"]
    for results in content.results:
        parts += [f"### {escaped(heading(results))}", _list(measured(results))]
    if content.results:
        parts += ["### Conventions", _list(conventions(content.results))]
    return "\n\n".join(parts) + "\n"


def _column(metric: str, rows: list[Row | None]) -> list[Cell]:
    """One metric's cells; a model without this score gets n/a."""
    shown = METRICS[metric]
    values = [math.nan if row is None else row.overall for row in rows]
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return [Cell(shown.show(value), best=False) for value in values]
    best = shown.show(max(finite) if shown.higher_is_better else min(finite))
    texts = [shown.show(value) for value in values]
    return [Cell(text, best=text == best and len(rows) > 1) for text in texts]


def _link(picture: Picture) -> str:
    return f"![{escaped(picture.alt)}]({picture.path})\n\n{escaped(picture.caption)}"


def _list(entries: dict[str, str]) -> str:
    return "\n".join(f"- {escaped(name)}: {escaped(text)}" for name, text in entries.items())


def escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    for mark in "\\`*[]<>|":
        text = text.replace(mark, "\\" + mark)
    return " ".join(text.split())
