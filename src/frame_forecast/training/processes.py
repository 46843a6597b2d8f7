"""The processes of a run: how many there are, which of them speaks, what they agree on, and when one is lost.

Lightning starts them, unless torchrun or SLURM has, and averages their gradients. All compute the same
run: each takes its share of every batch by clip number, and the first writes for all.
"""

import os
import socket
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from torch import distributed

from frame_forecast.devices import choose_device
from frame_forecast.errors import ConfigError, FrameForecastError, FrameForecastWarning, ProcessError

TIMEOUT = 300.0
"""Seconds that a process waits for the others; the slowest thing that one does alone, such as a rehearsal or writing
a checkpoint, must take less."""
_MOST_PROCESSES = 10**6
_MOST_SECONDS = 7 * 86_400
_FIRST: Any = rank_zero_only  # its attribute ``rank`` is this process's, from the environment, then from the trainer
_MEETING = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")  # what Lightning reads where nobody else starts processes

_RANKS = ("NODE_RANK", "RANK", "LOCAL_RANK")

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """How many processes compute a run together; its result does not depend on it.

    Args:
        devices: processes on each machine; on GPUs each has its own.
        nodes: machines.
        timeout: seconds that a process waits for the others before it gives the run up.
    """

    devices: int = 1
    nodes: int = 1
    timeout: float = TIMEOUT

    def __post_init__(self) -> None:
        for name in ("devices", "nodes"):
            if not 1 <= getattr(self, name) <= _MOST_PROCESSES:
                raise ConfigError(f"{name}={getattr(self, name)}", f"1 to {_MOST_PROCESSES}", f"give another {name}")
        if not 1 <= self.timeout <= _MOST_SECONDS:  # NaN is not
            raise ConfigError(f"a timeout of {self.timeout} seconds", f"1 to {_MOST_SECONDS}", "give another timeout")

    @property
    def count(self) -> int:
        """On all machines together."""
        return self.devices * self.nodes

    def share(self, batch_size: int) -> int:
        """The clips of a step that each process takes.

        Raises:
            ConfigError: not all would take as many.
        """
        if batch_size % self.count:
            below = batch_size - batch_size % self.count
            fitting = " or ".join(str(size) for size in (below, below + self.count) if size)
            raise ConfigError(
                f"batch_size={batch_size} for {self.count} processes",
                f"as many clips for each, such as {fitting}",
                "set another batch_size, or give another number of processes",
            )
        return batch_size // self.count

    @classmethod
    def of(cls, devices: str | None, nodes: int | None, timeout: float, device: str) -> "Processes":
        """Those of a command.

        Args:
            devices: a number, ``auto`` for all GPUs of the machine, or None for 1, or as many as there are where
                torchrun or SLURM started them.
            nodes: None for 1, or as above.
            timeout: as for the class.
            device: as for `choose_device`.

        Raises:
            ConfigError: no number; more than there are GPUs; others than those that were started; several machines
                that do not know how to meet.
        """
        started = _started()
        device = choose_device(device)
        gpus = torch.cuda.device_count() if device == "cuda" else 1
        if devices is not None and devices != "auto" and not devices.isdecimal():
            raise ConfigError(f"devices={devices!r}", "a number or auto", "give for example 2")
        here, machines = started or (1, 1)
        if devices is not None:
            here = gpus if devices == "auto" else int(devices)
        chosen = cls(here, machines if nodes is None else nodes, timeout)
        if started and (chosen.devices, chosen.nodes) != started:
            raise ConfigError(
                f"devices={chosen.devices} and nodes={chosen.nodes}",
                f"{started[0]} and {started[1]}, as torchrun or SLURM started them",
                "leave --devices and --nodes out, or start other numbers",
            )
        if chosen.devices > gpus and device != "cpu":
            raise ConfigError(f"devices={chosen.devices}", f"{gpus} at most, the GPUs here", "give fewer, or auto")
        if not started and "WORLD_SIZE" not in os.environ:  # which those have that Lightning has started
            chosen._check_environment()
        return chosen

    def _check_environment(self) -> None:
        """Raises ConfigError unless the environment says what Lightning will read there, and nothing else."""
        if self.nodes == 1:
            left = {name: os.environ[name] for name in _RANKS if os.environ.get(name, "0") != "0"}
            if left:
                raise ConfigError(
                    f"{', '.join(f'{name}={value}' for name, value in left.items())} in the environment of one machine",
                    "nothing there, or 0",
                    "unset it, or say with --nodes how many machines there are",
                )
            for name in (*_MEETING, *_RANKS):  # of an earlier run on several: the processes here meet by themselves
                os.environ.pop(name, None)
            return
        absent = [name for name in _MEETING if name not in os.environ]
        if absent:
            raise ConfigError(
                f"nodes={self.nodes} without {', '.join(absent)} in the environment",
                "the address and a free port of the first machine, and the number of this one, from 0",
                "set them, or start the processes with torchrun or SLURM",
            )
        for name, least, most in (("MASTER_PORT", 1, 65_535), ("NODE_RANK", 0, self.nodes - 1)):
            given = os.environ[name]
            if not given.isdecimal() or not least <= int(given) <= most:
                raise ConfigError(f"{name}={given} in the environment", f"{least} to {most}", f"set another {name}")

    def strategy(self, *, unused: bool) -> DDPStrategy | str:
        """Lightning's.

        Args:
            unused: whether a parameter may get no gradient in a step, for which the others would wait.
        """
        if self.count == 1:
            return "auto"
        return DDPStrategy(timeout=timedelta(seconds=self.timeout), find_unused_parameters=unused)

    def check_one_machine(self) -> None:
        """Raises ConfigError where processes could not tell each other which new folder they chose."""
        if self.nodes > 1 or _started():
            raise ConfigError(
                "a run on several processes without --out",
                "a new folder that all of them can reach",
                "give the same --out to all",
            )


ONE = Processes()


def _started() -> tuple[int, int] | None:
    """Processes on each machine, and machines, as torchrun or SLURM started them; None if neither did."""
    if TorchElasticEnvironment.detect():
        local = int(os.environ["LOCAL_WORLD_SIZE"])
        return local, int(os.environ["WORLD_SIZE"]) // local
    if not SLURMEnvironment.detect():
        return None
    tasks = int(os.environ["SLURM_NTASKS"])
    if tasks > 1 and "SLURM_NTASKS_PER_NODE" not in os.environ:  # Lightning demands it
        raise ConfigError(f"SLURM's --ntasks={tasks}", "--ntasks-per-node", "ask SLURM for tasks of each node")
    nodes = int(os.environ.get("SLURM_NNODES", 1))
    return tasks // nodes, nodes


def environment() -> list[SLURMEnvironment]:
    """What Lightning must be told besides: under SLURM, to leave requeueing, and so a checkpoint of its own in the
    working directory, to the job's script."""
    slurm = SLURMEnvironment.detect() and not TorchElasticEnvironment.detect()
    return [SLURMEnvironment(auto_requeue=False)] if slurm else []


def is_main() -> bool:
    """Whether this process writes and speaks for all."""
    # Until there is a trainer, Lightning takes the first process of every machine for the first of all.
    return _FIRST.rank == 0 and os.environ.get("NODE_RANK", "0") == "0"


def is_first_here() -> bool:
    """Whether this process is the first on its machine."""
    return int(os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", 0))) == 0


@contextmanager
def alone() -> Iterator[None]:
    """Inside, what this process does it does for itself, as the first of one: its loggers write."""
    rank, _FIRST.rank = _FIRST.rank, 0
    try:
        yield
    finally:
        _FIRST.rank = rank


@contextmanager
def one_voice() -> Iterator[None]:
    """Inside, what all processes have to say is said by the first alone; afterwards they are no longer in touch.

    An error that all meet is raised by it; one that is met before they are in touch, or because they no longer are,
    by the first of each machine. The others end without a word.
    """
    try:
        with nullcontext() if is_main() else _silence():
            yield
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()  # whose threads Python's end would cut off, with a signal


@contextmanager
def _silence() -> Iterator[None]:
    """Inside, what the first process says is not said here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FrameForecastWarning)
        try:
            yield
        except (KeyboardInterrupt, SystemExit) as end:
            raise SystemExit(1) from end
        except FrameForecastError as error:
            shared = distributed.is_initialized() and not isinstance(error, ProcessError)
            if shared or not is_first_here():
                raise SystemExit(2) from error
            raise


def start(trainer: pl.Trainer) -> None:
    """Returns when all processes are there and in touch."""
    launcher = trainer.strategy.launcher
    if isinstance(launcher, _SubprocessScriptLauncher):
        launcher.launch(trainer.strategy.setup_environment)
        # Lightning's observer kills this process without a word soon after another has failed, maybe while this one
        # says why. It looks at this very list.
        observed, launcher.procs = launcher.procs, [*launcher.procs]
        observed.clear()


def gather(trainer: pl.Trainer, value: T) -> list[T]:
    """What each process gives, the first one's first."""
    if trainer.world_size == 1:
        return [value]
    values: list[T | None] = [None] * trainer.world_size
    distributed.all_gather_object(values, value)
    return values  # pyright: ignore[reportReturnType]


def everywhere(trainer: pl.Trainer, act: Callable[[], T]) -> T:
    """What ``act`` gives here, once it is done on every process.

    Raises:
        FrameForecastError: what ``act`` raised on any of them.
    """
    result: T | None = None
    raised: FrameForecastError | None = None
    try:
        result = act()
    except FrameForecastError as error:
        raised = error
    told = gather(trainer, None if raised is None else (raised, socket.gethostname()))
    for rank, failure in enumerate(told):
        if failure is not None:
            error, host = failure
            if rank:
                error = type(error)(f"process {rank} on {host}: {error.given}", error.expected, error.next_step)
            raise error from raised
    return result  # pyright: ignore[reportReturnType]


@contextmanager
def none_lost(processes: Processes, folder: Path) -> Iterator[None]:
    """Turns what torch raises where a process has ended or is out of reach into a ProcessError."""
    try:
        yield
    except RuntimeError as error:  # gloo's have no type of their own
        if processes.count == 1 or not (isinstance(error, distributed.DistError) or "gloo" in str(error)):
            raise
        begun = (folder / "run.json").exists()
        raise ProcessError(
            f"another process of {folder} has ended, or did not answer for {processes.timeout:g} seconds",
            f"all {processes.count} until the end",
            "see what it said last, end all that are left, and "
            + (f"go on with `frame-forecast train --resume {folder}`" if begun else "start again"),
        ) from error
