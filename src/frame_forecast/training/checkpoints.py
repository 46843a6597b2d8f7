"""Checkpoints: what a run goes on from."""

from pathlib import Path

import torch

from frame_forecast.errors import WeightsError
from frame_forecast.training.module import TrainingModule

LAST = Path("checkpoints", "last.ckpt")
BEST = Path("checkpoints", "best.ckpt")
_KEYS = {"pytorch-lightning_version", "global_step", "loops", "callbacks", "optimizer_states"}


def nothing_kept(folder: Path) -> bool:
    """Whether a run was ended before it wrote anything worth keeping: no checkpoint, no weights."""
    return not any((folder / name).exists() for name in (LAST, BEST, "weights"))


def check_checkpoint(path: Path, module: TrainingModule) -> None:
    """Raises WeightsError unless ``path`` is a checkpoint of this very model."""
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
            f"copy {BEST.name} over it, or train a new run --from this one's weights",
        )
