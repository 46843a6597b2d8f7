"""Lightning's trainer as every run of this project uses it."""

import logging
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, Timer
from rich.console import Console

from frame_forecast.devices import choose_precision
from frame_forecast.training.callbacks import (
    BudgetBar,
    SkipBrokenSteps,
    Speed,
    StopWhenAsked,
    TimedValidations,
    WarmedUpAverage,
)
from frame_forecast.training.checkpoints import BEST, LAST, MovableCheckpoint, SafeCheckpoints, TimedCheckpoint
from frame_forecast.training.config import Budget, TrainConfig
from frame_forecast.training.logs import BriefTensorBoardLogger, PatientCSVLogger
from frame_forecast.training.processes import ONE, Processes, environment

CHECKPOINT_EVERY = timedelta(minutes=10)
"""At most so much training is lost by a crash."""


def build_trainer(
    config: TrainConfig,
    budget: Budget,
    folder: Path,
    device: str,
    console: Console | None,
    stop: StopWhenAsked,
    processes: Processes = ONE,
    *,
    unused: bool = False,
) -> pl.Trainer:
    """A trainer with averaged weights, checkpoints, logs, a bar, and a budget.

    Args:
        config, budget: of the run.
        folder: for ``checkpoints/`` and ``logs/``.
        device: ``cpu``, ``cuda`` or ``mps``.
        console: where progress is shown; None = nowhere.
        stop: what ends it early.
        processes: how many compute together.
        unused: as for `Processes.strategy`.
    """
    checkpoints = folder / "checkpoints"
    earlier = log_folders(folder)
    attempt = _version(earlier[-1]) + 1 if earlier else 0
    often: dict[str, Any] = {
        "dirpath": checkpoints,
        "enable_version_counter": False,
        "save_on_train_epoch_end": False,
    }
    callbacks: list[Callback] = [
        WarmedUpAverage(config.ema_decay),
        Speed(),
        SkipBrokenSteps(),
        stop,
        MovableCheckpoint(filename=BEST.stem, monitor="validation/loss", **often),
        MovableCheckpoint(filename=LAST.stem, **often),
        TimedCheckpoint(CHECKPOINT_EVERY, filename=LAST.stem, **often),
    ]
    if console is not None:
        callbacks.append(BudgetBar(console))
    if budget.seconds is not None:
        callbacks.append(Timer(timedelta(seconds=budget.seconds), verbose=False))
        callbacks.insert(callbacks.index(stop), TimedValidations(config.validations))  # a stop asks what is due
        interval = TimedValidations.NEVER
    else:
        assert budget.steps is not None
        interval = max(1, budget.steps // config.validations)
    return pl.Trainer(
        accelerator="gpu" if device == "cuda" else device,
        devices=processes.devices,
        num_nodes=processes.nodes,
        strategy=processes.strategy(unused=unused),
        use_distributed_sampler=False,  # batches are shared out by clip number
        precision=_precision(config.precision, device),
        max_steps=budget.steps if budget.steps is not None else -1,
        max_epochs=-1,
        check_val_every_n_epoch=None,
        val_check_interval=interval,
        num_sanity_val_steps=0,
        gradient_clip_val=config.gradient_clip,
        log_every_n_steps=1 if (budget.steps or 0) <= 10_000 and (budget.seconds or 0) <= 3600 else 50,
        logger=[kind(folder, name="logs", version=attempt) for kind in (PatientCSVLogger, BriefTensorBoardLogger)],
        callbacks=callbacks,
        plugins=[SafeCheckpoints(), *environment()],
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def log_folders(folder: Path) -> list[Path]:
    """The logs of a run and of each time it was resumed, the oldest first."""
    found = [path for path in (folder / "logs").glob("version_*") if path.name.removeprefix("version_").isdecimal()]
    return sorted(found, key=_version)


@contextmanager
def quiet() -> Iterator[None]:
    """Keeps Lightning's advice away from users, who have no use for it, and a traceback of the thread that writes
    for TensorBoard, whose error its logger reports."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels, show = [logger.level for logger in loggers], threading.excepthook

    def show_others(given: threading.ExceptHookArgs) -> None:
        if type(given.thread).__name__ != "_AsyncWriterThread":
            show(given)

    for logger in loggers:
        logger.setLevel(logging.ERROR)
    threading.excepthook = show_others
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            # Of 1x1 kernels, whose gradients lie in memory the other way round; to average them costs one copy.
            warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        threading.excepthook = show


@contextmanager
def interruptible() -> Iterator[None]:
    """Keeps Ctrl-C a KeyboardInterrupt, where Lightning exits and leaves the signal ignored."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        signal.signal(signal.SIGINT, handler)
        raise KeyboardInterrupt from error


def _version(log: Path) -> int:
    return int(log.name.removeprefix("version_"))


def _precision(wanted: str, device: str) -> Any:
    """Lightning's name for the precision."""
    return "bf16-mixed" if choose_precision(wanted, device) == torch.bfloat16 else "32-true"
