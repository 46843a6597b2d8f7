"""``frame-forecast evaluate --devices``: the command line as it is started, in processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from frame_forecast import weights
from frame_forecast.data import digits
from frame_forecast.data.published import PublishedTestSet
from frame_forecast.models import entry_of

CLIPS = 103  # in three batches, the last of them small: two processes get two and one of them
MODULE = [sys.executable, "-m", "frame_forecast"]
SCRIPT = Path(sys.executable).with_name("frame-forecast")
TINY = ["--context", "3", "--horizon", "1"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with test clips as if published, and weights."""
    clips = np.random.default_rng(0).integers(0, 256, (PublishedTestSet.FRAMES, CLIPS, 64, 64), dtype=np.uint8)
    np.save(tmp_path / "mnist_test_seq.npy", clips)
    torch.manual_seed(0)
    entry = entry_of("conv_lstm_autoencoder")
    model = entry.model(entry.tiny)
    data = {"name": "moving_mnist", "size": 64}
    weights.save(
        tmp_path / "weights", model, entry.name, context=3, horizon=1, channels=1, height=64, width=64, data=data
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # sums of floats in one order
    monkeypatch.setenv(digits.ROOT_VARIABLE, str(tmp_path))
    return tmp_path


def command(*arguments: object, entry: list[str] = MODULE) -> subprocess.CompletedProcess[str]:
    words = [*entry, "evaluate", *map(str, arguments), "--device", "cpu"]
    return subprocess.run(words, capture_output=True, text=True, check=False)


def results(folder: Path, *arguments: object, devices: int, entry: list[str] = MODULE) -> tuple[dict[str, Any], str]:
    """What the command writes and what it prints, but for the file's name."""
    file = folder / f"{devices}.json"
    done = command(*arguments, "--clips", CLIPS, "--devices", devices, "--json", file, entry=entry)
    assert (done.returncode, done.stderr) == (0, "")
    record = json.loads(file.read_text())
    device = "cpu" if devices == 1 else f"{devices} x cpu"
    assert record["machine"].pop("device") == device
    del record["seconds"]
    return record, done.stdout.replace(file.name, "")


def assert_same(folder: Path, *arguments: object, devices: int, entry: list[str] = MODULE) -> None:
    """The very same numbers, and nothing printed twice."""
    one, printed = results(folder, *arguments, devices=1)
    several, printed_by_several = results(folder, *arguments, devices=devices, entry=entry)
    assert several == one
    assert printed_by_several == printed


def test_two_processes_score_as_one_does(folder: Path) -> None:
    if not SCRIPT.exists():
        pytest.skip("needs the command: pip install frame-forecast")
    assert_same(folder, "weights", *TINY, devices=2, entry=[str(SCRIPT)])


@pytest.mark.slow
@pytest.mark.parametrize("devices", [2, 4])  # 4: more than there are batches
@pytest.mark.parametrize(
    "arguments",
    [
        ("weights", *TINY),
        ("weights", "--task", "reconstruct", "--context", "3"),
        ("linear", "--task", "recreate", "--pattern", "gap:1-2", "--context", "5", "--seed", "3", "--ssim-openstl"),
        ("linear", "--task", "recreate", "--pattern", "pixels:0.3", "--context", "5"),
        ("linear", "--task", "reconstruct", "--context", "5"),
        ("optical_flow", "--context", "5", "--horizon", "2"),
        ("black", *TINY, "--generated"),
    ],
)
def test_several_processes_score_as_one_does(folder: Path, devices: int, arguments: tuple[str, ...]) -> None:
    assert_same(folder, *arguments, devices=devices)


def test_an_error_is_one_line_and_no_file(folder: Path) -> None:
    done = command("black", "--clips", CLIPS + 1, "--devices", 2, "--json", "new/results.json")
    assert done.returncode == 2
    assert done.stderr.startswith(f"frame-forecast: clips={CLIPS + 1}: expected at most {CLIPS}")
    assert done.stderr.count("\n") == 1
    assert not (folder / "new").exists()


def session(number: int) -> list[int]:
    """The processes of a session, zombies not."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, own = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:  # it has ended meanwhile
            continue
        if int(own) == number and state != "Z":
            found.append(int(stat.parent.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux, which lists processes in files")
@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (signal.SIGINT, 130, "frame-forecast: interrupted\n"),
        (signal.SIGTERM, -signal.SIGTERM, ""),
        (signal.SIGKILL, -signal.SIGKILL, ""),
    ],
)
def test_nothing_goes_on_when_the_command_is_stopped(folder: Path, number: int, code: int, said: str) -> None:
    words = [*MODULE, "evaluate", "linear", "--clips", str(CLIPS), "--devices", "2", "--json", "results.json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.read(1)  # the bar: all have begun
        assert len(session(running.pid)) >= 3
        os.kill(running.pid, number)
        assert running.wait() == code
        while session(running.pid):  # until the test's own timeout
            time.sleep(0.1)
        assert said in running.stderr.read().decode()
    assert not (folder / "results.json").exists()
