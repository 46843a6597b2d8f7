"""What days bring: kills, damaged files, full disks, numbers that are not finite. Nothing may be lost."""

import contextlib
import csv
import dataclasses
import errno
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from tiny_runs import SETTINGS, STEPS, assert_identical, checkpoint, random_digits, released
from torch import Tensor

from frame_forecast import __main__, weights, workflows
from frame_forecast.clip import Batch
from frame_forecast.data import sources
from frame_forecast.errors import ConfigError, FrameForecastWarning, OutputError, WeightsError
from frame_forecast.training import checkpoints, run, trainer
from frame_forecast.training.checkpoints import BEST, LAST, PREVIOUS, SafeCheckpoints
from frame_forecast.training.config import Budget
from frame_forecast.training.logs import BriefTensorBoardLogger, PatientCSVLogger
from frame_forecast.training.module import TrainingModule
from frame_forecast.training.optimizer import MuonAdamW
from frame_forecast.training.settings import RunSettings

LONGER = dataclasses.replace(
    SETTINGS, budget=Budget(steps=30), train=dataclasses.replace(SETTINGS.train, validations=10)
)
OWN_DISK = ["unshare", "--user", "--map-root-user", "--mount"]
TINY_MASKED = {"patch": 8, "width": 8, "hidden": 4, "mix": 8, "directions": "bf", "motion": False}


pytestmark = pytest.mark.usefixtures("small_and_offline")


def after_steps(monkeypatch: pytest.MonkeyPatch, act: Callable[[int], None]) -> None:
    """Has ``act`` called with the number of each step of this process that was done, from 1."""
    step, done = MuonAdamW.step, count(1)

    def watched(optimizer: MuonAdamW, closure: Callable[[], Any] | None = None) -> Any:
        loss = step(optimizer, closure)
        act(next(done))
        return loss

    monkeypatch.setattr(MuonAdamW, "step", watched)


def interrupted(folder: Path, settings: RunSettings = SETTINGS, after: int = 3) -> RunSettings:
    """A run that Ctrl-C ended after a step."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        after_steps(monkeypatch, lambda done: os.kill(os.getpid(), signal.SIGINT) if done == after else None)
        with pytest.raises(KeyboardInterrupt):
            run.train(settings, folder, device="cpu")
    return RunSettings.read(folder)


def flip(path: Path) -> None:
    """Turns a bit in the middle of the largest part of a checkpoint, which are weights."""
    with zipfile.ZipFile(path) as parts:
        largest = max(parts.namelist(), key=lambda name: parts.getinfo(name).file_size)
        held = parts.read(largest)
    data = bytearray(path.read_bytes())
    data[data.index(held) + len(held) // 2] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-500])


def empty(path: Path) -> None:
    path.write_bytes(b"")


# --- kills


@dataclasses.dataclass(frozen=True)
class Kill:
    """When a process gets SIGKILL: at a line of this package's code that writes checkpoints, with the n-th
    checkpoint half written, or after some time."""

    kind: str
    moment: float


def killed_child(settings: RunSettings, folder: Path, kill: Kill | None) -> None:
    """In another process: begins a run or goes on with it, until it is killed."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    sources.load_digits = random_digits
    trainer.CHECKPOINT_EVERY = timedelta(0)  # after every step
    if kill is not None and kill.kind == "line":
        die_at_line(int(kill.moment))
    if kill is not None and kill.kind == "half":
        die_half_way(int(kill.moment))
    if (folder / "run.json").exists():
        workflows.resume(folder, device="cpu", console=Console(quiet=True))
    else:
        run.train(settings, folder, device="cpu")


def die_at_line(number: int) -> None:
    save, lines = SafeCheckpoints.save_checkpoint, count(1)

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        if "frame_forecast" not in frame.f_code.co_filename:
            return None
        if event == "line" and next(lines) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    def traced(*given: Any, **more: Any) -> None:
        sys.settrace(trace)
        save(*given, **more)
        sys.settrace(None)

    SafeCheckpoints.save_checkpoint = traced


def die_half_way(number: int) -> None:
    write, writes = Path.write_bytes, count(1)

    def half(path: Path, data: Any) -> int:
        if next(writes) == number:
            write(path, data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        return write(path, data)

    Path.write_bytes = half  # pyright: ignore[reportAttributeAccessIssue]


def run_child(settings: RunSettings, folder: Path, kill: Kill | None) -> int:
    """Its exit code."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pytest", "frame_forecast.workflows"])
    process = context.Process(target=killed_child, args=(settings, folder, kill))
    process.start()
    if kill is not None and kill.kind == "time":
        process.join(kill.moment)
        process.kill()
    process.join(200)
    assert process.exitcode is not None, "it hangs"
    return process.exitcode


def survive(settings: RunSettings, folder: Path, draw: Callable[[float], Iterator[Kill]], kills: int) -> Counter[str]:
    """Kills runs until they were killed so often, and asserts that each ends as an undisturbed one.

    Args:
        settings: of the runs.
        folder: for the runs.
        draw: kills to try, given the seconds that an undisturbed run takes.
        kills: how many.

    Returns:
        How many there were of each kind, and how many runs.
    """
    whole = folder / "whole"
    assert run_child(settings, whole, None) == 0
    wanted = draw((whole / "weights").stat().st_mtime - (whole / "run.json").stat().st_mtime)
    counts: Counter[str] = Counter()
    while counts["kills"] < kills:
        parts = folder / f"parts_{counts['runs']}"
        parts.mkdir()
        while True:
            kill = next(wanted) if counts["kills"] < kills else None
            code = run_child(settings, parts, kill)
            if kill is None or code != -signal.SIGKILL:
                assert code == 0
                break
            counts["kills"] += 1
            counts[kill.kind] += 1
        counts["runs"] += 1
        assert_same_end(whole, parts)
    return counts


def assert_same_end(whole: Path, parts: Path) -> None:
    tensors = Path("weights", weights.files.TENSORS)
    assert (whole / tensors).read_bytes() == (parts / tensors).read_bytes()
    for name in (LAST.stem, BEST.stem):
        one, other = checkpoint(whole, name), checkpoint(parts, name)
        for part in ("global_step", "state_dict", "current_model_state", "averaging_state", "optimizer_states"):
            assert_identical(one[part], other[part])
    assert {path.name for path in (parts / LAST).parent.iterdir()} == {LAST.name, PREVIOUS.name, BEST.name}


def test_runs_that_are_killed_end_as_if_undisturbed(tmp_path: Path) -> None:
    def draw(seconds: float) -> Iterator[Kill]:
        yield Kill("half", 5)
        yield Kill("time", 0.5 * seconds)
        while True:  # the time may have been enough for the rest of the run
            yield Kill("line", 100)

    assert survive(SETTINGS, tmp_path, draw, 3)["kills"] == 3


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_runs_that_are_killed_again_and_again_end_as_if_undisturbed(tmp_path: Path) -> None:
    rng = random.Random(0)

    def draw(seconds: float) -> Iterator[Kill]:
        while True:
            yield Kill("time", rng.uniform(0, seconds))
            yield Kill("line", rng.randint(1, 900))
            yield Kill("half", rng.randint(1, 20))

    counts = survive(LONGER, tmp_path, draw, 60)
    print(dict(counts))
    assert min(counts[kind] for kind in ("time", "line", "half")) >= 10


# --- damage


@pytest.mark.parametrize("damage", [flip, truncate, empty, Path.unlink])
def test_a_damaged_newest_checkpoint_is_reported_and_the_one_before_it_used(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run.train(SETTINGS, whole, device="cpu")
    settings = interrupted(parts)
    damage(parts / LAST)
    with pytest.warns(FrameForecastWarning, match=r"last\.ckpt: .*of step 2"):
        run.train(settings, parts, resume=True, device="cpu")
    assert_identical(released(whole), released(parts))


def test_two_damaged_checkpoints_are_refused(tmp_path: Path) -> None:
    settings = interrupted(tmp_path)
    flip(tmp_path / LAST)
    truncate(tmp_path / PREVIOUS)
    with pytest.raises(WeightsError, match=r"previous\.ckpt: unreadable"):
        run.train(settings, tmp_path, resume=True, device="cpu")


def test_a_turned_bit_in_the_best_checkpoint_is_found(tmp_path: Path) -> None:
    settings = interrupted(tmp_path)
    flip(tmp_path / BEST)
    with pytest.raises(WeightsError, match="remove it"):
        run.train(settings, tmp_path, resume=True, device="cpu")


def test_a_checkpoint_is_flushed_before_it_takes_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[tuple[str, str]] = []
    fsync, replace = os.fsync, Path.replace

    def flushed(number: int) -> None:
        done.append(("flush", Path(f"/proc/self/fd/{number}").readlink().name))
        fsync(number)

    def replaced(path: Path, target: Path) -> Path:
        done.append(("rename", f"{path.name} to {target.name}"))
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(Path, "replace", replaced)
    writer, path = SafeCheckpoints(), tmp_path / LAST.name
    for step in (1, 2):
        writer.save_checkpoint({"global_step": step, "state_dict": {}}, path)
    steps = [("flush", "last.ckpt"), ("rename", "last.ckpt to last.ckpt"), ("flush", tmp_path.name)]
    assert done == [*steps, steps[0], ("rename", "last.ckpt to previous.ckpt"), *steps[1:]]
    assert [torch.load(tmp_path / name.name)["global_step"] for name in (PREVIOUS, LAST)] == [1, 2]


def test_a_checkpoint_that_does_not_read_back_takes_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer, path = SafeCheckpoints(), tmp_path / LAST.name
    state = {"weight": torch.arange(100.0)}
    writer.save_checkpoint({"global_step": 1, "state_dict": state}, path)
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "flush", flip)  # a disk that does not keep what it is given
        with pytest.warns(FrameForecastWarning, match="step 2: writing .* read back is damaged"):
            writer.save_checkpoint({"global_step": 2, "state_dict": state}, path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [LAST.name]
    assert writer.failed == {path}
    writer.save_checkpoint({"global_step": 3, "state_dict": state}, path)
    assert writer.failed == set()
    assert torch.load(path, weights_only=True)["global_step"] == 3


# --- changes


def changed(settings: RunSettings, **parts: dict[str, Any]) -> RunSettings:
    """Settings with parts of them changed."""
    fields = {
        name: {**getattr(settings, name), **change}
        if name == "model"
        else dataclasses.replace(getattr(settings, name), **change)
        for name, change in parts.items()
    }
    return dataclasses.replace(settings, **fields)


@pytest.mark.parametrize(
    ("part", "change", "difference"),
    [
        ("model", {"hidden": 8}, r"model\.hidden=8 \(4 in last\.ckpt\)"),
        ("train", {"seed": 1}, r"train\.seed=1 \(0 in last\.ckpt\)"),
        ("train", {"learning_rate": 0.5}, r"train\.learning_rate=0\.5 \(0\.01 in last\.ckpt\)"),
        ("frames", {"digits": 3}, r"frames\.digits=3 \(2 in last\.ckpt\)"),
    ],
)
def test_a_run_does_not_go_on_with_other_settings(
    part: str, change: dict[str, Any], difference: str, tmp_path: Path
) -> None:
    settings = interrupted(tmp_path)
    before = (tmp_path / LAST).read_bytes()
    changed(settings, **{part: change}).save(tmp_path)
    with pytest.raises(ConfigError, match=difference) as error:
        run.train(RunSettings.read(tmp_path), tmp_path, resume=True, device="cpu")
    assert str(tmp_path / "run.json") in str(error.value)
    assert (tmp_path / LAST).read_bytes() == before
    settings.save(tmp_path)
    run.train(RunSettings.read(tmp_path), tmp_path, resume=True, device="cpu")


def test_a_run_may_get_more_time(tmp_path: Path) -> None:
    settings = interrupted(tmp_path)
    run.train(dataclasses.replace(settings, budget=Budget(steps=STEPS + 2)), tmp_path, resume=True, device="cpu")
    assert checkpoint(tmp_path)["global_step"] == STEPS + 2


def test_a_checkpoint_of_another_model_is_told_by_its_tensors(tmp_path: Path) -> None:
    settings = interrupted(tmp_path)
    saved = checkpoint(tmp_path)
    del saved["hyper_parameters"]  # as earlier versions wrote it
    torch.save(saved, tmp_path / LAST)
    with pytest.raises(WeightsError, match=r"another model: model\..* of \(.*\) values: expected \(.*\) values"):
        run.train(changed(settings, model={"hidden": 8}), tmp_path, resume=True, device="cpu")
    run.train(settings, tmp_path, resume=True, device="cpu")


@pytest.mark.parametrize("preset", ["conv_lstm_autoencoder", "masked_lstm"])
def test_no_random_state_but_that_of_the_seed_matters(
    preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = SETTINGS.model if preset == SETTINGS.preset else TINY_MASKED
    settings = dataclasses.replace(SETTINGS, preset=preset, model=model)
    run.train(settings, tmp_path / "whole", device="cpu")

    def scramble(done: int) -> None:
        torch.manual_seed(1000 + done)
        np.random.seed(1000 + done)  # noqa: NPY002  (the global state is what is at stake)
        random.seed(1000 + done)

    after_steps(monkeypatch, scramble)
    run.train(settings, tmp_path / "scrambled", device="cpu")
    assert_identical(released(tmp_path / "whole"), released(tmp_path / "scrambled"))


# --- signals


def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup has it
    try:
        after_steps(monkeypatch, lambda done: os.kill(os.getpid(), signal.SIGHUP))
        run.train(SETTINGS, tmp_path, device="cpu")
    finally:
        signal.signal(signal.SIGHUP, before)
    assert checkpoint(tmp_path)["global_step"] == STEPS


# --- full disks


def full_disk_child(disk: str, out: str) -> None:
    """In a process with a small disk of its own: fills that in the midst of training, makes room in time and later
    than that, and copies what came of it."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", disk], check=True)
    torch.set_num_threads(1)
    sources.load_digits = random_digits
    warnings.simplefilter("always")
    folder, filler = Path(disk, "run"), Path(disk, "filler")

    def act(done: int) -> None:
        if done == 3:
            with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while file.write(bytes(4096)) == 4096:
                    pass
        if done == 5:  # the checkpoints due after step 4 could not be written
            assert [checkpoint(folder, name)["global_step"] for name in (LAST.stem, BEST.stem)] == [2, 2]

    def make_room(done: int) -> None:
        act(done)
        if done == 5:
            filler.unlink()

    with pytest.MonkeyPatch.context() as monkeypatch:
        after_steps(monkeypatch, make_room)
        run.train(SETTINGS, folder, device="cpu")
    shutil.move(folder, Path(out, "in_time"))
    with pytest.MonkeyPatch.context() as monkeypatch:
        after_steps(monkeypatch, act)
        with pytest.raises(OutputError, match="No space left on device"):
            run.train(SETTINGS, folder, device="cpu")
    filler.unlink()
    run.train(RunSettings.read(folder), folder, resume=True, device="cpu")
    shutil.move(folder, Path(out, "later"))


def test_a_full_disk_costs_an_interval_at_most(tmp_path: Path) -> None:
    disk, whole, out = (tmp_path / name for name in ("disk", "whole", "out"))
    disk.mkdir()
    out.mkdir()
    try_it = [*OWN_DISK, "mount", "-t", "tmpfs", "none", str(disk)]
    if shutil.which("unshare") is None or subprocess.run(try_it, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs a small disk of its own: unshare and mount")
    run.train(SETTINGS, whole, device="cpu")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_survival; "
        "test_survival.full_disk_child(*sys.argv[2:])"
    )
    command = [*OWN_DISK, sys.executable, "-c", code, str(Path(__file__).parent), str(disk), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    for name in (LAST, BEST):
        assert done.stderr.count(f"step 4: writing {disk / 'run' / name}: No space left on device") == 2
        for parts in (out / "in_time", out / "later"):
            assert_identical(checkpoint(whole, name.stem)["state_dict"], checkpoint(parts, name.stem)["state_dict"])
            assert_identical(released(whole), released(parts))


def test_rows_that_could_not_be_written_are_written_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logger = PatientCSVLogger(tmp_path, name="logs", version=0)
    path = tmp_path / "logs" / "version_0" / "metrics.csv"

    def log(step: int, name: str, full: bool) -> None:
        logger.log_metrics({name: step}, step)
        with monkeypatch.context() as patch:
            if full:
                patch.setattr(csv.DictWriter, "writerows", fail_half_way)
            logger.save()

    def fail_half_way(writer: Any, rows: Any) -> None:
        writer.writer.writerow(["torn"])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.warns(FrameForecastWarning, match=r"metrics\.csv: No space left on device"):
        log(0, "a", full=True)
    assert not path.exists()
    log(1, "a", full=False)
    with pytest.warns(FrameForecastWarning, match="rows wait in memory"):
        log(2, "b", full=True)
    assert path.read_text().split() == ["a,step", "0,0", "1,1"]
    log(3, "a", full=False)
    assert path.read_text().split() == ["a,b,step", "0,,0", "1,,1", ",2,2", "3,,3"]


def test_events_end_where_one_could_not_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logger = BriefTensorBoardLogger(tmp_path, name="logs", version=0)
    logger.log_metrics({"a": 1.0}, 0)
    calls: list[int] = []

    def fail(writer: Any, name: str, value: float, step: int) -> None:
        calls.append(step)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(type(logger.experiment), "add_scalar", fail)
    with pytest.warns(FrameForecastWarning, match="No space left on device: events for TensorBoard end here"):
        logger.log_metrics({"a": 1.0}, 1)
    logger.log_metrics({"a": 1.0}, 2)
    logger.finalize("success")
    assert calls == [1]


def test_a_value_that_cannot_be_logged_is_no_full_disk(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not supported"):
        BriefTensorBoardLogger(tmp_path, name="logs", version=0).log_metrics({"a": "text"}, 0)  # pyright: ignore


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_under_what_is_printed_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full").open("w", buffering=1)  # noqa: SIM115  (closing it fails, too)
    monkeypatch.setattr(sys, "stderr", full)
    poison(monkeypatch, {1})
    with __main__._warnings_as_lines():
        run.train(SETTINGS, tmp_path, device="cpu", console=Console(file=full))
    with pytest.raises(OSError, match="No space left"):
        full.close()
    assert checkpoint(tmp_path)["callbacks"]["SkipBrokenSteps"] == {"skipped": 1}


# --- numbers that are not finite


def poison(monkeypatch: pytest.MonkeyPatch, steps: set[int], kind: str = "loss") -> None:
    """Has the loss, or its gradient alone, not be finite at these steps, counted from 0."""
    step = TrainingModule.training_step

    def poisoned(module: TrainingModule, batch: Batch, batch_index: int) -> Tensor:
        loss = step(module, batch, batch_index)
        if module.trainer.global_step not in steps:
            return loss
        if kind == "loss":
            return loss * float("inf")
        zero = sum(parameter.sum() for parameter in module.parameters()) * 0
        return loss + zero.sqrt()  # whose slope at 0 is infinite

    monkeypatch.setattr(TrainingModule, "training_step", poisoned)


@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_a_step_that_is_not_finite_is_skipped_counted_and_logged(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[dict[str, Tensor]] = []
    step = MuonAdamW.step

    def remember(optimizer: MuonAdamW, closure: Callable[[], Any] | None = None) -> Any:
        loss = step(optimizer, closure)
        parameters = [p.detach().clone() for group in optimizer.param_groups for p in group["params"]]
        moments = [value.clone() for state in optimizer.state.values() for value in state.values()]
        states.append(dict(enumerate([*parameters, *moments])))
        return loss

    monkeypatch.setattr(MuonAdamW, "step", remember)
    poison(monkeypatch, {3}, kind)
    with pytest.warns(FrameForecastWarning, match="step 3: a loss or gradient that is not finite"):
        run.train(SETTINGS, tmp_path, device="cpu")
    assert len(states) == STEPS
    assert_identical(states[2], states[3])
    for one, other in ((1, 2), (3, 4), (4, 5)):
        with pytest.raises(AssertionError):
            assert_identical(states[one], states[other])
    assert checkpoint(tmp_path)["callbacks"]["SkipBrokenSteps"] == {"skipped": 1}
    head, *rows = (tmp_path / "logs/version_0/metrics.csv").read_text().splitlines()
    column = head.split(",").index("train/skipped_steps")
    assert [row.split(",")[column] for row in rows if row.split(",")[column]] == ["0.0"] * 3 + ["1.0"] * 3


def test_several_in_a_row_end_training_with_what_was_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poison(monkeypatch, {3, 5, *range(7, 30)})
    with (
        pytest.warns(FrameForecastWarning, match="step 3: "),
        pytest.raises(WeightsError, match=r"step 12: .* 5 times in a row.*lower learning_rate"),
    ):
        run.train(LONGER, tmp_path, device="cpu")
    last = checkpoint(tmp_path)
    assert last["callbacks"]["SkipBrokenSteps"] == {"skipped": 7}
    for value in (*last["state_dict"].values(), *last["current_model_state"].values(), *released(tmp_path).values()):
        assert value.isfinite().all()


def test_weights_that_are_not_finite_replace_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = TrainingModule.training_step

    def broken(module: TrainingModule, batch: Batch, batch_index: int) -> Tensor:
        if module.trainer.global_step == 7:
            with torch.no_grad():
                next(module.parameters()).fill_(float("nan"))
        return step(module, batch, batch_index)

    monkeypatch.setattr(TrainingModule, "training_step", broken)
    with (
        pytest.warns(FrameForecastWarning, match=r"weights that are not finite numbers: last\.ckpt stays"),
        pytest.raises(WeightsError, match="5 times in a row"),
    ):
        run.train(LONGER, tmp_path, device="cpu")
    for name in ("last", "best"):
        saved = checkpoint(tmp_path, name)
        assert saved["global_step"] <= 6
        assert all(value.isfinite().all() for value in saved["current_model_state"].values())
    assert all(value.isfinite().all() for value in released(tmp_path).values())


def test_what_was_skipped_is_counted_across_a_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poison(monkeypatch, {1, 4})
    with pytest.warns(FrameForecastWarning, match="step 1: "):
        settings = interrupted(tmp_path)
    run.train(settings, tmp_path, resume=True, device="cpu")
    assert checkpoint(tmp_path)["callbacks"]["SkipBrokenSteps"] == {"skipped": 2}
