"""Runs on several processes: the same run as on one, whoever starts them and whatever becomes of them."""

import csv
import json
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from joint import AFTER, JOINT, OTHER_DIGITS, TRAIN, Ended, begun, end, running, train
from tiny_runs import assert_identical, checkpoint, released

from frame_forecast import weights
from frame_forecast.errors import ConfigError, ProcessError, WeightsError
from frame_forecast.training import processes, run
from frame_forecast.training.config import Budget
from frame_forecast.training.processes import Processes, everywhere, none_lost
from frame_forecast.training.settings import RunSettings

EITHER = [pytest.param(0, marks=pytest.mark.slow), 1]
STATE = ("global_step", "state_dict", "current_model_state", "averaging_state", "optimizer_states")


def curve(folder: Path, column: str) -> dict[int, float]:
    """A column of the logs by step, of all parts of a run."""
    rows: dict[int, float] = {}
    for log in sorted((folder / "logs").glob("version_*/metrics.csv")):
        for row in csv.DictReader(log.read_text().splitlines()):
            if row.get(column):
                rows[int(row["step"])] = float(row[column])
    return rows


def assert_same_run(one: Path, other: Path) -> None:
    """To float tolerance: sums are taken in another order."""
    for column, points in (("train/loss", 6), ("validation/loss", 4)):
        expected, found = curve(one, column), curve(other, column)
        assert len(expected) >= points - 1
        assert found == pytest.approx(expected, rel=1e-4)
    # Muon steps along a matrix that is computed in bfloat16, where a last bit more or less is 0.4 %.
    torch.testing.assert_close(released(one), released(other), rtol=0, atol=0.005)
    assert (one / "run.json").read_bytes() == (other / "run.json").read_bytes()
    contracts = [weights.load(folder / "weights")[2].training for folder in (one, other)]
    assert contracts[0]["clips"] == contracts[1]["clips"] == 24


def assert_same_bits(one: Path, other: Path) -> None:
    assert_identical(released(one), released(other))
    for part in STATE:
        assert_identical(checkpoint(one)[part], checkpoint(other)[part])


def after(rank: int, step: int, number: signal.Signals) -> dict[str, str]:
    return {AFTER: json.dumps({"rank": rank, "step": step, "signal": number})}


def assert_ended_well(ended: Ended) -> None:
    assert (ended.code, ended.err) == (0, "")


@pytest.fixture
def alone(small_and_offline: None, tmp_path: Path) -> Path:
    """The run on one process."""
    run.train(JOINT, tmp_path / "alone", device="cpu")
    return tmp_path / "alone"


def test_two_processes_compute_the_run_of_one(alone: Path, on_two: Path) -> None:
    assert_same_run(alone, on_two)
    assert [path.name for path in (on_two / "logs").iterdir()] == ["version_0"]


@pytest.mark.slow
def test_four_processes_compute_the_run_of_one(alone: Path, tmp_path: Path) -> None:
    assert_ended_well(train("--resume", begun(tmp_path / "four"), "--devices", 4))
    assert_same_run(alone, tmp_path / "four")


# One process is asked; both are to stop, after the same step.
@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_stopped_run_goes_on_with_the_same_bits(rank: int, on_two: Path, tmp_path: Path) -> None:
    folder = begun(tmp_path / "parts")
    ended = train("--resume", folder, "--devices", 2, **after(rank, 3, signal.SIGTERM))
    assert ended.code == 130
    assert ended.out.count(f"stopped; go on with `frame-forecast train --resume {folder}`") == 1
    assert ended.err == "frame-forecast: interrupted\n"
    assert checkpoint(folder)["global_step"] == 3
    assert_ended_well(train("--resume", folder, "--devices", 2))
    assert_same_bits(on_two, folder)


@pytest.mark.slow
def test_a_run_goes_on_on_another_number_of_processes(alone: Path, small_and_offline: None, tmp_path: Path) -> None:
    folder = begun(tmp_path / "parts")
    assert train("--resume", folder, "--devices", 2, **after(0, 3, signal.SIGINT)).code == 130
    run.train(RunSettings.read(folder), folder, resume=True, device="cpu")
    assert_same_run(alone, folder)


@pytest.mark.parametrize("rank", EITHER)
def test_a_killed_process_ends_the_others_and_costs_nothing(rank: int, on_two: Path, tmp_path: Path) -> None:
    folder = begun(tmp_path / "parts")
    ended = train("--resume", folder, "--devices", 2, **after(rank, 3, signal.SIGKILL))
    if rank == 0:
        assert ended.code == -signal.SIGKILL
    else:
        assert ended.code == 2
        assert ended.err.count("\n") == 1
        assert ended.err.startswith(f"frame-forecast: another process of {folder} has ended")
        assert f"`frame-forecast train --resume {folder}`" in ended.err
    assert checkpoint(folder)["global_step"] == 2
    assert_ended_well(train("--resume", folder, "--devices", 2))
    assert_same_bits(on_two, folder)


@pytest.mark.slow
def test_a_budget_of_time_and_fewer_validation_clips_than_processes(tmp_path: Path) -> None:
    settings = replace(JOINT, budget=Budget(seconds=4.0), train=replace(JOINT.train, validation_clips=1))
    folder = begun(tmp_path / "timed", settings)
    assert_ended_well(train("--resume", folder, "--devices", 2))
    steps = max(curve(folder, "train/loss")) + 1
    assert checkpoint(folder)["global_step"] == steps
    assert len(curve(folder, "validation/loss")) >= 3
    assert weights.load(folder / "weights")[2].training["steps"] == steps


@pytest.mark.slow
def test_torchrun_starts_processes_too(on_two: Path, tmp_path: Path) -> None:
    folder = begun(tmp_path / "run")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    with running([*launcher, TRAIN[1], "train", "--resume", str(folder)]) as [program]:
        ended = end(program)
    assert ended.code == 0, ended.err
    assert ended.out.count("weights: ") == 1
    assert_same_bits(on_two, folder)


def slurm(rank: int, tasks: int = 2) -> dict[str, str]:
    """What SLURM's srun tells the tasks of one machine."""
    return {
        "SLURM_JOB_ID": "1",
        "SLURM_JOB_NAME": "train",
        "SLURM_NTASKS": str(tasks),
        "SLURM_NTASKS_PER_NODE": str(tasks),
        "SLURM_NNODES": "1",
        "SLURM_NODEID": "0",
        "SLURM_PROCID": str(rank),
        "SLURM_LOCALID": str(rank),
        "SLURM_NODELIST": "127.0.0.1",
    }


def tasks(*arguments: object, **environment: str) -> list[Ended]:
    """``frame-forecast train`` in two tasks of SLURM."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        environment["MASTER_PORT"] = str(free.getsockname()[1])
    command = [*TRAIN, *map(str, arguments)]
    with (
        running(command, **slurm(0), **environment) as [first],
        running(command, **slurm(1), **environment) as [second],
    ):
        return [end(first), end(second)]


@pytest.mark.slow
def test_tasks_of_slurm_are_processes_of_a_run(on_two: Path, tmp_path: Path) -> None:
    folder = begun(tmp_path / "run")
    first, second = tasks("--resume", folder)
    assert_ended_well(first)
    assert second == Ended(0, "", "")
    assert_same_bits(on_two, folder)


def test_other_data_for_one_process_are_refused_in_one_line(tmp_path: Path) -> None:
    folder = begun(tmp_path / "run")
    first, second = tasks("--resume", folder, **{OTHER_DIGITS: "1"})
    assert first.code == second.code == 2
    assert (first.err + second.err).count("\n") == 1
    assert f"for process 1 on {socket.gethostname()}: expected" in first.err
    assert [path.name for path in folder.iterdir()] == ["run.json"]


def test_an_error_of_all_is_said_once(tmp_path: Path) -> None:
    first, second = tasks("conv_lstm_autoencoder", "--steps", 2, "--set", "batch_size=3", "--out", tmp_path / "run")
    assert (first.code, second.code, second.err) == (2, 2, "")
    assert first.err.startswith("frame-forecast: batch_size=3 for 2 processes: expected")
    assert "2 or 4" in first.err
    assert not (tmp_path / "run").exists()


def test_a_new_run_is_rehearsed_and_written_by_the_first_alone(tmp_path: Path) -> None:
    settings = "hidden=4 layers=1 patch=8 size=32 context=3 horizon=2 batch_size=2 validation_clips=2 validations=1"
    words = [word for setting in settings.split() for word in ("--set", setting)]
    command = [*TRAIN, "conv_lstm_autoencoder", "--steps", "2", *words, "--devices", "2"]
    with running(["sh", "-c", 'cd "$0" && exec "$@"', str(tmp_path), *command]) as [program]:
        ended = end(program)
    assert_ended_well(ended)
    [folder] = (tmp_path / "runs").iterdir()
    assert ended.out.count(f"rehearsed; training conv_lstm_autoencoder into runs/{folder.name}") == 1
    assert released(folder)


# --- in this process


@given(clips=st.integers(1, 60), count=st.integers(1, 70))
def test_a_batch_is_shared_evenly_or_the_nearest_sizes_are_named(clips: int, count: int) -> None:
    shared = Processes(devices=count)
    if clips % count == 0:
        assert shared.share(clips) * count == clips
        return
    with pytest.raises(ConfigError) as error:
        shared.share(clips)
    sizes = [int(word) for word in error.value.expected.split() if word.isdecimal()]
    assert [clips < size for size in sizes] == [False, True][-len(sizes) :]
    assert all(size % count == 0 and abs(size - clips) < count for size in sizes)


@pytest.mark.parametrize(
    ("given_words", "environment", "expected"),
    [
        ((None, None), {}, (1, 1)),
        (("2", None), {}, (2, 1)),
        (("auto", None), {}, (1, 1)),
        ((None, None), slurm(0), (2, 1)),
        (("2", 1), slurm(1), (2, 1)),
        ((None, None), slurm(0) | {"SLURM_NTASKS": "8", "SLURM_NNODES": "4"}, (2, 4)),
        (
            (None, None),
            {"TORCHELASTIC_RUN_ID": "1", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4", "RANK": "5", "LOCAL_RANK": "1"},
            (4, 2),
        ),
        (("2", 3), {"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500", "NODE_RANK": "1"}, (2, 3)),
    ],
)
def test_how_many_there_are(
    given_words: tuple[Any, Any],
    environment: dict[str, str],
    expected: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = Processes.of(*given_words, timeout=60, device="cpu")
    assert (found.devices, found.nodes, found.timeout) == (*expected, 60)


@pytest.mark.parametrize(
    ("devices", "nodes", "timeout", "environment", "given_text"),
    [
        ("two", None, 60, {}, "devices='two'"),
        ("0", None, 60, {}, "devices=0"),
        ("2", None, float("nan"), {}, "nan seconds"),
        (None, 2, 60, {}, "MASTER_ADDR, MASTER_PORT, NODE_RANK"),
        (None, 2, 60, {"MASTER_ADDR": "10.0.0.1", "NODE_RANK": "0"}, "without MASTER_PORT in"),
        ("3", None, 60, slurm(0), "devices=3 and nodes=1"),
        (None, None, 60, {"NODE_RANK": "1"}, "NODE_RANK=1"),  # it would write nothing and say nothing
        ("2", None, 60, {"RANK": "3"}, "RANK=3"),
        (None, 2, 60, {"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500", "NODE_RANK": "2"}, "NODE_RANK=2"),
        (None, 2, 60, {"MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "abc", "NODE_RANK": "0"}, "MASTER_PORT=abc"),
        (None, None, 60, {"SLURM_NTASKS": "2"}, "--ntasks=2"),
    ],
)
def test_numbers_that_cannot_be(
    devices: str | None,
    nodes: int | None,
    timeout: float,
    environment: dict[str, str],
    given_text: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as error:
        Processes.of(devices, nodes, timeout, "cpu")
    assert given_text in error.value.given


@pytest.mark.parametrize(
    ("environment", "main", "first_here"),
    [
        ({}, True, True),
        ({"NODE_RANK": "0", "LOCAL_RANK": "0"}, True, True),
        ({"NODE_RANK": "1"}, False, True),
        ({"NODE_RANK": "1", "LOCAL_RANK": "1"}, False, False),
    ],
)
def test_who_speaks(environment: dict[str, str], main: bool, first_here: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert (processes.is_main(), processes.is_first_here()) == (main, first_here)


def test_an_error_of_one_process_is_everyones(monkeypatch: pytest.MonkeyPatch) -> None:
    there = WeightsError("no weights", "some", "get them")
    monkeypatch.setattr(processes, "gather", lambda trainer, told: [told, (there, "elsewhere")])
    trainer: Any = SimpleNamespace()
    with pytest.raises(WeightsError, match="process 1 on elsewhere: no weights: expected some; get them"):
        everywhere(trainer, lambda: 1)
    here = ConfigError("a", "b", "c")

    def fail() -> None:
        raise here

    with pytest.raises(ConfigError) as error:
        everywhere(trainer, fail)
    assert error.value is here


def test_only_what_a_lost_process_causes_is_taken_for_it(tmp_path: Path) -> None:
    two = Processes(devices=2)
    with pytest.raises(ProcessError, match="start again"), none_lost(two, tmp_path):
        raise torch.distributed.DistStoreError("timed out")
    with pytest.raises(RuntimeError, match="shapes"), none_lost(two, tmp_path):
        raise RuntimeError("shapes")
    with pytest.raises(RuntimeError, match="gloo"), none_lost(Processes(), tmp_path):
        raise RuntimeError("gloo")
