"""Checkpoints: what a run goes on from."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from frame_forecast.errors import WeightsError
from frame_forecast.training.module import TrainingModule

LAST = Path("checkpoints", "last.ckpt")
BEST = Path("checkpoints", "best.ckpt")
_KEYS = {"pytorch-lightning_version", "global_step", "loops", "callbacks", "optimizer_states"}


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
        if not best or Path(best).exists():  # who removed it wants another: see check_checkpoint
            super().load_state_dict(state)


def nothing_kept(folder: Path) -> bool:
    """Whether a run was ended before it wrote anything worth keeping: no checkpoint, no weights."""
    return not any((folder / name).exists() for name in (LAST, BEST, "weights"))


def check_checkpoints(folder: Path, module: TrainingModule) -> None:
    """Raises WeightsError unless a run's last checkpoint is one of this very model, and so the best if it is there."""
    _check(folder / LAST, module, f"copy {BEST.name} over it, or train a new run --from this one's weights")
    if (folder / BEST).exists():
        _check(folder / BEST, module, "remove it: a new best will be chosen")


def _check(path: Path, module: TrainingModule, next_step: str) -> None:
    try:
        checkpoint = torch.load(path, weights_only=True, map_location="cpu")
        found = {name: tensor.shape for name, tensor in checkpoint["state_dict"].items()}
        if not checkpoint.keys() >= _KEYS:
            raise KeyError("a part that training goes on from is missing")
        reason = "tensors of another model"
    except FileNotFoundError:
        found, reason = None, "no such file"
    except Exception as error:  # torch.load raises whatever its zip and pickle readers meet
        found, reason = None, f"unreadable ({type(error).__name__})"
    wanted = {name: tensor.shape for name, tensor in module.state_dict().items()}
    if found != wanted:
        raise WeightsError(
            f"{path}: {reason}",
            "a checkpoint of this run's model",
            next_step,
        )
