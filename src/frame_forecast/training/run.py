"""One training run, from settings to released weights, in one folder.

::

    RUN/run.json               what was asked for: `train --resume RUN` needs nothing else
    RUN/logs/version_0/        metrics.csv, TensorBoard events; a resumed run adds version_1
    RUN/checkpoints/last.ckpt  everything that training goes on from
    RUN/checkpoints/previous.ckpt  the last one before it, should it be damaged
    RUN/checkpoints/best.ckpt  the same, where validation was best
    RUN/weights/               the averaged weights of the better of best and final
"""

import dataclasses
import hashlib
import math
import socket
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.callbacks import ModelCheckpoint
from rich.console import Console
from torch.utils.data import DataLoader

from frame_forecast import weights
from frame_forecast.clip import Batch
from frame_forecast.data.loaders import FixedBatches, TrainingBatches, to_unit
from frame_forecast.data.masking import ForecastMasking, Masking, MixedMasking, Sampling
from frame_forecast.data.sources import ClipConfig, ClipSource, open_source
from frame_forecast.devices import BYTES_A_PIXEL, check_memory, choose_device
from frame_forecast.errors import ConfigError, DataError, WeightsError
from frame_forecast.files import writing
from frame_forecast.models import Model, find, override
from frame_forecast.training.callbacks import SkipBrokenSteps, Speed, StopWhenAsked
from frame_forecast.training.checkpoints import LAST, prepare_to_resume, read_checkpoint
from frame_forecast.training.module import TrainingModule
from frame_forecast.training.processes import ONE, Processes, everywhere, gather, none_lost, start
from frame_forecast.training.settings import RunClips, RunSettings
from frame_forecast.training.trainer import build_trainer, interruptible, quiet

_MEAN_CLIPS = 64
_BYTES_A_PIXEL_OF_MEAN = 5  # as uint8 and as float32
_COPIES_OF_WEIGHTS = 4  # with their gradients, their average and a moment at least
_OUTPUT_MARGIN = 1e-3  # the mean pixel stays this far from 0 and 1, whose logits are infinite


def train(
    settings: RunSettings,
    folder: Path,
    *,
    resume: bool = False,
    device: str = "auto",
    console: Console | None = None,
    processes: Processes = ONE,
) -> Path:
    """Trains, validates, keeps the best, and writes weights.

    Args:
        settings: what to train, on what, how long.
        folder: of the run; see the module's text for what it will hold. The first process alone writes to it.
        resume: go on from ``folder/checkpoints/last.ckpt``, or the one before it if that is damaged: same clips,
            schedule and state.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        console: where progress is shown; None = nowhere.
        processes: how many compute the run together, this one among them: Lightning starts the others, with the
            words of the command line, unless torchrun or SLURM has.

    Returns:
        The folder of the weights.

    Raises:
        ConfigError: settings that do not exist or cannot work, or, to resume, others than those that the run was
            begun with; a device that is not there; a folder that not all processes share.
        DataError: data that are damaged, or other than those that the run was begun on, or not the same for all
            processes.
        WeightsError: weights to start from, or a checkpoint, that do not fit or are damaged; steps whose loss or
            gradient was not finite, too many in a row, after the best weights until then were written.
        OutputError: the disk is full or read-only.
        ProcessError: another process has ended or cannot be reached.
        KeyboardInterrupt: Ctrl-C or SIGTERM, after the checkpoint is written.
    """
    config = settings.train
    share = processes.share(config.batch_size)
    pl.seed_everything(config.seed, verbose=False)
    model = _build(settings)
    module = TrainingModule(model, config, settings.budget)
    module.save_hyperparameters(settings.lasting(model.config), logger=False)
    device = choose_device(device)
    last = folder / LAST
    stop = StopWhenAsked(last)
    unused = config.tasks == "mixed" and "recreate" not in model.tasks  # a decoder whose frames no clip hides
    with none_lost(processes, folder), quiet():
        trainer = build_trainer(config, settings.budget, folder, device, console, stop, processes, unused=unused)
        start(trainer)
        if resume:
            everywhere(trainer, lambda: prepare_to_resume(folder, module) if trainer.is_global_zero else None)
        sources = everywhere(trainer, lambda: _open(settings, model, share, trainer, resume=resume))
        clips = RunClips.of(*sources)
        _check_shared(trainer, clips, last if resume else None)
        if settings.clips not in (None, clips):
            raise DataError(
                f"clips of {clips.name} (SHA-256 {clips.sha256:.12}...)",
                f"{settings.clips.name} ({settings.clips.sha256:.12}...), which this run was begun on",
                "put those data back where they were found, or begin a new run",
            )
        if not resume:
            settings = dataclasses.replace(settings, clips=clips)
            everywhere(trainer, lambda: settings.save(folder) if trainer.is_global_zero else None)
            if settings.start is None:
                _start_at_mean(model, sources[0])
        data = _Data(*sources, module, share)
        with writing(folder), interruptible():
            trainer.fit(module, datamodule=data, ckpt_path=last if resume else None, weights_only=True)
            if stop.stopped:
                raise KeyboardInterrupt
            written = _release(settings, folder, module, trainer, data)
    broken = next(callback for callback in trainer.callbacks if isinstance(callback, SkipBrokenSteps))  # pyright: ignore[reportAttributeAccessIssue]
    if broken.gave_up:
        raise WeightsError(
            f"step {trainer.global_step}: the loss or its gradient was not finite {broken.in_a_row} times in a row",
            "finite numbers",
            f"{written} has the best weights until then: begin a new run --from {folder} with lower learning_rate and "
            "muon_learning_rate, or with precision=float32",
        )
    return written


def _build(settings: RunSettings) -> Model:
    """The model of a run, at random.

    Raises:
        ConfigError: settings that do not exist, or that it cannot be trained with.
    """
    config = settings.train
    entry, preset = find(settings.preset)
    model = entry.build(override(preset, settings.model))
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError(f"model {settings.preset!r}", "a model with parameters", "baselines need no training")
    if config.horizon == 0 and "forecast" in model.tasks:
        raise ConfigError(
            f"horizon=0 for {settings.preset!r}, which forecasts",
            "1 frame or more",
            "set another horizon, or form=reconstruction where the model has forms",
        )
    if config.sampling != "none" and not model.causal:
        raise ConfigError(
            f"sampling={config.sampling} for {settings.preset!r}",
            "a model that gives each frame before it reads it, such as conv_lstm",
            "set sampling=none",
        )
    return model


def _open(
    settings: RunSettings, model: Model, share: int, trainer: pl.Trainer, *, resume: bool
) -> tuple[ClipSource, ClipSource]:
    """The clips to train and to validate on, where this process computes; and a new run's model gets the weights that
    it starts from.

    Raises:
        ConfigError: clips that there are not, or too little memory.
        DataError: data that are damaged.
        WeightsError: weights that do not fit or are damaged.
    """
    config = settings.train
    if settings.start is not None and not resume:
        weights.load_into(model, Path(settings.start))
    device = trainer.strategy.root_device
    _check_memory(settings, model, share, str(device), trainer.num_devices if device.type == "cpu" else 1)
    train, validation = (
        open_source(
            settings.data,
            split,
            frames=config.context + config.horizon,
            seed=config.seed,
            device=device,
            config=settings.frames,
        )
        for split in ("train", "validation")
    )
    if config.validation_clips > len(validation):
        raise ConfigError(
            f"validation_clips={config.validation_clips}",
            f"{len(validation)} at most",
            "set fewer validation_clips",
        )
    return train, validation


def _check_memory(settings: RunSettings, model: Model, share: int, device: str, processes: int) -> None:
    """Raises ConfigError where the device cannot hold the least that training takes.

    Args:
        settings, model: of the run.
        share: clips of a step on each process.
        device: of this process.
        processes: on that device.
    """
    config, size = settings.train, settings.frames.size
    clips = max(share * BYTES_A_PIXEL, _MEAN_CLIPS * _BYTES_A_PIXEL_OF_MEAN)
    needed = (
        _COPIES_OF_WEIGHTS * sum(parameter.nbytes for parameter in model.parameters())
        + clips * (config.context + config.horizon) * size**2
    )
    check_memory(
        processes * needed,
        f"training {settings.preset!r} on {config.batch_size} clips of {config.context} + {config.horizon} frames of "
        f"{size}x{size}",
        "set a smaller batch_size, context, horizon, size or network",
        device,
    )


def _check_shared(trainer: pl.Trainer, clips: RunClips, checkpoint: Path | None) -> None:
    """Raises DataError unless all processes found the same data, and ConfigError unless they see the same checkpoint
    to go on from, or none: each would go its own way, and nothing else would tell."""
    digest = None if checkpoint is None or trainer.world_size == 1 else _digest(checkpoint)
    seen = gather(trainer, (clips, digest, socket.gethostname()))
    wanted, shared, first = seen[0]
    for rank, (found, digest, host) in enumerate(seen):
        if found != wanted:
            raise DataError(
                f"clips of {found.name} (SHA-256 {found.sha256:.12}...) for process {rank} on {host}",
                f"{wanted.name} ({wanted.sha256:.12}...), as for process 0 on {first}",
                "put the same data on all machines",
            )
        if digest != shared:
            raise ConfigError(
                f"another {LAST.name}, or none, for process {rank} on {host} than for process 0 on {first}",
                "a run's folder that all machines share",
                "put it where all of them reach it by the same path",
            )


def _digest(path: Path) -> str:
    """SHA-256 of a file, empty where there is none."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Data(pl.LightningDataModule):
    """The batches of a run; training starts at the trainer's step, so a resume skips nothing.

    Args:
        train, validation: clips.
        module: to be trained.
        share: clips of a step on this process.
    """

    def __init__(self, train: ClipSource, validation: ClipSource, module: TrainingModule, share: int) -> None:
        super().__init__()
        self.sources = (train, validation)
        self.module = module
        self.config = module.config
        self.share = share

    def masking(self, split: str) -> Masking:
        """What is hidden, by the run's settings."""
        config = self.config
        if config.tasks == "mixed" or (config.tasks == "auto" and "recreate" in self.module.model.tasks):
            return MixedMasking(config.context, config.seed, split)
        return ForecastMasking(config.context)

    def train_dataloader(self) -> DataLoader[Batch]:
        trainer = self.trainer
        assert trainer is not None
        batches = TrainingBatches(
            self.sources[0],
            self.masking("train"),
            self.share,
            window=self.module.window,
            first_step=trainer.global_step,
            process=trainer.global_rank,
            processes=trainer.world_size,
            sampling=None if self.config.sampling == "none" else self._sample,
        )
        return DataLoader(batches, batch_size=None)

    def _sample(self, batch: Batch, index: np.ndarray, step: int) -> Batch:
        """What a step of scheduled sampling observes."""
        config = self.config
        share = self.module.share_at(step) / config.sampling_until if config.sampling_until else 1.0
        return Sampling.at(share, reverse=config.sampling == "reverse").draw(batch, index, config.seed)

    def val_dataloader(self) -> DataLoader[Batch]:
        trainer = self.trainer
        assert trainer is not None
        batches = FixedBatches(
            self.sources[1],
            self.masking("validation"),
            self.config.validation_clips,
            2 * self.share,
            process=trainer.global_rank,
            processes=trainer.world_size,
        )
        return DataLoader(batches, batch_size=None)


def _start_at_mean(model: Model, source: ClipSource) -> None:
    """Starts output biases at the mean pixel: learning that the world is mostly black takes
    a hundred steps otherwise."""
    mean = to_unit(source.clips(np.arange(_MEAN_CLIPS))).mean().clamp(_OUTPUT_MARGIN, 1 - _OUTPUT_MARGIN)
    model.start_at_mean(mean.item())


def _release(settings: RunSettings, folder: Path, module: TrainingModule, trainer: pl.Trainer, data: _Data) -> Path:
    """Writes the better of the best checkpoint and the final average to ``folder/weights``."""
    final = trainer.validate(module, datamodule=data, verbose=False)[0]["validation/loss"]
    best = next(c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint) and c.monitor)
    score = math.nan if best.best_model_score is None else float(best.best_model_score)
    losses = [loss for loss in (score, final) if math.isfinite(loss)]
    if not losses:
        raise WeightsError(
            f"a validation loss of {final}", "a finite one", "set a lower learning_rate and muon_learning_rate"
        )
    speed = next(callback for callback in trainer.callbacks if isinstance(callback, Speed))  # pyright: ignore[reportAttributeAccessIssue]
    config, source = settings.train, data.sources[0]
    training = {
        "preset": settings.preset,
        "steps": trainer.global_step,
        "clips": trainer.global_step * config.batch_size,
        "loss": config.loss,
        "seconds": round(speed.elapsed),
        "validation_loss": min(losses),
    }

    def write() -> None:
        if not trainer.is_global_zero:
            return
        if final != min(losses):  # NaN is never equal
            module.load_state_dict(read_checkpoint(Path(best.best_model_path))["state_dict"])
        frames = config.context + config.horizon
        test = open_source(settings.data, "test", frames=frames, published=False, config=settings.frames)
        _, _, channels, height, width = source.clips(np.arange(1)).shape
        weights.save(
            folder / "weights",
            module.model,
            find(settings.preset)[0].name,
            context=config.context,
            horizon=config.horizon,
            channels=channels,
            height=height,
            width=width,
            data={"name": source.name, "seed": config.seed, **_generator(settings.frames)},
            training=training,
            splits={clips.split: clips.images_sha256 for clips in (*data.sources, test)},
        )

    everywhere(trainer, write)
    return folder / "weights"


def _generator(frames: ClipConfig) -> dict[str, Any]:
    """The settings of the clips for the contract; their length follows from context and horizon."""
    return {key: value for key, value in dataclasses.asdict(frames).items() if key != "frames"}
