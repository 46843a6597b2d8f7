"""One piece of work shared by several processes of this machine, which Lightning Fabric starts and connects."""

import logging
import multiprocessing
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from multiprocessing.connection import Client, Listener
from threading import Thread
from typing import Any, TypeVar

import torch
from lightning.fabric import Fabric
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.strategies.ddp import DDPStrategy
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from frame_forecast.devices import check_memory
from frame_forecast.errors import ConfigError, ProcessError

TIMEOUT = timedelta(minutes=30)
"""How long processes wait for one that has not ended but does not answer."""

_BYTES_A_PROCESS = 250 * 2**20  # that are its own before it works, at the least (measured: 257 MiB)
_MEETING = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "GROUP_RANK", "LOCAL_RANK", "RANK", "WORLD_SIZE")
_Value = TypeVar("_Value")


class Processes:
    """Those that share the work, seen from one of them.

    Args:
        fabric: what connects them; None = this process is the only one.

    Attributes:
        rank: of this process, from 0; the first one speaks for all.
        count: how many there are.
    """

    def __init__(self, fabric: Fabric | None = None) -> None:
        self._fabric = fabric
        self.rank, self.count = (0, 1) if fabric is None else (fabric.global_rank, fabric.world_size)

    def __repr__(self) -> str:
        return f"Processes(rank={self.rank}, count={self.count})"

    def from_all(self, value: _Value) -> list[_Value]:
        """What every process passes here, by rank; each has to, and waits for the others."""
        if self._fabric is None:
            return [value]
        return [self._fabric.broadcast(value, src=rank) for rank in range(self.count)]

    @contextmanager
    def in_step(self) -> Iterator[None]:
        """After the block, all processes are done with it: an error in one is one in all, so that none waits for it."""
        if self.count == 1:
            yield
            return
        error = None
        try:
            yield
        except Exception as raised:
            raised.add_note(traceback.format_exc())  # which pickle leaves out
            error = raised
        for found in self.from_all(error):
            if found is not None:
                raise _KnownToAll(found)


ALONE = Processes()


class _KnownToAll(Exception):
    """Holds an error that every process has been told of."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class _Strategy(DDPStrategy):
    """Lightning's, without a word about ports and ranks."""

    def setup_environment(self) -> None:
        for name in ("lightning.fabric", "lightning.pytorch"):  # the latter too, once anything has imported it
            logging.getLogger(name).setLevel(logging.ERROR)
        super().setup_environment()


def launch(work: Callable[[Processes, str], _Value], device: str, count: int) -> _Value:
    """Calls ``work(processes, device)`` in every process; returns what it gives in the first one.

    Args:
        work: may be pickled, as may what it gives and raises. Whatever can fail in it should fail
            `Processes.in_step`. With a count of 1 it is called right here.
        device: as `choose_device` gives it. Each process is given one of its own, such as ``cuda:1``; on the CPU,
            they share the cores.
        count: of processes.

    Raises:
        ConfigError: more processes than devices, or than fit into memory; or torchrun has started several already.
        ProcessError: a process was killed, or did not answer for `TIMEOUT`.
    """
    if torch.distributed.is_torchelastic_launched():
        raise ConfigError("a command of torchrun", "one that starts its processes itself", "run it without torchrun")
    devices = {"cuda": torch.cuda.device_count(), "mps": 1}.get(device)
    if count < 1 or (devices is not None and count > devices):
        most = "1 or more" if devices is None else f"1 to {devices}, as many as there are"
        raise ConfigError(f"devices={count} on {device}", most, "set another number of devices")
    if count == 1:
        return work(ALONE, device)
    for name in _MEETING:  # of a training run on several machines: these processes meet here
        os.environ.pop(name, None)
    check_memory(count * _BYTES_A_PROCESS, f"{count} processes", "set fewer devices")
    fabric = Fabric(
        accelerator=device,
        devices=count,
        strategy=_Strategy(start_method="spawn", timeout=TIMEOUT),
        plugins=[LightningEnvironment()],  # SLURM's would take a task for each process that is started here
    )
    # Not by Fabric's pipe: it is read once all have ended, and what it does not hold would keep them from that.
    key = multiprocessing.current_process().authkey
    with Listener(authkey=key) as listener:
        given: list[Any] = []
        receiver = Thread(target=lambda: given.append(listener.accept().recv()), daemon=True)
        receiver.start()
        try:
            fabric.launch(partial(_run, work=work, address=listener.address, key=bytes(key)))
        except (ProcessExitedException, ProcessRaisedException) as error:
            raise ProcessError(
                f"process {error.error_index + 1} of {count} ({str(error).splitlines()[-1]})",
                "all to end well",
                "see whether memory ran out, or set fewer devices",
            ) from error
        except KeyboardInterrupt:
            for process in multiprocessing.active_children():
                process.terminate()
            raise
        receiver.join()
    (value,) = given
    if isinstance(value, _KnownToAll):
        raise value.error
    return value


def _run(fabric: Fabric, work: Callable[[Processes, str], object], address: Any, key: bytes) -> None:
    """One process's share; the first one sends what it gives, or the error that all have."""
    try:
        value = work(Processes(fabric), str(fabric.device))
    except _KnownToAll as error:
        value = error
    if fabric.global_rank == 0:
        with Client(address, authkey=key) as parent:
            parent.send(value)
    fabric.barrier()
    torch.distributed.destroy_process_group()  # its threads abort a process that ends before they do
