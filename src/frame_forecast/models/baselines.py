"""What a model must beat: black frames, the mean frame, the last frame."""

import abc
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from frame_forecast.models.base import Model
from frame_forecast.models.registry import register

BASELINES = ("black", "mean_frame", "copy_last")


@dataclass(frozen=True)
class BaselineConfig:
    """A baseline has nothing to set."""


class Baseline(Model):
    """One frame for the whole canvas, without parameters."""

    tasks = frozenset({"forecast", "reconstruct"})

    def __init__(self, config: BaselineConfig) -> None:
        super().__init__()
        self.config = config

    @final
    def given(self, observed: Tensor, valid: Tensor) -> Tensor:
        return valid

    @final
    def output_layers(self) -> list[nn.Linear | nn.Conv2d]:
        return []

    @final
    def _predict(self, frames: Tensor, observed: Tensor, valid: Tensor) -> Tensor:
        return self._frame(frames, observed).expand_as(frames)

    @abc.abstractmethod
    def _frame(self, frames: Tensor, observed: Tensor) -> Tensor:
        """The frame ``(B, 1, C, H, W)`` to give.

        Args:
            frames: ``(B, T, C, H, W)``, 0 where not observed.
            observed: bool ``(B, T, 1, H, W)`` or ``(B, T, 1, 1, 1)``.
        """


@register("black", BaselineConfig, presets={"black": BaselineConfig()}, tiny=BaselineConfig())
class Black(Baseline):
    """Black frames: what a score is worth where most pixels are dark."""

    def _frame(self, frames: Tensor, observed: Tensor) -> Tensor:
        return torch.zeros_like(frames[:, :1])


@register("mean_frame", BaselineConfig, presets={"mean_frame": BaselineConfig()}, tiny=BaselineConfig())
class MeanFrame(Baseline):
    """Each pixel's mean over the frames where it is observed; 0 where it never is.

    Not the mean frame of a data set, one picture for every clip, which scores lower.
    """

    def _frame(self, frames: Tensor, observed: Tensor) -> Tensor:
        return frames.sum(dim=1, keepdim=True) / observed.sum(dim=1, keepdim=True).clamp(min=1)


@register("copy_last", BaselineConfig, presets={"copy_last": BaselineConfig()}, tiny=BaselineConfig())
class CopyLast(Baseline):
    """Each pixel's last observed value; 0 where it is never observed. Also called persistence."""

    def _frame(self, frames: Tensor, observed: Tensor) -> Tensor:
        position = torch.arange(observed.shape[1], device=frames.device).view(1, -1, 1, 1, 1)
        last = (observed * position).amax(dim=1, keepdim=True)  # (B, 1, 1, H or 1, W or 1)
        # A pixel that is never observed reads frame 0, where it is hidden and so 0.
        return frames.gather(1, last.expand_as(frames[:, :1]))
