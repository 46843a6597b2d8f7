"""The Lightning module: loss, learning rates over the budget, what is logged."""

from contextlib import nullcontext
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Timer
from torch import Tensor
from torch.nn import functional as F

from frame_forecast.clip import Batch
from frame_forecast.models import Model
from frame_forecast.nn.unroll import recomputing
from frame_forecast.training.config import Budget, TrainConfig
from frame_forecast.training.optimizer import MuonAdamW, build_optimizer

_FAINT = 1e-5  # mean squared error, 50 dB: with 40 what rests came back with noise, which cost 2 dB on real video


def clip_loss(prediction: Tensor, batch: Batch, given: Tensor, kind: str) -> Tensor:
    """Mean over clips of each clip's mean over the pixels whose truth is known.

    Clips weigh the same however many pixels are known in each, so that batches may be split
    over processes in any way.

    Args:
        prediction: ``(B, T, C, H, W)`` in [0, 1].
        batch: the clips; only `Batch.known` pixels are targets.
        given: bool ``(B, T)``, the frames that the model gives.
        kind: ``cross_entropy`` (grey targets count as probabilities), ``mse``, or ``log_mse``: the logarithm of
            each frame's, so that one decibel weighs the same in every frame, hard or easy; frames better than
            `_FAINT` count little.

    Returns:
        A scalar; NaN where the prediction of a target is.
    """
    target = (batch.known & given[:, :, None, None, None]).expand_as(prediction)
    truth = torch.where(target, batch.frames, torch.zeros((), device=prediction.device))
    elementwise = F.binary_cross_entropy if kind == "cross_entropy" else F.mse_loss
    broken = prediction.isnan()  # torch's cross entropy would raise an error, and on a GPU leave it unusable
    # Autocast refuses this loss, because half precision cannot tell 1 from nearly 1.
    with torch.autocast(prediction.device.type, enabled=False):
        loss = elementwise(prediction.float().masked_fill(broken, 0.5), truth, reduction="none")
    loss = loss.masked_fill(broken, torch.nan)
    loss = torch.where(target, loss, torch.zeros((), device=loss.device))
    if kind == "log_mse":
        pixels = target.flatten(2).sum(dim=2)  # of each frame
        frames = torch.log(loss.flatten(2).sum(dim=2) / pixels.clamp(min=1) + _FAINT)
        scored = pixels > 0
        return (frames.where(scored, 0.0).sum(dim=1) / scored.sum(dim=1).clamp(min=1)).mean()
    return (loss.flatten(1).sum(dim=1) / target.flatten(1).sum(dim=1).clamp(min=1)).mean()


class TrainingModule(pl.LightningModule):
    """Trains a model on batches.

    Args:
        model: any registered model with parameters.
        config: optimiser and loss.
        budget: what the learning rate follows.
    """

    def __init__(self, model: Model, config: TrainConfig, budget: Budget) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.budget = budget

    def budget_share(self) -> float:
        """The share of the budget used so far, 0 to 1, the same on every process; all must ask."""
        share = self.share_here()
        return share if self.budget.seconds is None else self.trainer.strategy.broadcast(share)

    def share_here(self) -> float:
        """The same by this process's clock, to show."""
        if self.budget.steps is not None:
            return min(1.0, self.trainer.global_step / self.budget.steps)
        assert self.budget.seconds is not None
        timer = next(callback for callback in self.trainer.callbacks if isinstance(callback, Timer))  # pyright: ignore[reportAttributeAccessIssue]
        return min(1.0, timer.time_elapsed() / self.budget.seconds)

    def share_at(self, step: int) -> float:
        """The share used before a step whose clips are made, maybe ahead of time: with a budget of steps nothing
        else decides, so that a resumed run makes the same."""
        return self.budget_share() if self.budget.steps is None else step / self.budget.steps

    def learning_rate_factor(self, share: float) -> float:
        """Linear rise over the warm-up, then a line that ends in 0 with the budget."""
        warmup = self.config.warmup
        return min(1.0, share / warmup if warmup else 1.0) * (1.0 - share)

    def window(self, step: int) -> slice:
        """The frames around the end of the context that a step takes while clips still grow (see
        `TrainConfig.grow_until`).

        Args:
            step: whose clips are made (see `share_at`).
        """
        config = self.config
        share = self.share_at(step)
        if share >= config.grow_until:
            return slice(0, config.context + config.horizon)
        growth = share / config.grow_until
        context, horizon = (min(full, 3 + int((full - 2) * growth)) for full in (config.context, config.horizon))
        return slice(config.context - context, config.context + horizon)

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        share = self.budget_share()
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, MuonAdamW)
        optimizer.scale_learning_rates(self.learning_rate_factor(share))
        with recomputing() if self.config.recompute else nullcontext():
            loss = self._loss(batch)
        self.log("train/loss", loss, prog_bar=True, sync_dist=True)
        for name, penalty in self.model.penalties().items():
            self.log(f"train/{name}", penalty)  # of this process: one whose clips give nothing has none
            loss = loss + penalty
        return loss

    def on_validation_epoch_start(self) -> None:
        self._validated = torch.zeros(2, device=self.device)  # the sum of clips' losses, and how many clips

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        if clips := len(batch.frames):
            self._validated += torch.stack([self._loss(batch) * clips, torch.tensor(float(clips), device=self.device)])

    def on_validation_epoch_end(self) -> None:
        # Not Lightning's mean over processes, which each must have clips for.
        losses, clips = self.trainer.strategy.reduce(self._validated, reduce_op="sum")
        self.log("validation/loss", losses / clips)

    def _loss(self, batch: Batch) -> Tensor:
        prediction = self.model(batch.frames, batch.observed, batch.valid)
        given = self.model.given(batch.observed, batch.valid)
        return clip_loss(prediction, batch, given, self.config.loss)

    def configure_optimizers(self) -> MuonAdamW:
        return build_optimizer(
            self.model,
            muon_learning_rate=self.config.muon_learning_rate,
            learning_rate=self.config.learning_rate,
            weight_decay=self.config.weight_decay,
        )

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        return batch.to(device) if isinstance(batch, Batch) else batch
