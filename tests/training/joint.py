"""``frame-forecast`` on digits of noise, as a program: Lightning starts a run's other processes by running it again.

What a process does after a step is told by the environment variable `AFTER` in JSON: which ``rank``, after which
``step``, and either the ``signal`` that it gets or the ``file`` that it makes and waits for to be gone.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import torch
from tiny_runs import SETTINGS, random_digits

from frame_forecast import __main__
from frame_forecast.data import sources
from frame_forecast.data.digits import Digits
from frame_forecast.training.optimizer import MuonAdamW
from frame_forecast.training.settings import RunSettings

AFTER = "TEST_AFTER"
OTHER_DIGITS = "TEST_OTHER_DIGITS"
JOINT = replace(SETTINGS, train=replace(SETTINGS.train, batch_size=4, validation_clips=5))
"""Settings whose validation clips cannot be shared out evenly."""
TRAIN = [sys.executable, str(Path(__file__)), "train"]


def begun(folder: Path, settings: RunSettings = JOINT) -> Path:
    """The folder of a run that was stopped before its first step: going on with it takes no rehearsal."""
    folder.mkdir(parents=True)
    settings.save(folder)
    return folder


@dataclass(frozen=True)
class Ended:
    """How a program ended, and what it printed."""

    code: int
    out: str
    err: str


@contextmanager
def running(*commands: list[str], **environment: str) -> Iterator[list[subprocess.Popen[str]]]:
    """These programs, at once; they are gone after the block, however that ends."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "TEST_"))}
    # The last is what the command line sets, before torch is imported, which was for these tests.
    clean |= {"OMP_NUM_THREADS": "1", "COLUMNS": "400", "TORCH_CPP_LOG_LEVEL": "ERROR"} | environment
    programs = [
        subprocess.Popen(command, env=clean, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for command in commands
    ]
    try:
        yield programs
    finally:
        for program in programs:
            program.kill()
            program.communicate()


def end(program: subprocess.Popen[str]) -> Ended:
    """Waits for a program's end, and for that of whatever it started and writes to the same place."""
    out, err = program.communicate(timeout=250)
    return Ended(program.returncode, out, err)


def train(*arguments: object, **environment: str) -> Ended:
    """``frame-forecast train`` with its words, on digits of noise."""
    with running([*TRAIN, *map(str, arguments)], **environment) as [program]:
        return end(program)


def _rank() -> int:
    """With one machine, or one process on each."""
    for name in ("RANK", "SLURM_PROCID"):
        if name in os.environ:
            return int(os.environ[name])
    return int(os.environ.get("NODE_RANK", 0)) + int(os.environ.get("LOCAL_RANK", 0))


def _digits(split: str) -> Digits:
    return random_digits(split, seed=_rank() if OTHER_DIGITS in os.environ else 0)


def _act_after(step: int, do: dict[str, Any]) -> None:
    if step != do["step"]:
        return
    if "signal" in do:
        os.kill(os.getpid(), do["signal"])
        return
    file = Path(do["file"])
    file.touch()
    while file.exists():
        time.sleep(0.05)


def _watch(do: dict[str, Any]) -> None:
    step, done = MuonAdamW.step, count(1)

    def watched(optimizer: MuonAdamW, closure: Callable[[], Any] | None = None) -> Any:
        loss = step(optimizer, closure)
        if _rank() == do["rank"]:
            _act_after(next(done), do)
        return loss

    MuonAdamW.step = watched


if __name__ == "__main__":
    torch.set_num_threads(1)
    sources.load_digits = _digits  # pyright: ignore[reportAttributeAccessIssue]
    if AFTER in os.environ:
        _watch(json.loads(os.environ[AFTER]))
    __main__.main()
