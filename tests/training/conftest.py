"""What tests of whole runs share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from joint import begun, train
from tiny_runs import random_digits

from frame_forecast.data import sources


@pytest.fixture
def small_and_offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs on digits of noise, with sums in one order, so that results may be compared bit by bit."""
    monkeypatch.setattr(sources, "load_digits", random_digits)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def on_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on two processes that nothing happened to."""
    folder = begun(tmp_path_factory.mktemp("on_two") / "run")
    ended = train("--resume", folder, "--devices", 2)
    assert (ended.code, ended.err) == (0, "")
    return folder
