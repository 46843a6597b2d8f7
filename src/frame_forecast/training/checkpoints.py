"""Checkpoints: what a run goes on from."""

import copy
import io
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

from frame_forecast.errors import ConfigError, OutputError, WeightsError, warn_on_the_way
from frame_forecast.files import flush, remove_leftovers, replacing
from frame_forecast.training.module import TrainingModule

LAST = Path("checkpoints", "last.ckpt")
PREVIOUS = Path("checkpoints", "previous.ckpt")
BEST = Path("checkpoints", "best.ckpt")
_KEYS = {"pytorch-lightning_version", "global_step", "loops", "callbacks", "optimizer_states"}


class SafeCheckpoints(TorchCheckpointIO):
    """Writes checkpoints so that, whatever happens when, a whole one is on the disk.

    A new one takes its name once it was flushed and read back; the last one before it stays as `PREVIOUS`.
    One that cannot be written is reported, and training goes on, unless it is the first. Lightning's own
    writer makes the file in the system's temporary folder, perhaps on another disk, flushes nothing and ends
    training on an error.

    Attributes:
        failed: the paths that the latest attempt to write failed at.
    """

    def __init__(self) -> None:
        self.failed: set[Path] = set()

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        path = Path(path)
        self.failed.add(path)
        step = checkpoint["global_step"]
        if not _is_finite(checkpoint):
            warn_on_the_way(
                f"step {step}: weights that are not finite numbers",
                f"{path.name} stays as it was",
                "set a lower learning_rate and muon_learning_rate",
            )
            return
        try:
            self._write(checkpoint, path)
        except OutputError as error:
            if not any((path.parent / one.name).exists() for one in (LAST, PREVIOUS, BEST)):
                raise  # there is no earlier one to fall back on, nor will there be
            warn_on_the_way(
                f"step {step}: {error.given}",
                f"training goes on; {path.name} stays as it was, so that a crash now would cost the time since then",
                "make room: the next checkpoint will try again",
            )
        else:
            self.failed.remove(path)

    def _write(self, checkpoint: dict[str, Any], path: Path) -> None:
        buffer = io.BytesIO()  # torch's writer hides the operating system's errors
        torch.save(checkpoint, buffer)
        with replacing(path) as temporary:
            temporary.write_bytes(buffer.getbuffer())
            flush(temporary)
            if damaged := _damage(temporary):
                raise OSError(f"what was read back is damaged ({damaged})")
            if path.name == LAST.name and path.exists():
                path.replace(path.with_name(PREVIOUS.name))
        flush(path.parent)


class MovableCheckpoint(ModelCheckpoint):
    """Remembers the best checkpoint in a run's folder that was moved or copied too.

    Lightning forgets the best score where the folder's path differs, and the next checkpoint,
    better or worse, replaces the best one.
    """

    @property
    def state_key(self) -> str:
        # Its own name, so that checkpoints that Lightning's class wrote are gone on with.
        return super().state_key.replace(type(self).__qualname__, ModelCheckpoint.__qualname__)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        def here(path: str) -> str:
            return str(Path(str(self.dirpath), Path(path).name)) if path else path

        state = dict(state_dict)
        state["dirpath"] = self.dirpath
        for name in ("best_model_path", "kth_best_model_path", "last_model_path"):
            state[name] = here(state[name])
        state["best_k_models"] = {here(path): score for path, score in state["best_k_models"].items()}
        best = state["best_model_path"]
        if not best or Path(best).exists():  # who removed it wants another: see check_best
            super().load_state_dict(state)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        before = copy.deepcopy(self.state_dict())
        super().on_validation_end(trainer, pl_module)
        writer = trainer.strategy.checkpoint_io
        failed = isinstance(writer, SafeCheckpoints) and Path(self.best_model_path) in writer.failed
        if trainer.strategy.broadcast(failed):  # only the process that writes knows
            super().load_state_dict(before)  # the file still is the best before


class TimedCheckpoint(MovableCheckpoint):
    """Writes the last checkpoint between validations, too, which may be hours apart.

    Args:
        every: at most so much training is lost by a crash.
        options: as for ModelCheckpoint.
    """

    def __init__(self, every: timedelta, **options: Any) -> None:
        super().__init__(train_time_interval=every, **options)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if not validation_is_due(trainer):  # a run resumed here would pass over it
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)


def validation_is_due(trainer: pl.Trainer) -> bool:
    """Whether a validation follows the step just done, and writes checkpoints."""
    interval = trainer.val_check_batch
    assert interval is not None  # it is for intervals of time, which this package does not use
    return trainer.global_step % interval == 0


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint holds, on the CPU.

    Raises:
        FileNotFoundError: there is none.
        WeightsError: it is damaged.
    """
    try:
        if damaged := _damage(path):
            raise zipfile.BadZipFile(damaged)
        return dict(torch.load(path, weights_only=True, map_location="cpu"))
    except FileNotFoundError:
        raise
    except Exception as error:  # torch.load raises whatever its zip and pickle readers meet
        raise WeightsError(f"{path}: unreadable ({type(error).__name__})", "a checkpoint", "copy it again") from error


def nothing_kept(folder: Path) -> bool:
    """Whether a run was ended before it wrote anything worth keeping: no checkpoint, no weights."""
    return not any((folder / name).exists() for name in (LAST, PREVIOUS, BEST, "weights"))


def prepare_to_resume(folder: Path, module: TrainingModule) -> None:
    """Sees to it that a run's last checkpoint is whole and of this very model and settings, and so the best if
    it is there.

    Where the last one is damaged or gone, this is reported, and the one before it takes its place. What was
    half written when the run was killed is removed.

    Raises:
        ConfigError: the settings are others than those of the checkpoint.
        WeightsError: a checkpoint that is damaged or of another model.
    """
    last, previous, best = folder / LAST, folder / PREVIOUS, folder / BEST
    for path in (last, best, folder / "weights", folder / "run.json"):
        remove_leftovers(path)
    next_step = f"copy {BEST.name} over it, or train a new run --from this one's weights"
    try:
        checkpoint = _read(last, next_step)
    except WeightsError as error:
        if not previous.exists():
            raise
        checkpoint = _read(previous, next_step)
        _check(previous, checkpoint, module, next_step)
        previous.replace(last)  # else the next checkpoint would put the damaged one in its place
        warn_on_the_way(
            error.given,
            f"the checkpoint before it took its place, of step {checkpoint['global_step']}",
            "check the disk",
        )
    _check(last, checkpoint, module, next_step)
    if best.exists():
        next_step = "remove it: a new best will be chosen"
        _check(best, _read(best, next_step), module, next_step)


def _read(path: Path, next_step: str) -> dict[str, Any]:
    """A checkpoint that has what training goes on from."""
    try:
        checkpoint = read_checkpoint(path)
        if isinstance(checkpoint.get("state_dict"), dict) and checkpoint.keys() >= _KEYS:
            return checkpoint
        given = f"{path}: a part that training goes on from is missing"
    except FileNotFoundError:
        given = f"{path}: no such file"
    except WeightsError as error:
        given = error.given
    raise WeightsError(given, "a checkpoint of this run's model", next_step)


def _check(path: Path, checkpoint: dict[str, Any], module: TrainingModule, next_step: str) -> None:
    """Raises ConfigError or WeightsError unless a checkpoint is of this run."""
    begun = _flat(checkpoint.get("hyper_parameters", {}))  # earlier versions kept none
    changed = [
        f"{name}={value!r} ({begun[name]!r} in {path.name})"
        for name, value in _flat(module.hparams).items()
        if name in begun and begun[name] != value  # later versions may know more settings
    ]
    if changed:
        raise ConfigError(
            f"{path.parents[1] / 'run.json'}: {', '.join(changed)}",
            "the settings that the run was begun with",
            "put them back, or begin a new run --from this one's weights",
        )
    found, wanted = (
        {name: tuple(tensor.shape) for name, tensor in state.items() if isinstance(tensor, Tensor)}
        for state in (checkpoint["state_dict"], module.state_dict())
    )
    if found != wanted:
        name = next(name for name in (*wanted, *found) if found.get(name) != wanted.get(name))
        raise WeightsError(
            f"{path}: tensors of another model: {name} of {found.get(name, 'no')} values",
            f"{wanted.get(name, 'no')} values, as in this run's model",
            next_step,
        )


def _flat(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Nested settings with dots in their names."""
    if not isinstance(settings, dict):
        return {prefix: settings}
    parts = (_flat(value, f"{prefix}.{name}" if prefix else name) for name, value in settings.items())
    return {name: value for part in parts for name, value in part.items()}


def _damage(path: Path) -> str | None:
    """What is wrong with a checkpoint: torch.load looks at no checksum, and unpacks whatever is packed, in memory."""
    with zipfile.ZipFile(path) as archive:
        if sum(part.file_size for part in archive.infolist()) > path.stat().st_size:  # torch packs nothing
            return "parts of more bytes than the file has"
        return archive.testzip()


def _is_finite(checkpoint: dict[str, Any]) -> bool:
    states = (checkpoint["state_dict"], checkpoint.get("current_model_state", {}))
    return all(bool(value.isfinite().all()) for state in states for value in state.values())
