"""Runs, evaluations and weights as the page shows them: tables, curves and what they say in words."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from frame_forecast import weights
from frame_forecast.errors import DataError
from frame_forecast.records import read_json
from frame_forecast.report import backtest as backtests
from frame_forecast.report.content import Picture, heading
from frame_forecast.report.inputs import TrainingCurves
from frame_forecast.report.plots import lead_time_plots, training_plot
from frame_forecast.report.tables import METRICS, findings, score_tables
from frame_forecast.results import Results
from frame_forecast.skill import Backtest
from frame_forecast.training.settings import RunSettings
from frame_forecast.training.trainer import log_folders
from frame_forecast.weights.files import read_config

_QUIET_SECONDS = 600  # without a word in its log, a run that has not ended was stopped
_drawing = threading.Lock()  # matplotlib's settings are the whole process's


class Shown:
    """A run, an evaluation or weights; its plots are drawn again when its files have changed.

    Args:
        place: the folder, or the file of an evaluation.
        title: what it is called.
    """

    def __init__(self, place: Path, title: str) -> None:
        self._place, self._title = place, title
        self._pictures: dict[str, Picture] = {}
        self._drawn = -1.0
        self._lock = threading.Lock()

    @property
    def has_weights(self) -> bool:
        """Whether it is, or holds, a folder of weights."""
        return any((folder / weights.CONFIG).is_file() for folder in (self._place, self._place / "weights"))

    def check(self) -> None:
        """Raises FrameForecastError for files that are damaged or of another version."""
        self._origin()
        self._scores()

    def describe(self) -> dict[str, Any]:
        """What the page is told: `viewer.schema.Run` without what the server adds.

        Raises:
            FrameForecastError: as `check`.
        """
        is_run, has_weights = (self._place / "run.json").is_file(), self.has_weights
        pictures = self._draw()
        summary, tables = self._scores()
        return {
            "title": self._title,
            "kind": "run" if is_run else "weights" if has_weights else "results",
            "training": is_run and not has_weights and time.time() - self._changed() < _QUIET_SECONDS,
            "model": self._title if has_weights else None,
            "summary": [*self._origin(), *summary],
            "tables": tables,
            "plots": [
                {"name": name, "title": picture.caption, "alt": picture.alt} for name, picture in pictures.items()
            ],
            "changed": self._changed(),
        }

    def plot(self, name: str, theme: str) -> bytes | None:
        """A plot as SVG; None if there is none of that name.

        Args:
            name: of the plot.
            theme: ``light`` or ``dark``.

        Raises:
            FrameForecastError: as `describe`.
        """
        picture = self._draw().get(name)
        if picture is None:
            return None
        return picture.dark if theme == "dark" and picture.dark is not None else picture.data

    def _draw(self) -> dict[str, Picture]:
        with self._lock:
            changed = self._changed()
            if changed != self._drawn:
                with _drawing:
                    self._pictures = {Path(one.path).stem: one for one in self._plots()}
                self._drawn = changed
            return self._pictures

    def _plots(self) -> Iterator[Picture]:
        logs = self._logs()
        if logs and (curves := _curves(logs)) is not None:
            yield training_plot(curves)
        for results in self._results():
            yield from lead_time_plots(results)
        if (backtest := self._backtest()) is not None:
            yield from backtests.plots(backtest)

    def _origin(self) -> list[str]:
        """What it is, in sentences."""
        if self.has_weights:
            _, _, contract = read_config(weights.find_folder(self._place))
            training = contract.training
            effort = ", ".join(
                f"{training[key]:,} {word}"
                for key, word in (("steps", "steps"), ("clips", "clips"), ("seconds", "seconds"))
                if key in training
            )
            return [
                f"Trained on {contract.data.get('name', 'data without a name')}{f', {effort}' if effort else ''}: "
                f"{contract.context} frames given, {contract.horizon} to forecast."
            ]
        if (self._place / "run.json").is_file():
            settings = RunSettings.read(self._place)
            logs = self._logs()
            curves = _curves(logs) if logs else None
            done = "no step is logged yet" if curves is None else f"{curves.steps[-1] + 1:,} steps so far"
            return [
                f"{settings.preset} on {settings.data}: {settings.train.context} frames given, "
                f"{settings.train.horizon} to forecast; {done}."
            ]
        return []

    def _scores(self) -> tuple[list[str], list[dict[str, Any]]]:
        """What the scores say, and they themselves."""
        said: list[str] = []
        tables: list[dict[str, Any]] = []
        for results in self._results():
            said += [f"{heading(results)}. {' '.join(findings(results))}"]
            for table in score_tables(results):
                columns = [f"{name} {METRICS[name].arrow} ({METRICS[name].unit})" for name in table.metrics]
                rows = [(name, [(cell.text, cell.best) for cell in cells]) for name, cells in table.rows]
                tables.append(_table(f"{heading(results)}. {table.caption}", ["model", *columns], rows))
        if (backtest := self._backtest()) is not None:
            said += [f"Backtest of {backtest.source}: {backtests.setting(backtest)}.", *backtest.verdicts()]
            for one in backtests.score_tables(backtest):
                tables.append(_table(one.title, ["method", *one.lead_times], one.rows))
        card = self._place / weights.CARD
        if not tables and card.is_file():
            tables = list(_tables_of_card(card.read_text(encoding="utf-8")))
        return said, tables

    def _results(self) -> list[Results]:
        return [Results.from_json_dict(one) for one in self._records("results.json") if "origins" not in one]

    def _backtest(self) -> Backtest | None:
        found = [one for one in self._records(backtests.JSON_FILE) if "origins" in one]
        return Backtest.from_json_dict(found[0]) if found else None

    def _records(self, name: str) -> list[dict[str, Any]]:
        """What the file of evaluations holds, or that of this name in the folder; nothing where there is none."""
        path = self._place / name if self._place.is_dir() else self._place
        if not path.is_file():
            return []
        try:
            record = read_json(path)
        except (OSError, ValueError) as error:
            raise DataError(f"{path.name} ({error})", "the JSON of an evaluation", "evaluate again") from error
        records = record if isinstance(record, list) else [record]
        if not all(isinstance(one, dict) for one in records):
            raise DataError(f"{path.name}, which is no object", "the JSON of an evaluation", "evaluate again")
        return records

    def _logs(self) -> list[Path]:
        return [path for log in log_folders(self._place) if (path := log / "metrics.csv").is_file()]

    def _changed(self) -> float:
        names = ("run.json", "results.json", backtests.JSON_FILE, weights.CONFIG, f"weights/{weights.CONFIG}")
        files = [self._place, *(self._place / name for name in names), *self._logs()]
        return max(file.stat().st_mtime for file in files if file.exists())


def _curves(logs: list[Path]) -> TrainingCurves | None:
    """None while the log has no loss: a run that has just begun, or a line that is being written."""
    try:
        return TrainingCurves.read(*logs)
    except DataError:
        return None


def _table(title: str, columns: list[str], rows: list[tuple[str, list[tuple[str, bool]]]]) -> dict[str, Any]:
    return {
        "title": title,
        "columns": columns,
        "rows": [[{"text": text, "best": best} for text, best in [(name, False), *cells]] for name, cells in rows],
    }


def _tables_of_card(card: str) -> Iterator[dict[str, Any]]:
    """The tables of a model card, as `report.tables.markdown` writes them."""
    about = caption = ""
    lines: list[list[str]] = []
    for line in [*card.splitlines(), ""]:
        if line.startswith("|"):
            lines.append([cell.strip() for cell in line.strip("|").split("|")])
            continue
        if lines:
            head, _, *rows = lines
            cells = [(row[0], [(cell.strip("*"), cell.startswith("**")) for cell in row[1:]]) for row in rows]
            yield _table(f"{about}. {caption}" if caption else about, head, cells)
            lines = []
        if line.startswith("#"):
            about, caption = line.lstrip("# "), ""
        elif line.endswith(":"):
            caption = line.removesuffix(":")
