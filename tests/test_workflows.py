"""A whole run, as small as can be: rehearsal, training, report, evaluation."""

import dataclasses
import hashlib
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from frame_forecast import reporting, scoring, weights, workflows
from frame_forecast.data import digits, sources
from frame_forecast.data.digits import Digits
from frame_forecast.data.moving_mnist import MovingMnistConfig
from frame_forecast.errors import ConfigError, FrameForecastError, OutputError, TaskError, WeightsError
from frame_forecast.results import Results
from frame_forecast.training import run
from frame_forecast.training.module import TrainingModule
from frame_forecast.training.settings import RunSettings

SETTINGS = [
    "hidden=4",
    "layers=1",
    "patch=8",
    "context=3",
    "horizon=2",
    "grow_until=0",
    "batch_size=2",
    "validation_clips=2",
    "validations=1",
    "size=32",
    "precision=float32",
]
EVALUATION: dict[str, Any] = {
    "clips": 2,
    "context": 3,
    "horizon": None,
    "pattern": None,
    "data": "moving_mnist",
    "split": "test",
    "published": False,
    "openstl": False,
    "seed": 0,
    "device": "cpu",
    "console": Console(quiet=True),
}


def settings(steps: int = 3) -> RunSettings:
    return workflows.run_settings(
        "conv_lstm_autoencoder", SETTINGS, steps=steps, max_time=None, data=None, seed=3, start=None
    )


@pytest.fixture(scope="module", autouse=True)
def _offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An empty working directory, random digits, and a place of its own for temporary files."""
    folder = tmp_path_factory.mktemp("work")
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)

    def random_digits(split: str, **_: object) -> Digits:
        return Digits(images, "fonts", f"random {split} digits", "a test")

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("FRAME_FORECAST_DATA", raising=False)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        (folder / "temporary").mkdir()
        patch.setattr(tempfile, "tempdir", str(folder / "temporary"))
        patch.setattr(sources, "load_digits", random_digits)
        patch.setattr(digits, "load_digits", random_digits)
        yield


@pytest.fixture(scope="module")
def finished() -> Path:
    """A trained run with its report."""
    folder = workflows.train(settings(), Path("run"), device="cpu", console=Console(quiet=True))
    page = reporting.report_run(folder, clips=2, device="cpu", console=Console(quiet=True))
    assert page.parent == folder
    assert page.read_text().startswith("<!")
    return folder


def test_settings_reach_the_model_the_training_and_the_clips() -> None:
    made = settings()
    assert made.model == {"hidden": 4, "layers": 1, "patch": 8}
    assert (made.train.context, made.train.horizon, made.train.seed, made.train.grow_until) == (3, 2, 3, 0.0)
    assert made.frames.size == 32
    assert made.start is None


def test_a_run_folder_holds_what_is_promised(finished: Path) -> None:
    for name in (
        "run.json",
        "results.json",
        "report.html",
        "report.md",
        "logs/version_0/metrics.csv",
        "checkpoints/last.ckpt",
        "checkpoints/best.ckpt",
        "weights/config.json",
        "weights/weights.safetensors",
    ):
        assert (finished / name).is_file(), name
    assert list(finished.rglob("*.gif"))
    assert dataclasses.replace(RunSettings.read(finished), clips=None) == settings()


def test_the_rehearsal_leaves_nothing_behind(finished: Path) -> None:
    assert [path.name for path in Path().iterdir() if path.name not in ("temporary", "run")] == []
    assert list(Path("temporary").iterdir()) == []
    # It trains 2 steps on batches of 1; the run's own log has the 3 steps asked for.
    assert [path.name for path in (finished / "logs").iterdir()] == ["version_0"]


def test_a_folder_with_a_run_is_not_trained_over(finished: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    with pytest.raises(OutputError, match="--resume"):
        workflows.train(settings(), finished, device="cpu", console=Console(quiet=True))
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


@pytest.mark.parametrize(("task", "frames"), [("forecast", 10), ("reconstruct", 3)])
def test_an_evaluation_is_written_and_reads_back(task: str, frames: int, finished: Path, tmp_path: Path) -> None:
    file = tmp_path / "new" / "results.json"
    results = scoring.evaluate(str(finished), task=task, json_file=file, **EVALUATION)
    assert Results.from_json_dict(json.loads(file.read_text())) == results
    assert {row.model for row in results.rows} == {"conv_lstm_autoencoder", "black", "mean_frame", "copy_last"}
    assert all(len(row.per_lead_time) == frames for row in results.rows)
    assert (
        results.weights_sha256
        == json.loads((finished / "weights/config.json").read_text())["contract"]["weights_sha256"]
    )
    assert (results.data.clips, results.data.split, results.data.name) == (
        2,
        "test",
        "moving_mnist (size=32), random test digits",
    )


def edit_data(weights: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Changes what the contract of weights says of their data."""
    path = weights / "config.json"
    fields = json.loads(path.read_text())
    fields["contract"]["data"] = change(fields["contract"]["data"])
    path.write_text(json.dumps(fields))


@pytest.fixture
def finished_weights(finished: Path, tmp_path: Path) -> Path:
    """A copy of the weights that a test may damage."""
    return Path(shutil.copytree(finished / "weights", tmp_path / "weights"))


def test_weights_are_scored_on_clips_like_those_they_were_trained_on(finished_weights: Path) -> None:
    edit_data(finished_weights, lambda data: data | {"digits": 3, "step": 0.25})
    options = EVALUATION | {"published": True, "horizon": 2}
    results = scoring.evaluate(str(finished_weights), task="forecast", json_file=None, **options)
    assert results.data.name == "moving_mnist (size=32, digits=3, step=0.25), random test digits"
    source = sources.open_source(
        "moving_mnist", "test", frames=5, config=MovingMnistConfig(size=32, digits=3, step=0.25)
    )
    assert results.data.sha256 == hashlib.sha256(source.clips(np.arange(2)).numpy().tobytes()).hexdigest()


def test_weights_that_do_not_tell_their_clips_are_scored_on_usual_ones_of_their_size(finished_weights: Path) -> None:
    edit_data(finished_weights, lambda data: {"name": data["name"], "seed": data["seed"]})
    results = scoring.evaluate(str(finished_weights), task="forecast", json_file=None, **EVALUATION)
    assert results.data.name == "moving_mnist (size=32), random test digits"


def test_weights_are_scored_on_the_data_set_they_were_trained_on_unless_told_otherwise(finished_weights: Path) -> None:
    edit_data(finished_weights, lambda data: {"name": "moving_scenes (size=32)", "size": 32, "channels": 1, "radar": 0})
    options = {"task": "forecast", "json_file": None} | EVALUATION
    own = scoring.evaluate(str(finished_weights), **options | {"data": None})
    assert own.data.name == "moving_scenes (size=32)"
    other = scoring.evaluate(str(finished_weights), **options | {"data": "moving_mnist"})
    assert other.data.name == "moving_mnist (size=32), random test digits"
    assert own.row("black", "mse").overall != other.row("black", "mse").overall


@pytest.mark.parametrize("digits", [1, 2])
def test_published_clips_are_for_weights_trained_on_their_like(
    digits: int, finished_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "mnist_test_seq.npy", np.zeros((20, 2, 64, 64), np.uint8))
    monkeypatch.setattr(sources, "find_published", lambda: tmp_path / "mnist_test_seq.npy")
    edit_data(finished_weights, lambda data: data | {"size": 64, "digits": digits})
    options = EVALUATION | {"published": True}
    results = scoring.evaluate(str(finished_weights), task="forecast", json_file=None, **options)
    assert ("mnist_test_seq" in results.data.name) == (digits == 2)


@pytest.mark.parametrize("data", [5, {"digits": "3"}, {"digits": 0}])
def test_clips_that_cannot_be_in_a_contract(data: object, finished_weights: Path) -> None:
    edit_data(finished_weights, lambda _: data)
    with pytest.raises((ConfigError, WeightsError)):
        scoring.evaluate(str(finished_weights), task="forecast", json_file=None, **EVALUATION)


def test_a_baseline_is_evaluated_by_its_name() -> None:
    results = scoring.evaluate("copy_last", task="forecast", json_file=None, **EVALUATION)
    assert results.model == "copy_last"
    assert results.weights_sha256 is None


def test_a_recreation_is_of_the_pattern_and_of_20_frames() -> None:
    results = scoring.evaluate(
        "linear", json_file=None, **EVALUATION | {"task": "recreate", "pattern": "gap:3-8", "context": None, "seed": 5}
    )
    assert (results.pattern, results.context, results.horizon) == ("gap:3-8", 20, 0)
    assert list(dict.fromkeys(row.model for row in results.rows)) == ["linear", "black", "copy_last", "nearest"]
    assert "seed 5" in results.conventions["pattern"]


def test_results_never_replace_a_folder(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("kept")
    with pytest.raises(OutputError):
        scoring.evaluate("copy_last", task="forecast", json_file=tmp_path / "kept", **EVALUATION)
    assert (tmp_path / "kept" / "file").read_text() == "kept"


@pytest.mark.parametrize(
    ("model", "changes", "error"),
    [
        ("conv_lstm_autoencoder", {}, ConfigError),
        ("nowhere", {}, WeightsError),
        ("copy_last", {"task": "dream"}, TaskError),
        ("copy_last", {"task": "recreate"}, ConfigError),  # without a pattern
        ("copy_last", {"task": "recreate", "pattern": "holes"}, ConfigError),
        ("copy_last", {"task": "recreate", "pattern": "gap:2"}, ConfigError),  # of 3 frames
        ("copy_last", {"task": "recreate", "pattern": "random:0.5", "horizon": 2}, ConfigError),
        ("copy_last", {"pattern": "random:0.5"}, ConfigError),
        ("copy_last", {"task": "reconstruct", "horizon": 2}, ConfigError),
        ("copy_last", {"data": "mnist"}, ConfigError),
        ("copy_last", {"split": "all"}, ConfigError),
        ("copy_last", {"clips": 0}, ConfigError),
        ("copy_last", {"horizon": -1}, ConfigError),
        ("copy_last", {"horizon": -5}, ConfigError),
        ("copy_last", {"context": 0}, ConfigError),
        ("copy_last", {"device": "tpu"}, ConfigError),
    ],
)
def test_evaluations_that_cannot_be_are_refused(
    model: str, changes: dict[str, object], error: type[FrameForecastError]
) -> None:
    with pytest.raises(error):
        scoring.evaluate(model, **{"task": "forecast", "json_file": None} | EVALUATION | changes)


def test_a_run_stopped_before_its_first_checkpoint_starts_again(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    folder = tmp_path / "stopped"
    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, "training_step", stop)
        with pytest.raises(KeyboardInterrupt):
            run.train(settings(), folder, device="cpu")
    assert not list(folder.rglob("*.ckpt"))
    with pytest.raises(OutputError, match="--resume"):
        workflows.train(settings(), folder, device="cpu", console=Console(quiet=True))
    said = Console(record=True, width=500, file=io.StringIO())
    workflows.resume(folder, device="cpu", console=said)
    assert "starts from the beginning" in said.export_text()
    tensors = [weights.load(path / "weights")[0].state_dict() for path in (folder, finished)]
    torch.testing.assert_close(*tensors)
    reporting.report_run(folder, clips=1, device="cpu", console=Console(quiet=True))


def test_resuming_what_is_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"run\.json"):
        workflows.resume(tmp_path, device="cpu", console=Console(quiet=True))
