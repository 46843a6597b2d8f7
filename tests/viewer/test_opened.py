"""What the words on the command line are taken for."""

from pathlib import Path

import pytest

from frame_forecast.viewer.opened import Opened


@pytest.mark.parametrize("name", ["run.json", "results.json", "backtest.json", "config.json"])
def test_runs_and_evaluations(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / name).write_text("{}")
    for place in (folder, folder / name, f"{folder}/"):
        opened = Opened.of([str(place)])
        assert (opened.clips, opened.runs) == ([], {"mine": folder})
        assert opened.weights == ({"mine": folder} if name in ("run.json", "config.json") else {})


def test_an_evaluation_by_any_name(tmp_path: Path) -> None:
    (tmp_path / "scores.json").write_text("{}")
    opened = Opened.of([str(tmp_path / "scores.json")])
    assert (opened.runs, opened.weights) == ({"scores.json": tmp_path / "scores.json"}, {})


def test_names_are_told_apart(tmp_path: Path) -> None:
    for folder in ("a/run", "b/run"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "run.json").write_text("{}")
    opened = Opened.of([str(tmp_path / "a/run"), str(tmp_path / "b/run")])
    assert opened.runs == {"run": tmp_path / "a/run", "run 2": tmp_path / "b/run"}


def test_all_else_is_a_clip(tmp_path: Path) -> None:
    places = [str(tmp_path), str(tmp_path / "scan*.png"), "absent.npy", str(tmp_path / "a.mp4")]
    assert Opened.of(places) == Opened(places, {})
