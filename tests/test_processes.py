"""Work of several real processes: what they tell each other, and what comes of one that fails, dies or hangs."""

import logging
import math
import multiprocessing
import os
import signal
import sys
import time
from datetime import timedelta
from functools import partial

import pytest
import torch

from frame_forecast import processes
from frame_forecast.errors import ConfigError, DataError, ProcessError
from frame_forecast.processes import Processes, launch


def tell(processes: Processes, device: str) -> dict[str, object]:
    """What each one passes comes to all of them, whatever it is."""
    own = {"rank": processes.rank, "sum": torch.tensor([math.pi], dtype=torch.float64), "pixels": bytes(processes.rank)}
    return {"device": device, "all": processes.from_all(own), "long": processes.from_all("x" * 1_000_000)}


def fail(processes: Processes, device: str, rank: int, error: Exception) -> str:
    """One of them fails; after that, none goes on."""
    with processes.in_step():
        if processes.rank == rank:
            raise error
    return "went on"


def end(processes: Processes, device: str, rank: int, number: int) -> None:
    """One of them ends without a word while the others wait for it."""
    with processes.in_step():
        if processes.rank == rank:
            os.kill(os.getpid(), number)


def hang(processes: Processes, device: str) -> None:
    """The last one does not answer."""
    with processes.in_step():
        if processes.rank == processes.count - 1:
            time.sleep(3600)


@pytest.fixture(autouse=True)
def _nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning sets the port that it found."""
    monkeypatch.setenv("MASTER_PORT", "0")
    monkeypatch.delenv("MASTER_PORT")


def test_everyone_has_what_everyone_passed(capfd: pytest.CaptureFixture[str]) -> None:
    given = launch(tell, "cpu", 2)
    assert given["device"] == "cpu"
    assert given["long"] == ["x" * 1_000_000] * 2  # more than a pipe holds
    for rank, one in enumerate(given["all"]):
        assert (one["rank"], len(one["pixels"]), one["sum"].item()) == (rank, rank, math.pi)
    assert capfd.readouterr() == ("", "")


def test_one_process_works_here() -> None:
    assert launch(lambda among, device: (os.getpid(), among.rank, among.count, device), "cpu", 1) == (
        os.getpid(),
        0,
        1,
        "cpu",
    )
    with pytest.raises(DataError, match="of no kind"):
        launch(partial(fail, rank=0, error=DataError("data of no kind", "some", "look")), "cpu", 1)


def test_the_error_of_one_is_the_error_of_all() -> None:
    error = DataError("data of no kind", "some", "look")
    with pytest.raises(DataError, match=str(error)) as raised:
        launch(partial(fail, rank=1, error=error), "cpu", 2)
    assert "in fail" in raised.value.__notes__[0], "it does not say where it was raised"
    assert not multiprocessing.active_children()


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize("rank", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_process_that_is_killed_ends_the_others(rank: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    with pytest.raises(ProcessError, match=rf"process {rank + 1} of 2 .*SIGKILL"):
        launch(partial(end, rank=rank, number=signal.SIGKILL), "cpu", 2)
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_a_process_that_hangs_ends_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "TIMEOUT", timedelta(seconds=10))
    with pytest.raises(ProcessError, match="process 1 of 2"):
        launch(hang, "cpu", 2)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(("device", "count"), [("cpu", 0), ("cpu", -1), ("mps", 2), ("cuda", 1000), ("cpu", 10**9)])
def test_numbers_of_processes_that_cannot_be(device: str, count: int) -> None:
    with pytest.raises(ConfigError, match=str(count)):
        launch(tell, device, count)


def test_processes_of_torchrun_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    with pytest.raises(ConfigError, match="without torchrun"):
        launch(tell, "cpu", 1)
