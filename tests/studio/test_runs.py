"""Runs, evaluations and weights as the page shows them, against the files that they are made of."""

import json
import math
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from frame_forecast import backtest as backtests
from frame_forecast import weights
from frame_forecast.errors import DataError, FrameForecastError
from frame_forecast.metrics import DEFINITIONS
from frame_forecast.models import create
from frame_forecast.report.backtest import write_backtest
from frame_forecast.results import EvaluatedClips, Machine, Results, Row
from frame_forecast.scale import ValueScale
from frame_forecast.skill import Backtest, Method
from frame_forecast.skill import Row as SkillRow
from frame_forecast.studio.runs import Shown
from frame_forecast.training.config import Budget
from frame_forecast.training.settings import RunSettings

SCORES = {"lstm": {"mse_frame": 118.0, "bin_f1": 0.5}, "black": {"mse_frame": 173.0, "bin_f1": math.nan}}


def results(model: str = "lstm") -> Results:
    return Results(
        model=model,
        weights_sha256=None,
        task="forecast",
        data=EvaluatedClips("moving_mnist", "test", 1000, "c0ffee"),
        context=10,
        horizon=10,
        pattern=None,
        conventions=dict(DEFINITIONS),
        rows=[
            Row(name, metric, value, [value] * 10) for name, found in SCORES.items() for metric, value in found.items()
        ],
        machine=Machine("a processor", 2, "2.13.0", "cpu"),
        seconds=12.3,
    )


def begin_run(folder: Path, losses: int) -> Path:
    """A run's folder after so many logged steps."""
    RunSettings("lstm_autoencoder", Budget(steps=100)).save(folder)
    log = folder / "logs" / "version_0" / "metrics.csv"
    log.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{step},{0.5 / (step + 1)},{step}.5" for step in range(losses)]
    log.write_text("\n".join(["step,train/loss,train/seconds", *lines]) + "\n")
    return log


@pytest.mark.parametrize("several", [True, False], ids=["of a report", "of evaluate --json"])
def test_an_evaluation(tmp_path: Path, several: bool) -> None:
    record = results().to_json_dict()
    path = tmp_path / "results.json"
    path.write_text(json.dumps([record] if several else record))
    shown = Shown(tmp_path if several else path, "mine")
    told = shown.describe()
    assert (told["title"], told["kind"], told["training"], told["model"]) == ("mine", "results", False, None)
    grey, binary = told["tables"]
    assert grey["columns"] == ["model", "mse_frame ↓ (sum per frame)"]
    assert [[cell["text"] for cell in row] for row in grey["rows"]] == [["lstm", "118.0"], ["black", "173.0"]]
    assert [row[1]["best"] for row in grey["rows"]] == [True, False]
    assert [row[1]["text"] for row in binary["rows"]] == ["0.500", "n/a"]
    assert "lstm is best" in told["summary"][0]
    assert [plot["name"] for plot in told["plots"]] == ["forecast_lstm_mse_frame", "forecast_lstm_bin_f1"]
    light, dark = (shown.plot("forecast_lstm_mse_frame", theme) for theme in ("light", "dark"))
    assert light is not None
    assert dark is not None
    assert light.startswith(b"<?xml")
    assert light != dark
    assert shown.plot("../../results", "light") is None


def test_a_run_from_its_begin_to_its_end(tmp_path: Path) -> None:
    log = begin_run(tmp_path, 0)
    shown = Shown(tmp_path, "run 1")
    told = shown.describe()
    assert (told["kind"], told["training"], told["plots"], told["tables"]) == ("run", True, [], [])
    assert "no step is logged yet" in told["summary"][0]
    drawn = []
    for losses in (3, 30):
        begin_run(tmp_path, losses)
        os.utime(log, (time.time() + losses, time.time() + losses))  # a clock that is coarse must not matter
        told = shown.describe()
        assert f"{losses} steps so far" in told["summary"][0]
        drawn.append(shown.plot("training_loss", "light"))
    assert None not in drawn
    assert drawn[0] != drawn[1]
    model = create("lstm_autoencoder", height=16, width=16)
    weights.save(
        tmp_path / "weights", model, "lstm_autoencoder", context=10, horizon=10, channels=1, height=16, width=16
    )
    told = shown.describe()
    assert (told["kind"], told["training"], told["model"]) == ("run", False, "run 1")


def test_a_run_that_says_nothing_was_stopped(tmp_path: Path) -> None:
    log = begin_run(tmp_path, 3)
    for file in (log, tmp_path / "run.json", tmp_path):
        os.utime(file, (time.time() - 3600, time.time() - 3600))
    assert Shown(tmp_path, "run").describe()["training"] is False


def test_a_line_that_is_being_written_is_waited_for(tmp_path: Path) -> None:
    log = begin_run(tmp_path, 3)
    with log.open("a") as file:
        file.write("9")
    assert Shown(tmp_path, "run").describe()["kind"] == "run"


@pytest.mark.filterwarnings("ignore::frame_forecast.errors.FrameForecastWarning")
def test_a_backtest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backtests, "motion_weights", list)
    frames = np.random.default_rng(0).integers(0, 256, (30, 12, 13), dtype=np.uint8)
    np.save(tmp_path / "clip.npy", frames)
    found = backtests.backtest(str(tmp_path / "clip.npy"), 3, console=Console(quiet=True))
    write_backtest(tmp_path / "out", found)
    record = json.loads((tmp_path / "out" / "backtest.json").read_text())
    assert Backtest.from_json_dict(record).to_json_dict() == found.to_json_dict()
    shown = Shown(tmp_path / "out", "mine")
    told = shown.describe()
    assert told["tables"][0]["columns"] == ["method", "1", "2", "3", "all"]
    assert told["summary"][1:] == found.verdicts()
    files = {path.stem: path.read_bytes() for path in (tmp_path / "out" / "plots").iterdir()}
    assert {plot["name"]: shown.plot(plot["name"], "light") for plot in told["plots"]} == files


def a_backtest() -> dict[str, Any]:
    machine, scale = Machine("a processor", 2, "2.13.0", "cpu"), ValueScale(0.0, 255.0)
    methods, rows = [Method("linear", None, 2)], [SkillRow("linear", "psnr", None, 20.0, [21.0, 19.0])]
    return Backtest("in.npy", 9, 2, [4, 6], 300.0, "mm", scale, methods, {}, rows, machine, 1.5).to_json_dict()


def test_a_backtest_is_read_as_it_was_written() -> None:
    assert Backtest.from_json_dict(a_backtest()).to_json_dict() == a_backtest()


@pytest.mark.parametrize(
    "wrong",
    [{"schema": 2}, {"methods": None}, {"more": 1}, {"origins": []}, {"horizon": 3}, {"frames": "9"}, {"units": None}],
    ids=str,
)
def test_a_backtest_of_another_kind(wrong: dict[str, object]) -> None:
    with pytest.raises(DataError, match="schema"):
        Backtest.from_json_dict(a_backtest() | wrong)


def test_released_weights_show_their_card() -> None:
    tag = weights.tags()[0]
    folder = weights.find_folder(tag)
    told = Shown(folder, tag).describe()
    assert (told["kind"], told["model"]) == ("weights", tag)
    card = (folder / weights.CARD).read_text()
    assert len(told["tables"]) == card.count("| --- |")
    for table in told["tables"]:
        for row in table["rows"]:
            assert len(row) == len(table["columns"])
            for cell in row:
                assert (f"**{cell['text']}**" if cell["best"] else f"| {cell['text']} |") in card


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": 1},
        {"task": "guess"},
        {"seconds": "long"},
        {"context": 2.5},
        {"conventions": {"mse": 1}},
        {"machine": {"cpu": 1, "cores": 2, "torch": "2", "device": "cpu"}},
        {"rows": [{"model": "a", "metric": "mse_frame", "overall": "b", "per_lead_time": [1]}]},
        {"rows": [{"model": "a", "metric": "mse_frame", "overall": 1, "per_lead_time": [10**400]}]},
        {"rows": [{"model": "a", "metric": "mse_frame", "overall": 1, "per_lead_time": []}]},
    ],
    ids=str,
)
def test_an_evaluation_with_other_values_is_refused(tmp_path: Path, wrong: dict[str, object]) -> None:
    (tmp_path / "results.json").write_text(json.dumps(results().to_json_dict() | wrong))
    with pytest.raises(DataError, match="schema"):
        Shown(tmp_path, "mine").describe()


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"schema": 9}', '[{"schema": 1}]', "null", "[" * 10**5])
def test_a_damaged_evaluation_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(FrameForecastError):
        Shown(tmp_path, "mine").check()
