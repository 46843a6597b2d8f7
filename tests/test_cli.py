"""The command line on bad input: one line, exit code 2, no traceback, and no file harmed."""

import contextlib
import gzip
import json
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from commands import Command, Outcome, command_of, listing, refused
from frame_forecast import predict, scoring, workflows
from frame_forecast.clip import Clip
from frame_forecast.data import digits
from frame_forecast.data.moving_mnist import MovingMnistConfig
from frame_forecast.errors import DataError, FrameForecastWarning, ShapeError, TaskError
from frame_forecast.training import run as training
from frame_forecast.training.config import Budget, TrainConfig
from frame_forecast.training.settings import RunSettings
from frame_forecast.weights import find

PUBLISHED = "mnist_test_seq.npy"
TINY = ("hidden=4", "size=32", "context=3", "horizon=2", "batch_size=2", "validation_clips=2")
TRAIN = ("train", "conv_lstm_autoencoder", "--steps", "1", *(word for text in TINY for word in ("--set", text)))


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder with a small published file; digits are drawn from fonts, without a network."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise DataError("no network", "one", "none is needed here")

    folder = tmp_path_factory.mktemp("data")
    np.save(folder / PUBLISHED, np.random.default_rng(0).integers(0, 256, (20, 6, 64, 64), dtype=np.uint8))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(digits.ROOT_VARIABLE, str(folder))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(digits, "fetch_mnist", refuse)
        yield folder


@pytest.fixture(scope="module")
def runs(offline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two finished runs, ``a`` and ``b``, of models of different width."""
    folder = tmp_path_factory.mktemp("runs")
    train = TrainConfig(context=3, horizon=2, batch_size=2, validation_clips=2, validations=1)
    for name, hidden in (("a", 4), ("b", 8)):
        settings = RunSettings(
            "conv_lstm_autoencoder", Budget(steps=2), {"hidden": hidden}, train, frames=MovingMnistConfig(size=32)
        )
        training.train(settings, folder / name, device="cpu")
    return folder


@pytest.fixture
def command(
    offline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs ``frame-forecast`` in this process, in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    return command_of(monkeypatch, capsys)


@pytest.fixture
def run_a(runs: Path, tmp_path: Path) -> Path:
    """A copy of run ``a`` that a test may damage."""
    return Path(shutil.copytree(runs / "a", tmp_path / "a"))


def raise_(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("models nope", ("'nope'", "conv_lstm_autoencoder")),
        ("train", ("no model", "--resume")),
        ("train nope --steps 1", ("'nope'", "lstm_autoencoder")),
        ("train black --steps 1", ("'black'", "parameters")),
        ("train lstm_autoencoder", ("--steps", "--max-time")),
        ("train lstm_autoencoder --steps 1 --max-time 00:00:01", ("exactly one",)),
        ("train lstm_autoencoder --steps 0", ("budget of 0",)),
        ("train lstm_autoencoder --steps -1", ("budget of -1",)),
        ("train lstm_autoencoder --steps 1 --data nope", ("'nope'", "moving_mnist")),
        ("train lstm_autoencoder --steps 1 --device nowhere", ("'nowhere'", "cpu")),
        ("train lstm_autoencoder --steps 1 --seed -1", ("seed=-1",)),
        ("train lstm_autoencoder --steps 1 --from nowhere", ("'nowhere'", "config.json")),
        ("train lstm_autoencoder --steps 1 --set size=32", ("32x32", "64x64")),
        ("train --resume nowhere", ("nowhere/run.json", "No such file")),
        ("train --resume nowhere --steps 3", ("--resume with --steps",)),
        ("train --resume nowhere --seed 0", ("--resume with --seed",)),
        ("train --resume nowhere --out elsewhere", ("--resume with --out",)),
        ("train --resume nowhere --data moving_mnist", ("--resume with --data",)),
        ("train --resume nowhere --set seed=0 --max-time 00:00:01", ("--resume with --max-time, --set",)),
        ("train --resume nowhere --from nowhere", ("--resume with --from",)),
        ("train lstm_autoencoder --resume nowhere", ("--resume with a preset",)),
        ("train --resume nowhere --device cpu", ("nowhere/run.json", "No such file")),
        ("demo --minutes 0", ("budget of 0",)),
        ("demo --minutes -1", ("budget of -60",)),
        ("demo --minutes nan", ("budget of nan",)),
        ("demo --minutes inf", ("budget of inf",)),
        ("demo --minutes 1e13", ("budget of 6", "seconds", "at most")),
        ("train lstm_autoencoder --steps 1000000000000000000000000", ("steps", "at most")),
        ("demo --model nope", ("'nope'", "conv_lstm_autoencoder")),
        ("demo --device nowhere", ("'nowhere'", "cpu")),
        ("evaluate nope", ("'nope'", "config.json")),
        ("evaluate lstm_autoencoder", ("untrained", "train lstm_autoencoder")),
        ("evaluate black --task nope", ("'nope'", "forecast or recreate or reconstruct")),
        (
            "evaluate black --task recreate",
            ("no pattern", "random:0.5", "gap:3-8", "block:16", "stripes", "pixels:0.5"),
        ),
        (
            "evaluate black --task recreate --pattern holes",
            ("'holes'", "random:0.5", "gap:3-8", "block:16", "pixels:0.5"),
        ),
        ("evaluate black --task recreate --clips 1 --pattern gap:19", ("gap:19", "21 frames")),
        ("evaluate black --task recreate --clips 1 --pattern block:64", ("block:64", "65x65")),
        ("evaluate black --task recreate --pattern stripes --horizon 1", ("horizon=1",)),
        ("evaluate black --pattern random:0.5", ("random:0.5", "--task recreate")),
        ("evaluate black --data nope", ("'nope'", "moving_mnist")),
        ("evaluate black --split nope", ("'nope'", "validation")),
        ("evaluate black --device nowhere", ("'nowhere'", "cpu")),
        ("evaluate black --clips 0", ("clips=0",)),
        ("evaluate black --clips -1", ("clips=-1",)),
        ("evaluate black --clips 7", ("clips=7", "at most 6")),
        ("evaluate black --context 0", ("context=0",)),
        ("evaluate black --context -1", ("context=-1",)),
        ("evaluate black --horizon 0", ("horizon=0",)),
        ("evaluate black --horizon -1", ("horizon=-1",)),
        ("evaluate black --task reconstruct --context 0", ("context=0",)),
        ("evaluate black --horizon 100000000", ("10 + 100000000 frames", "GB", "horizon")),
        (f"evaluate black --context {10**30}", ("GB", "context")),
        ("evaluate black --task reconstruct --context 100000000", ("GB", "context")),
        ("evaluate black --generated --clips 100000000", ("at most 10000",)),
        ("data fetch nope", ("'nope'", "mnist_test_seq")),
    ],
)
def test_what_does_not_exist_or_cannot_work(command: Command, arguments: str, words: tuple[str, ...]) -> None:
    refused(command, *arguments.split(), words=words)


@pytest.mark.parametrize("text", ["soon", "1:2", "-1:00:00", "00:00:00", f"{10**20}:00:00"])
def test_a_time_that_is_none(command: Command, text: str) -> None:
    refused(command, "train", "lstm_autoencoder", "--max-time", text, words=("expected",))


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("hidden", ("'hidden'", "KEY=VALUE")),
        ("hiden=4", ("'hiden'", "hidden")),
        ("hidden=wide", ("hidden=wide", "int")),
        ("conditional=perhaps", ("conditional=perhaps", "bool")),
        ("form=nope", ("'nope'", "composite")),
        ("batch_size=0", ("batch_size=0",)),
        ("learning_rate=nan", ("learning_rate=nan",)),
        ("learning_rate=inf", ("learning_rate=inf",)),
        ("learning_rate=1e300", ("learning_rate=1e+300", "at most")),
        ("muon_learning_rate=1e39", ("muon_learning_rate=1e+39", "at most")),
        ("weight_decay=1e300", ("weight_decay=1e+300",)),
        ("weight_decay=-1", ("weight_decay=-1",)),
        ("seed=-1", ("seed=-1",)),
        ("loss=nope", ("'nope'", "mse")),
        ("precision=nope", ("'nope'", "bf16")),
        ("horizon=-1", ("horizon=-1",)),
        ("validations=0", ("validations=0",)),
        (f"validations={10**400}", ("validations=1", "1 to")),
        ("hidden=1000000", ("hidden=1000000", "GB", "smaller")),
        (f"hidden={10**30}", ("hidden=1", "1 to")),
        ("kernel=999999", ("kernel=999999", "GB", "smaller")),
        ("layers=1000000000", ("layers=1000000000", "1 to")),
        ("patch=100000", ("patch=100000", "GB", "smaller")),
        ("batch_size=100000000", ("100000000 clips", "GB", "batch_size")),
        ("context=100000000", ("100000000 + 10 frames", "GB", "context")),
        ("horizon=100000000", ("10 + 100000000 frames", "GB", "horizon")),
        (f"horizon={10**400}", ("horizon",)),
        ("size=10000000", ("10000000x10000000", "GB", "size")),
        ("digits=1000000000", ("digits=1000000000",)),
        ("validation_clips=100000000", ("validation_clips=100000000", "at most")),
        ("size=20", ("20x20", "28x28")),
        ("step=nan", ("step=nan",)),
    ],
)
def test_settings_that_cannot_work(command: Command, setting: str, words: tuple[str, ...]) -> None:
    refused(command, "train", "conv_lstm_autoencoder", "--steps", "1", "--set", setting, words=words)


@pytest.mark.parametrize("form", ["composite", "prediction"])
def test_a_forecast_of_no_frames_is_not_trained(command: Command, form: str) -> None:
    refused(command, *TRAIN, "--set", f"form={form}", "--set", "horizon=0", words=("horizon=0", "reconstruct"))


@pytest.mark.parametrize(
    "arguments", ["evaluate", "evaluate black --clips many", "models --nope", "nope", "demo --port 65536"]
)
def test_what_cannot_be_parsed_is_refused_with_the_usage(command: Command, arguments: str) -> None:
    outcome = command(*arguments.split())
    assert outcome.code == 2
    usage, *_, error = outcome.err.splitlines()
    assert usage.startswith("Usage: ")
    assert error.startswith("Error: ")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "unreadable"),
        (b"not an array", "unreadable"),
        (b"\x93NUMPY\x01\x00v\x00{'descr': '|u1', 'fortran_order': False, 'shape': (20, 6, 64, 64), }\n", "unreadable"),
        (np.full((20, 6, 64, 64), np.nan, np.float32), "float32"),
        (np.zeros((20, 0, 64, 64), np.uint8), "(20, 0, 64, 64)"),
        (np.zeros((10, 6, 64, 64), np.uint8), "(10, 6, 64, 64)"),
        (np.array([None]), "unreadable"),
    ],
    ids=["empty", "text", "truncated", "NaN", "no clips", "too few frames", "pickle"],
)
def test_a_damaged_test_set(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | np.ndarray, word: str
) -> None:
    monkeypatch.delenv(digits.ROOT_VARIABLE)
    path = tmp_path / PUBLISHED  # the working directory is searched too
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content)
    refused(command, "evaluate", "black", "--clips", "1", words=(PUBLISHED, word))


@pytest.mark.parametrize(
    "content",
    [b"", b"text" * 10, struct.pack(">4I", 0x803, 60_000, 28, 28) + b"few", gzip.compress(b"packed")[:-4]],
    ids=["empty", "text", "truncated", "truncated gzip"],
)
@pytest.mark.parametrize("arguments", ["data show", "train lstm_autoencoder --steps 1"])
def test_a_damaged_idx_file(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, arguments: str
) -> None:
    monkeypatch.delenv(digits.ROOT_VARIABLE)
    path = tmp_path / "data" / "train-images-idx3-ubyte"
    path.parent.mkdir()
    path.write_bytes(content)
    refused(command, *arguments.split(), words=(path.name, "remove the file"))


def test_a_data_folder_that_does_not_exist(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(digits.ROOT_VARIABLE, "nowhere")
    refused(command, "data", "show", words=("FRAME_FORECAST_DATA=nowhere",))


def test_a_clip_longer_than_the_published_ones_is_generated(command: Command) -> None:
    outcome = command("evaluate", "black", "--clips", "1", "--context", "15", "--horizon", "10")
    assert outcome.code == 0, outcome.err
    assert PUBLISHED not in outcome.out
    assert "digits drawn from fonts" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ("recreate --pattern gap:3-8", "recreate gap:3-8: 1 test clips"),
        ("reconstruct", "reconstruct interleaved:4: 1 test clips"),
    ],
)
def test_holes_are_scored_beside_what_fills_them(command: Command, arguments: str, what: str) -> None:
    outcome = command("evaluate", "linear", "--clips", "1", "--task", *arguments.split())
    assert outcome.code == 0, outcome.err
    assert what in outcome.out
    models = [line.split()[1] for line in outcome.out.splitlines() if line.startswith("| ")]
    assert models == ["model", "---", "linear", "black", "copy_last", "nearest"] * 2


def truncate(content: bytes) -> bytes:
    return content[: len(content) // 2]


def empty(content: bytes) -> bytes:
    return b""


def text(content: bytes) -> bytes:
    return b"not what it was"


@pytest.mark.parametrize("damage", [truncate, empty, text])
class TestDamagedFiles:
    """Each file of a run in turn."""

    def test_weights(self, command: Command, run_a: Path, damage: Callable[[bytes], bytes]) -> None:
        path = run_a / "weights" / "weights.safetensors"
        path.write_bytes(damage(path.read_bytes()))
        refused(command, "evaluate", run_a, words=(path.name, "SHA-256"))
        refused(command, *TRAIN, "--from", run_a, words=(path.name, "SHA-256"))

    def test_config(self, command: Command, run_a: Path, damage: Callable[[bytes], bytes]) -> None:
        path = run_a / "weights" / "config.json"
        path.write_bytes(damage(path.read_bytes()))
        refused(command, "evaluate", run_a, words=(path.name, "copy the folder again"))

    def test_run(self, command: Command, run_a: Path, damage: Callable[[bytes], bytes]) -> None:
        path = run_a / "run.json"
        path.write_bytes(damage(path.read_bytes()))
        refused(command, "train", "--resume", run_a, words=(path.name, "check the path"))

    def test_checkpoint(self, command: Command, run_a: Path, damage: Callable[[bytes], bytes]) -> None:
        path = run_a / "checkpoints" / "last.ckpt"
        path.write_bytes(damage(path.read_bytes()))
        refused(command, "train", "--resume", run_a, words=(path.name, "best.ckpt"))


@pytest.mark.parametrize("content", ["null", "[]", "{}", '{"schema": 1}', '{"schema": 2}'])
def test_json_that_is_something_else(command: Command, run_a: Path, content: str) -> None:
    (run_a / "run.json").write_text(content)
    (run_a / "weights" / "config.json").write_text(content)
    refused(command, "train", "--resume", run_a, words=("run.json",))
    refused(command, "evaluate", run_a, words=("config.json",))


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("preset",), ["conv_lstm_autoencoder"]),
        (("model",), 5),
        (("model",), None),
        (("model", "hidden"), "4"),
        (("budget", "steps"), 2.5),
        (("budget", "steps"), True),
        (("budget", "seconds"), "1"),
        (("train", "context"), 2.5),
        (("train", "batch_size"), 2.5),
        (("train", "learning_rate"), 10**400),
        (("train", "colour"), 1),
        (("train",), [1]),
        (("frames", "digits"), 2.5),
        (("frames", "size"), "32"),
        (("data",), 5),
        (("start",), 5),
        (("clips", "sha256"), None),
        (("clips",), 5),
    ],
)
def test_settings_of_a_run_that_cannot_be(command: Command, run_a: Path, keys: tuple[str, ...], value: object) -> None:
    path = run_a / "run.json"
    fields = json.loads(path.read_text())
    place = fields
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path.write_text(json.dumps(fields))
    refused(command, "train", "--resume", run_a, words=(str(keys[-1]),))


def test_tensors_that_their_digest_vouches_for_but_that_are_none(command: Command, run_a: Path) -> None:
    (run_a / "weights" / "weights.safetensors").write_bytes(b"")
    path = run_a / "weights" / "config.json"
    config = json.loads(path.read_text())
    config["contract"]["weights_sha256"] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    path.write_text(json.dumps(config))
    refused(command, "evaluate", run_a, words=("weights.safetensors",))


def test_the_config_of_a_model_larger_than_its_weights(command: Command, run_a: Path) -> None:
    path = run_a / "weights" / "config.json"
    config = json.loads(path.read_text())
    config["config"]["hidden"] = 1_000_000
    path.write_text(json.dumps(config))
    refused(command, "evaluate", run_a, words=("weights.safetensors of ", "config.json"))


def test_the_config_of_another_model(command: Command, runs: Path, run_a: Path) -> None:
    shutil.copy(runs / "b" / "weights" / "config.json", run_a / "weights")
    refused(command, "evaluate", run_a, words=("weights.safetensors", "another model"))


def test_weights_of_another_model_to_start_from(command: Command, runs: Path) -> None:
    refused(command, *TRAIN, "--from", runs / "b", words=("hidden=8", "hidden=4"))


def test_the_checkpoint_of_another_model(command: Command, runs: Path, run_a: Path) -> None:
    shutil.copy(runs / "b" / "checkpoints" / "last.ckpt", run_a / "checkpoints")
    refused(command, "train", "--resume", run_a, words=("last.ckpt", "hidden=4", "8"))


def test_no_checkpoint(command: Command, run_a: Path) -> None:
    (run_a / "checkpoints" / "last.ckpt").unlink()
    refused(command, "train", "--resume", run_a, words=("last.ckpt", "no such file", "best.ckpt"))
    shutil.rmtree(run_a / "checkpoints")  # what remains are finished weights, not to be trained over
    refused(command, "train", "--resume", run_a, words=("last.ckpt", "no such file", "--from"))


def test_other_folders_among_the_logs_are_left_alone(command: Command, run_a: Path) -> None:
    logs = run_a / "logs"
    (logs / "version_0").rename(logs / "version_9")
    shutil.copytree(logs / "version_9", logs / "version_kept")
    before = listing(logs)
    outcome = command("train", "--resume", run_a)
    assert outcome.code == 0, outcome.err
    assert (logs / "version_10" / "metrics.csv").is_file()
    assert {name: content for name, content in listing(logs).items() if "version_10" not in name} == before
    outcome = command("report", run_a, "--clips", "1", "--no-view")
    assert outcome.code == 0, outcome.err


@pytest.mark.parametrize("arguments", [(*TRAIN, "--out"), ("demo", "--out")])
def test_a_folder_that_holds_a_run(command: Command, run_a: Path, arguments: tuple[str, ...]) -> None:
    refused(command, *arguments, run_a, words=("holds a run", "--resume"))


@pytest.mark.parametrize(
    ("place", "word"), [("file/below", "folder"), ("/proc/below", "folder"), ("n" * 300, "shorter")]
)
def test_a_place_that_cannot_be_written(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, word: str
) -> None:
    (tmp_path / "file").touch()  # permissions would not stop root
    # Found before hours of work, not after them.
    monkeypatch.setattr(scoring.evaluation, "evaluate", lambda *_, **__: raise_(RuntimeError("scored")))
    monkeypatch.setattr(workflows, "rehearse", lambda *_, **__: raise_(RuntimeError("rehearsed")))
    refused(command, "evaluate", "black", "--clips", "1", "--json", place, words=(place, word))
    refused(command, *TRAIN, "--out", place, words=(place, word))


@contextlib.contextmanager
def full_disk(free: int) -> Iterator[None]:
    """Lets no file grow beyond ``free`` bytes: writing fails as on a full disk."""
    limit, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_leaves_earlier_results_as_they_were(command: Command, tmp_path: Path) -> None:
    arguments = ("evaluate", "black", "--clips", "1", "--json", "results.json")
    assert command(*arguments).code == 0
    assert json.loads((tmp_path / "results.json").read_text())["model"] == "black"
    with full_disk(100):
        refused(command, *arguments, words=("results.json",))


@pytest.mark.parametrize("free", [100, 5_000])
def test_a_full_disk_is_found_before_a_run_begins(command: Command, free: int) -> None:
    with full_disk(free):
        refused(command, *TRAIN, "--out", "run", words=("writing",))


def test_a_disk_that_fills_up_while_training_leaves_no_half_written_weights(
    command: Command, runs: Path, run_a: Path
) -> None:
    shutil.rmtree(run_a)
    settings = RunSettings.read(runs / "a")
    with full_disk(20_000), pytest.raises(workflows.OutputError, match="writing"):
        training.train(settings, run_a, device="cpu")
    assert not (run_a / "weights").exists()
    assert not any((run_a / "checkpoints").glob("*.ckpt"))


@pytest.fixture(scope="module")
def forecaster(runs: Path) -> predict.Forecaster:
    return predict.load(runs / "a", device="cpu")


class TestArrays:
    """What a `Forecaster` refuses, with a model that fills no holes."""

    @pytest.mark.parametrize("shape", [(5, 32, 32), (5, 1, 32, 32), (2, 5, 1, 32, 32)])
    def test_missing_pixels(self, forecaster: predict.Forecaster, shape: tuple[int, ...]) -> None:
        frames = np.zeros(shape, np.float32)
        frames[..., 3, 3] = np.nan
        for task in (lambda: forecaster.forecast(frames, 2), lambda: forecaster.reconstruct(frames)):
            with pytest.raises(TaskError, match="missing pixels"):
                task()

    @pytest.mark.parametrize("shape", [(0, 32, 32), (0, 1, 32, 32), (0, 5, 1, 32, 32), (2, 0, 1, 32, 32)])
    @pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
    def test_no_frames(
        self, forecaster: predict.Forecaster, shape: tuple[int, ...], kind: Callable[[np.ndarray], Any]
    ) -> None:
        with pytest.raises(ShapeError):
            forecaster.forecast(kind(np.zeros(shape, np.uint8)), 2)

    @pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy, Clip.from_array])
    def test_one_frame_shows_no_motion(self, forecaster: predict.Forecaster, kind: Callable[[np.ndarray], Any]) -> None:
        frames = np.zeros((1, 32, 32), np.uint8)
        with pytest.raises(ShapeError, match="at least 2 frames"):
            forecaster.forecast(kind(frames), 2)
        with pytest.warns(FrameForecastWarning, match="one observed frame|one value"):
            assert forecaster.reconstruct(frames).shape == (1, 32, 32)

    @pytest.mark.parametrize("horizon", [0, -1])
    def test_no_horizon(self, forecaster: predict.Forecaster, horizon: int) -> None:
        with pytest.raises(ShapeError, match="horizon"):
            forecaster.forecast(np.zeros((5, 32, 32), np.uint8), horizon)


def test_a_run_is_released_with_its_scores_and_found_by_its_tag(
    command: Command, run_a: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (
        command("evaluate", run_a, "--clips", 2, "--context", 3, "--horizon", 2, "--generated", "--json", "s.json").code
        == 0
    )
    outcome = command("release", run_a, "released/tiny.moving_mnist", "--scores", "s.json")
    assert outcome == Outcome(0, "written and verified: released/tiny.moving_mnist\n", "")
    card = Path("released/tiny.moving_mnist/MODEL_CARD.md").read_text()
    assert "copy_last" in card
    assert str(tmp_path) not in card
    monkeypatch.setattr(find, "_released", lambda: tmp_path / "released")
    monkeypatch.setattr(find, "PREFERRED", ("tiny.moving_mnist",))
    listed = command("models")
    assert "tiny.moving_mnist" in listed.out
    for name in ((), ("tiny.moving_mnist",), ("moving_mnist",)):
        verified = command("models", "--verify", *name)
        assert (verified.code, verified.err) == (0, "")
        assert verified.out.startswith("".join(name) or "tiny.moving_mnist")
        assert verified.out.count("\n") == 1
    scored = command("evaluate", "moving_mnist", "--clips", 1, "--context", 3, "--horizon", 2)
    assert (scored.code, scored.err) == (0, "")
    assert "tiny.moving_mnist" in scored.out
    assert command(*TRAIN, "--from", "tiny.moving_mnist", "--out", "further").code == 0
    assert RunSettings.read(Path("further")).start == str(tmp_path / "released" / "tiny.moving_mnist")
    reported = command("report", "tiny.moving_mnist", "--clips", 1, "--no-view", "--out", "page")
    assert (reported.code, reported.err) == (0, "")
    assert reported.out.endswith("page/report.html\n")
    assert Path("page/report.html").is_file()
    path = tmp_path / "released" / "tiny.moving_mnist" / "golden.npz"
    path.write_bytes(path.read_bytes()[:-9])
    refused(command, "models", "--verify", words=("golden.npz",))


def test_a_package_without_weights_says_so(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "_released", lambda: tmp_path / "nothing here")
    assert command("models", "--verify") == Outcome(0, "no released weights in this package\n", "")
    refused(command, "models", "--verify", "moving_mnist", words=("none in this package",))


def test_a_release_in_the_place_of_something_else(command: Command, run_a: Path) -> None:
    refused(command, "release", run_a, run_a, words=("which is there",))
    refused(command, "release", run_a, "new", "--scores", "nowhere.json", words=("nowhere.json",))


@pytest.mark.parametrize(
    "fail",
    [
        lambda: np.empty(2**62, np.uint8),
        lambda: torch.empty(2**62, dtype=torch.uint8),
        lambda: raise_(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")),
    ],
    ids=["numpy", "torch", "cuda"],
)
def test_memory_that_runs_out(command: Command, monkeypatch: pytest.MonkeyPatch, fail: Callable[[], object]) -> None:
    monkeypatch.setattr(workflows, "describe_data", fail)
    refused(command, "data", "show", words=("out of memory", "batch_size"))


@pytest.mark.parametrize("arguments", [("evaluate",), (*TRAIN, "--from"), ("report",), (*TRAIN, "--out")])
def test_a_name_that_is_too_long(command: Command, arguments: tuple[str, ...]) -> None:
    refused(command, *arguments, "n" * 300, words=("nnn", "File name too long"))


def test_an_output_that_lacks_characters(offline: Path, tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "frame_forecast", "evaluate", "black", "--clips", "1"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert b"bin_f1" in process.stdout


def test_another_runtime_error_is_a_bug_and_is_shown(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflows, "describe_data", lambda: raise_(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        command("data", "show")


def test_ctrl_c(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(workflows, "describe_data", interrupt)
    outcome = command("data", "show")
    assert outcome.code == 130
    assert outcome.err == "frame-forecast: interrupted\n"


def test_a_warning_is_a_line(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def warn() -> list[str]:
        warnings.warn(FrameForecastWarning("a short clip", "the answer is a guess", "give more"), stacklevel=1)
        return ["done"]

    monkeypatch.setattr(workflows, "describe_data", warn)
    outcome = command("data", "show")
    assert outcome == Outcome(0, "done\n", "frame-forecast: warning: a short clip: the answer is a guess; give more\n")


@pytest.mark.parametrize("arguments", [("train", "nope", "--steps", "1"), ("evaluate", "nowhere")])
def test_as_a_process_of_its_own(offline: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "frame_forecast", *arguments],
        cwd=tmp_path,
        env=os.environ | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 2
    assert process.stdout == ""
    assert process.stderr.startswith("frame-forecast: ")
    assert process.stderr.count("\n") == 1
