"""Progress, logged speed, averaged weights, steps that are passed over, and stopping when asked."""

import math
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, WeightAveraging
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

from frame_forecast.errors import warn_on_the_way
from frame_forecast.training.checkpoints import validation_is_due
from frame_forecast.training.module import TrainingModule


class WarmedUpAverage(WeightAveraging):
    """Exponential moving average of the weights, for validation and release.

    The first updates decay faster, ``(1 + n) / (10 + n)``, so that a short run is not held
    back by its initial weights.

    Args:
        decay: of every later update.
    """

    def __init__(self, decay: float) -> None:
        def average(averaged: Tensor, current: Tensor, updates: Tensor | int) -> Tensor:
            if not averaged.is_floating_point():  # a counter or an index among the buffers
                return current
            n = int(updates)
            return averaged.lerp(current, 1.0 - min(decay, (1 + n) / (10 + n)))

        super().__init__(avg_fn=average)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # A run resumed after its last step has no training to end, so on_train_end was not called.
        self.on_train_end(trainer, pl_module)


class Speed(Callback):
    """Logs clips a second and seconds since the start of the run.

    Attributes:
        elapsed: those seconds, the time before a resume included.
    """

    def __init__(self) -> None:
        self.elapsed = 0.0
        self._last = 0.0

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._last = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        seconds = self._tick()
        clips = len(batch.frames) * trainer.world_size
        pl_module.log_dict({"train/clips_per_second": clips / seconds, "train/seconds": self.elapsed})

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._tick()
        pl_module.log("validation/seconds", self.elapsed)

    def _tick(self) -> float:
        now = time.monotonic()
        seconds, self._last = now - self._last, now
        self.elapsed += seconds
        return seconds

    def state_dict(self) -> dict[str, Any]:
        return {"elapsed": self.elapsed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.elapsed = state_dict["elapsed"]


class SkipBrokenSteps(Callback):
    """Passes over steps whose loss or gradient is not finite, and ends training after several in a row.

    Such a step counts as one, with its clips, but leaves weights and moments as they are.

    Attributes:
        skipped: how many in all, the time before a resume included.
        in_a_row: how many at the moment.
    """

    MOST_IN_A_ROW = 5

    def __init__(self) -> None:
        self.skipped = 0
        self.in_a_row = 0
        self._loss = torch.zeros(())

    @property
    def gave_up(self) -> bool:
        """Whether it ended training."""
        return self.in_a_row >= self.MOST_IN_A_ROW

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        self._loss = loss.detach()

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        gradients = [parameter.grad for parameter in pl_module.parameters() if parameter.grad is not None]
        finite = bool((self._loss + get_total_norm(gradients)).isfinite())
        if trainer.strategy.reduce_boolean_decision(finite):
            self.in_a_row = 0
            return
        optimizer.zero_grad()  # to None, and the optimiser passes over parameters without a gradient
        if self.skipped == 0:
            warn_on_the_way(
                f"step {trainer.global_step}: a loss or gradient that is not finite",
                f"the step is skipped, as others like it will be; {self.MOST_IN_A_ROW} in a row end training",
                "train/skipped_steps in metrics.csv counts them",
            )
        self.skipped += 1
        self.in_a_row += 1

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        pl_module.log("train/skipped_steps", float(self.skipped))
        trainer.should_stop = trainer.should_stop or self.gave_up

    def state_dict(self) -> dict[str, Any]:
        return {"skipped": self.skipped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.skipped = state_dict["skipped"]


class BudgetBar(Callback):
    """A bar over the budget: loss, clips a second, time left.

    Args:
        console: where it is drawn; one that is no terminal gets a line for each tenth instead.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tenths = 0
        self._progress = Progress(
            TextColumn("training"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[status]}"),
            console=console,
        )
        self._loss: float | None = None
        self._started = 0.0
        self._share_at_start = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, TrainingModule)
        self._started = time.monotonic()
        self._share_at_start = pl_module.share_here()
        self._task = self._progress.add_task("", total=1.0, status="")
        with suppress(OSError):  # the console may be a file on a disk that is full, which is to end no training
            self._progress.start()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, TrainingModule)
        share = pl_module.share_here()
        loss = float(outputs["loss"])
        if math.isfinite(loss):
            self._loss = loss if self._loss is None else 0.9 * self._loss + 0.1 * loss
        done = share - self._share_at_start
        left = (time.monotonic() - self._started) * (1 - share) / done if done > 0 else 0.0
        speed = trainer.callback_metrics.get("train/clips_per_second")
        smooth = "?" if self._loss is None else f"{self._loss:.4f}"
        status = f"loss {smooth}  {float(speed or 0):5.1f} clips/s  {int(left // 60)}:{int(left % 60):02d} left"
        self._progress.update(self._task, completed=share, status=status)
        if not self._console.is_terminal and int(10 * share) > self._tenths:
            self._tenths = int(10 * share)
            with suppress(OSError):
                self._console.print(f"training {share:4.0%}  {status}")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._stop()

    def _stop(self) -> None:
        with suppress(OSError):
            self._progress.stop()


class TimedValidations(Callback):
    """Validates so often in a budget of time, evenly. Lightning would ask each process's own clock, and one could
    train on while another validates.

    Args:
        validations: how many.
    """

    NEVER = 10**15
    """The interval, in steps, until one is due."""

    def __init__(self, validations: int) -> None:
        self._validations = validations
        self._done = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._done = self._due(pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        due = self._due(pl_module)
        trainer.val_check_batch = 1 if due > self._done else self.NEVER
        self._done = due

    def _due(self, pl_module: pl.LightningModule) -> int:
        """How many by now."""
        assert isinstance(pl_module, TrainingModule)
        return int(pl_module.budget_share() * self._validations)


class StopWhenAsked(Callback):
    """On Ctrl-C, SIGTERM or the terminal's end, finishes the step in progress, writes a checkpoint and stops; if any
    process is asked, all do.

    The checkpoint is the one that an undisturbed run passes through, so a resumed run ends the same.

    Args:
        checkpoint: the file to write.

    Attributes:
        stopped: whether training ended so, on every process alike.
    """

    def __init__(self, checkpoint: Path) -> None:
        self.stopped = False
        self._asked = False
        self._checkpoint = checkpoint
        self._handlers: dict[signal.Signals, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if threading.current_thread() is threading.main_thread():  # only there may handlers be set
            numbers = [signal.SIGINT, signal.SIGTERM]
            hangup = getattr(signal, "SIGHUP", None)  # Windows has none
            if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:  # as nohup has it
                numbers.append(hangup)
            for number in numbers:
                self._handlers[number] = signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked:  # asked twice: at once
            raise KeyboardInterrupt
        self._asked = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._agree(trainer)
        if self.stopped and not trainer.should_stop:
            trainer.should_stop = True
            if validation_is_due(trainer):
                return
            # Here, not at the end of the fit: by then the averaged weights are the model's.
            trainer.save_checkpoint(self._checkpoint)
            trainer.limit_val_batches = 0  # a stop brings a validation that no undisturbed run has

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._agree(trainer)  # a validation may have come since
        self._restore()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._restore()

    def _agree(self, trainer: pl.Trainer) -> None:
        self.stopped = trainer.strategy.reduce_boolean_decision(self._asked, all=False)

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers.clear()
