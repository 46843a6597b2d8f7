"""Training runs: what a run leaves behind, and that an interruption changes nothing."""

import dataclasses
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import timer
from tiny_runs import (
    MODEL,
    SETTINGS,
    STEPS,
    TRAIN,
    assert_identical,
    averaged,
    checkpoint,
    random_digits,
    released,
)
from torch import Tensor

from frame_forecast import weights
from frame_forecast.clip import Batch
from frame_forecast.data import sources
from frame_forecast.data.moving_mnist import MovingMnist
from frame_forecast.errors import ConfigError, DataError, FrameForecastError, OutputError, WeightsError
from frame_forecast.models import create
from frame_forecast.training import checkpoints, run
from frame_forecast.training.config import Budget
from frame_forecast.training.module import TrainingModule
from frame_forecast.training.optimizer import MuonAdamW
from frame_forecast.training.settings import RunSettings

pytestmark = pytest.mark.usefixtures("small_and_offline")


class Watch:
    """Records what runs ask of the training clips and the optimiser; may act after a step."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clips: list[list[int]] = []
        self.rates: list[list[float]] = []
        self.after_step: Callable[[int], None] = lambda step: None
        clips, step = MovingMnist.clips, MuonAdamW.step

        def watched_clips(source: MovingMnist, index: np.ndarray) -> Tensor:
            if source.split == "train" and len(index) == TRAIN.batch_size:
                self.clips.append(index.tolist())
            return clips(source, index)

        def watched_step(optimizer: MuonAdamW, closure: Callable[[], Any] | None = None) -> Any:
            loss = step(optimizer, closure)
            self.rates.append([group["lr"] for group in optimizer.param_groups])
            self.after_step(len(self.rates))
            return loss

        monkeypatch.setattr(MovingMnist, "clips", watched_clips)
        monkeypatch.setattr(MuonAdamW, "step", watched_step)

    def interrupt_after(self, step: int) -> None:
        self.after_step = lambda done: os.kill(os.getpid(), signal.SIGINT) if done == step else None


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    return Watch(monkeypatch)


def undisturbed(folder: Path, watch: Watch, settings: RunSettings = SETTINGS) -> tuple[list[Any], list[Any]]:
    run.train(settings, folder, device="cpu")
    clips, rates = watch.clips.copy(), watch.rates.copy()
    watch.clips.clear()
    watch.rates.clear()
    return clips, rates


# 4: validation is due as the signal comes; STEPS: no step is left to take.
@pytest.mark.parametrize("after", [1, 3, 4, STEPS])
def test_an_interrupted_run_ends_as_if_undisturbed(after: int, tmp_path: Path, watch: Watch) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    clips, rates = undisturbed(whole, watch)
    handler = signal.getsignal(signal.SIGINT)
    watch.interrupt_after(after)
    with pytest.raises(KeyboardInterrupt):
        run.train(SETTINGS, parts, device="cpu")
    assert signal.getsignal(signal.SIGINT) is handler
    assert len(watch.rates) == after
    assert checkpoint(parts)["global_step"] == after
    assert not (parts / "weights").exists()
    watch.clips.clear()
    watch.after_step = lambda step: None
    run.train(RunSettings.read(parts), parts, resume=True, device="cpu")
    assert watch.clips == clips[after:]
    assert watch.rates == rates
    for name in ("last", "best"):
        one, other = checkpoint(whole, name), checkpoint(parts, name)
        # loops: counters that the validation schedule and the logged steps follow
        for part in (
            "global_step",
            "state_dict",
            "current_model_state",
            "averaging_state",
            "optimizer_states",
            "loops",
        ):
            assert_identical(one[part], other[part])
    assert_identical(released(whole), released(parts))
    contracts = [weights.load(folder / "weights")[2] for folder in (whole, parts)]
    for contract in contracts:
        del contract.training["seconds"]
    assert contracts[0] == contracts[1]
    changed = (checkpoint(whole)["state_dict"], checkpoint(whole)["current_model_state"])
    with pytest.raises(AssertionError):  # the average lags, so comparing both is no repetition
        assert_identical(*changed)


def child(folder: str) -> None:
    """In another process: trains, says when 3 steps are done, and waits for a signal."""

    came, wake = os.pipe()  # not signal.pause(), which misses a signal that comes before it
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)

    def wait(step: int) -> None:
        if step == 3:
            print("stepped", flush=True)
            os.read(came, 1)

    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(sources, "load_digits", random_digits)
        Watch(monkeypatch).after_step = wait
        try:
            run.train(SETTINGS, Path(folder), device="cpu")
        except KeyboardInterrupt:
            sys.exit(130)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_process_that_is_stopped_can_be_resumed(number: signal.Signals, tmp_path: Path, watch: Watch) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    clips, _ = undisturbed(whole, watch)
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_run; test_run.child(sys.argv[1])"
    )
    command = [sys.executable, "-c", code, str(parts)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "stepped\n", process.stderr.read()
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    run.train(RunSettings.read(parts), parts, resume=True, device="cpu")
    assert watch.clips == clips[3:]
    assert_identical(released(whole), released(parts))


def test_a_time_budget_goes_on_where_it_stopped(tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(timer, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def tick(step: int) -> None:
        clock[0] += 1000.0

    settings = dataclasses.replace(SETTINGS, budget=Budget(seconds=5000.0))
    watch.after_step = tick
    _, rates = undisturbed(tmp_path / "whole", watch, settings)
    assert [rate / TRAIN.muon_learning_rate for rate, _ in rates] == pytest.approx([0, 0.8, 0.6, 0.4, 0.2])

    def tick_and_interrupt(step: int) -> None:
        tick(step)
        if step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    watch.after_step = tick_and_interrupt
    with pytest.raises(KeyboardInterrupt):
        run.train(settings, tmp_path / "parts", device="cpu")
    clock[0] += 77_777.0  # time between the two is not training
    watch.after_step = tick
    run.train(settings, tmp_path / "parts", resume=True, device="cpu")
    assert watch.rates == rates
    assert_identical(released(tmp_path / "whole"), released(tmp_path / "parts"))


def test_a_finished_run_resumed_releases_the_same_weights(tmp_path: Path, watch: Watch) -> None:
    undisturbed(tmp_path, watch)
    before = released(tmp_path)
    run.train(SETTINGS, tmp_path, resume=True, device="cpu")
    assert watch.rates == []
    assert_identical(released(tmp_path), before)
    logged = (tmp_path / "logs/version_1/metrics.csv").read_text().splitlines()
    seconds = dict(zip(logged[0].split(","), logged[-1].split(","), strict=True))["validation/seconds"]
    assert float(seconds) < 60


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_run_goes_on_with_its_own_digits_only(
    split: str, tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch.interrupt_after(3)
    with pytest.raises(KeyboardInterrupt):
        run.train(SETTINGS, tmp_path, device="cpu")
    begun = RunSettings.read(tmp_path)
    with monkeypatch.context() as patch:
        # Of the same description, so that the digits alone tell the difference.
        patch.setattr(sources, "load_digits", lambda name: random_digits(name, seed=int(name == split)))
        with pytest.raises(DataError, match="begun on"):
            run.train(begun, tmp_path, resume=True, device="cpu")
    assert len(watch.rates) == 3
    run.train(begun, tmp_path, resume=True, device="cpu")
    assert len(watch.rates) == STEPS


def test_a_run_that_recorded_no_clips_goes_on(tmp_path: Path, watch: Watch) -> None:
    watch.interrupt_after(3)
    with pytest.raises(KeyboardInterrupt):
        run.train(SETTINGS, tmp_path, device="cpu")
    path = tmp_path / "run.json"  # as an earlier version wrote it
    path.write_text(json.dumps({key: value for key, value in json.loads(path.read_text()).items() if key != "clips"}))
    run.train(RunSettings.read(tmp_path), tmp_path, resume=True, device="cpu")
    assert len(watch.rates) == STEPS


def test_a_run_leaves_what_its_module_says(tmp_path: Path) -> None:
    folder = run.train(SETTINGS, tmp_path / "run", device="cpu")
    files = {str(p.relative_to(tmp_path / "run")) for p in (tmp_path / "run").rglob("*") if p.is_file()}
    logs = {name for name in files if name.startswith("logs/version_0/")}
    assert "logs/version_0/metrics.csv" in logs
    assert any("tfevents" in name for name in logs)
    assert files - logs == {
        "run.json",
        "checkpoints/last.ckpt",
        "checkpoints/previous.ckpt",
        "checkpoints/best.ckpt",
        "weights/weights.safetensors",
        "weights/config.json",
    }
    begun = RunSettings.read(tmp_path / "run")
    assert dataclasses.replace(begun, clips=None) == SETTINGS
    assert begun.clips is not None
    assert begun.clips.name == "moving_mnist (size=32), random train digits"
    model, name, contract = weights.load(folder)
    assert name == "conv_lstm_autoencoder"
    assert model.config == create("conv_lstm_autoencoder", **MODEL).config
    assert (contract.context, contract.horizon, contract.channels, contract.height) == (3, 2, 1, 32)
    assert contract.data == {
        "name": "moving_mnist (size=32), random train digits",
        "seed": 0,
        "size": 32,
        "digits": 2,
        "step": 0.1,
    }
    assert (contract.training["steps"], contract.training["clips"]) == (STEPS, STEPS * 2)
    assert contract.splits == {
        split: hashlib.sha256(sources.load_digits(split).images.tobytes()).hexdigest() for split in sources.SPLITS
    }


def log_losses(monkeypatch: pytest.MonkeyPatch, losses: list[float]) -> None:
    """Has successive validations find these losses."""
    left = iter(losses)

    def log_next(module: TrainingModule) -> None:
        module.log("validation/loss", next(left))

    monkeypatch.setattr(TrainingModule, "on_validation_epoch_end", log_next)


@pytest.mark.parametrize("final", [0.4, float("nan")])
def test_the_best_is_released_where_the_final_is_worse(
    final: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_losses(monkeypatch, [0.2, 0.1, 0.3, final])
    run.train(SETTINGS, tmp_path, device="cpu")
    assert checkpoint(tmp_path, "best")["global_step"] == 4
    assert_identical(released(tmp_path), averaged(checkpoint(tmp_path, "best")))
    contract = weights.load(tmp_path / "weights")[2]
    assert contract.training["validation_loss"] == pytest.approx(0.1)


def test_the_final_average_is_released_where_it_is_better(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log_losses(monkeypatch, [0.2, 0.1, 0.3, 0.05])
    run.train(SETTINGS, tmp_path, device="cpu")
    assert_identical(released(tmp_path), averaged(checkpoint(tmp_path)))


def test_the_best_of_an_interrupted_run_is_remembered(
    tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_losses(monkeypatch, [0.1, 0.2, 0.3, 0.4])
    watch.interrupt_after(3)
    with pytest.raises(KeyboardInterrupt):
        run.train(SETTINGS, tmp_path, device="cpu")
    run.train(SETTINGS, tmp_path, resume=True, device="cpu")
    assert checkpoint(tmp_path, "best")["global_step"] == 2
    assert_identical(released(tmp_path), averaged(checkpoint(tmp_path, "best")))


@pytest.mark.parametrize("keep", [True, False])
def test_the_best_is_remembered_where_the_folder_was_moved(
    keep: bool, tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_losses(monkeypatch, [0.1, 0.2, 0.3, 0.4])
    watch.interrupt_after(3)
    with pytest.raises(KeyboardInterrupt):
        run.train(SETTINGS, tmp_path / "old", device="cpu")
    new = tmp_path / "new"
    if keep:  # the best at the old place must not be taken for that at the new one
        shutil.copytree(tmp_path / "old", new)
        torch.save({}, tmp_path / "old" / "checkpoints" / "best.ckpt")
    else:
        shutil.move(tmp_path / "old", new)
    run.train(SETTINGS, new, resume=True, device="cpu")
    assert checkpoint(new, "best")["global_step"] == 2
    assert_identical(released(new), averaged(checkpoint(new, "best")))
    assert weights.load(new / "weights")[2].training["validation_loss"] == pytest.approx(0.1)


def test_a_best_that_was_removed_is_forgotten(tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    log_losses(monkeypatch, [0.1, 0.3, 0.2, 0.4])
    watch.interrupt_after(3)
    with pytest.raises(KeyboardInterrupt):
        run.train(SETTINGS, tmp_path, device="cpu")
    (tmp_path / "checkpoints" / "best.ckpt").unlink()
    run.train(SETTINGS, tmp_path, resume=True, device="cpu")
    assert checkpoint(tmp_path, "best")["global_step"] == 6
    assert_identical(released(tmp_path), averaged(checkpoint(tmp_path, "best")))


def test_checkpoints_of_lightnings_own_class_are_gone_on_with(tmp_path: Path, watch: Watch) -> None:
    undisturbed(tmp_path, watch)
    keys = [key for key in checkpoint(tmp_path)["callbacks"] if "monitor" in key]
    assert len(keys) == 3
    assert all(key.startswith("ModelCheckpoint{") for key in keys)


def test_output_biases_start_at_the_mean_pixel() -> None:
    model = create("conv_lstm_autoencoder", **MODEL)
    source = sources.open_source("moving_mnist", "train", frames=5, config=SETTINGS.frames)
    run._start_at_mean(model, source)
    mean = (source.clips(np.arange(64)).double() / 255).mean().item()
    for layer in model.output_layers():
        assert layer.bias is not None
        torch.testing.assert_close(layer.bias.sigmoid(), torch.full_like(layer.bias, mean), rtol=1e-5, atol=0)


@pytest.mark.parametrize(("value", "bias"), [(0, -6.9068), (255, 6.9068)])  # log(0.001 / 0.999) and its negative
def test_output_biases_stay_finite(value: int, bias: float) -> None:
    model = create("conv_lstm_autoencoder", **MODEL)
    source = SimpleNamespace(clips=lambda index: torch.full((len(index), 5, 1, 32, 32), value, dtype=torch.uint8))
    run._start_at_mean(model, source)
    for layer in model.output_layers():
        assert layer.bias is not None
        assert layer.bias.tolist() == pytest.approx([bias] * len(layer.bias), rel=1e-4)


def test_training_goes_on_from_given_weights_and_resumes_without_them(tmp_path: Path, watch: Watch) -> None:
    start = tmp_path / "start"
    given = create("conv_lstm_autoencoder", **MODEL)
    size = {"context": 3, "horizon": 2, "channels": 1, "height": 32, "width": 32}
    weights.save(start, given, "conv_lstm_autoencoder", **size)
    settings = dataclasses.replace(SETTINGS, start=str(start))
    first: list[dict[str, Tensor]] = []
    step = TrainingModule.training_step

    def remember(module: TrainingModule, batch: Batch, batch_index: int) -> Tensor:
        first.append({name: value.clone() for name, value in module.model.state_dict().items()})
        return step(module, batch, batch_index)

    watch.interrupt_after(3)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(TrainingModule, "training_step", remember)
        with pytest.raises(KeyboardInterrupt):
            run.train(settings, tmp_path / "run", device="cpu")
    assert_identical(first[0], dict(given.state_dict()))
    for file in start.iterdir():
        file.unlink()
    run.train(settings, tmp_path / "run", resume=True, device="cpu")
    assert len(watch.rates) == STEPS


def test_ctrl_c_outside_a_step_is_a_keyboard_interrupt_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(module: TrainingModule, batch: Batch, batch_index: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(TrainingModule, "validation_step", interrupted)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run.train(SETTINGS, tmp_path, device="cpu")
    assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"no checkpoint"),
        lambda path: path.write_bytes(path.read_bytes()[:-500]),
        lambda path: torch.save({"state_dict": 1}, path),
        lambda path: torch.save({"state_dict": {"model.x": torch.zeros(3)}}, path),
    ],
    ids=["missing", "empty", "text", "truncated", "a number", "other tensors"],
)
def test_a_damaged_checkpoint_is_named(damage: Callable[[Path], Any], tmp_path: Path) -> None:
    run.train(dataclasses.replace(SETTINGS, budget=Budget(steps=1)), tmp_path, device="cpu")
    last = tmp_path / "checkpoints" / "last.ckpt"
    damage(last)
    with pytest.raises(WeightsError) as error:
        run.train(SETTINGS, tmp_path, resume=True, device="cpu")
    assert str(last) in str(error.value)


def test_a_damaged_best_checkpoint_is_named_before_training_goes_on(tmp_path: Path, watch: Watch) -> None:
    watch.interrupt_after(3)
    with pytest.raises(KeyboardInterrupt):
        run.train(SETTINGS, tmp_path, device="cpu")
    best = tmp_path / "checkpoints" / "best.ckpt"
    best.write_bytes(best.read_bytes()[:-500])
    with pytest.raises(WeightsError, match="remove it") as error:
        run.train(SETTINGS, tmp_path, resume=True, device="cpu")
    assert str(best) in str(error.value)
    assert len(watch.rates) == 3


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"preset": "copy_last", "model": {}}, ConfigError),
        ({"preset": "conv_lstn"}, ConfigError),
        ({"model": {"hiden": 4}}, ConfigError),
        ({"data": "mnist"}, ConfigError),
        ({"start": "nowhere"}, WeightsError),
    ],
)
def test_impossible_settings_leave_no_folder(
    changes: dict[str, Any], error: type[FrameForecastError], tmp_path: Path
) -> None:
    with pytest.raises(error):
        run.train(dataclasses.replace(SETTINGS, **changes), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_a_disk_without_room_for_one_checkpoint_is_an_output_error(
    tmp_path: Path, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "flush", full)
    with pytest.raises(OutputError, match="No space left"):
        run.train(SETTINGS, tmp_path, device="cpu")
    assert len(watch.rates) == 2  # the steps before the first validation
    assert not (tmp_path / "checkpoints").exists()


def test_sampling_follows_the_schedule_and_a_penalty_is_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    observed, losses = [], []
    training_step = TrainingModule.training_step

    def watched(module: TrainingModule, batch: Batch, number: int) -> Tensor:
        loss = training_step(module, batch, number)
        observed.append(batch.observed.flatten(1))
        losses.append((loss - module._loss(batch) - module.model.penalties()["decoupling"]).item())
        return loss

    monkeypatch.setattr(TrainingModule, "training_step", watched)
    train = dataclasses.replace(TRAIN, tasks="forecast", batch_size=32, sampling="reverse", sampling_until=0.5)
    settings = dataclasses.replace(SETTINGS, preset="predrnn_v2", train=train)
    run.train(settings, tmp_path, device="cpu")
    shown = [step[:, 1:3].float().mean().item() for step in observed]  # the first frame always is
    revealed = [step[:, 3:].float().mean().item() for step in observed]
    assert all(step[:, 0].all() for step in observed)
    assert shown == pytest.approx([0.5, 0.5, 2 / 3, 1.0, 1.0, 1.0], abs=0.15)  # shares of the schedule 0, 1/3, 2/3, 1
    assert revealed == pytest.approx([0.5, 0.5, 1 / 3, 0.0, 0.0, 0.0], abs=0.15)
    assert losses == pytest.approx([0.0] * STEPS, abs=1e-6)


def test_sampling_is_for_causal_models(tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, train=dataclasses.replace(TRAIN, sampling="scheduled"))
    with pytest.raises(ConfigError, match="conv_lstm"):
        run.train(settings, tmp_path, device="cpu")
    assert not list(tmp_path.iterdir())
