"""What a model must beat: black frames, the mean frame, and what was seen before and after."""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from frame_forecast.models.base import Model
from frame_forecast.models.registry import register
from frame_forecast.nn.motion import both_sides, on_a_line, other_neighbours, values_at

BASELINES = ("black", "mean_frame", "copy_last", "nearest", "linear")


@dataclass(frozen=True)
class BaselineConfig:
    """A baseline has nothing to set."""


class Baseline(Model):
    """Gives every frame, pixel by pixel, without parameters."""

    tasks = frozenset({"forecast", "recreate", "reconstruct"})
    tile = None

    def __init__(self, config: BaselineConfig) -> None:
        super().__init__()
        self.config = config

    @final
    def given(self, observed: Tensor, valid: Tensor) -> Tensor:
        return valid

    @final
    def output_layers(self) -> list[nn.Linear | nn.Conv2d]:
        return []


@register("black", BaselineConfig, presets={"black": BaselineConfig()}, tiny=BaselineConfig())
class Black(Baseline):
    """Black frames: what a score is worth where most pixels are dark."""

    def _predict(self, frames: Tensor, observed: Tensor, valid: Tensor) -> Tensor:
        return torch.zeros_like(frames)


@register("mean_frame", BaselineConfig, presets={"mean_frame": BaselineConfig()}, tiny=BaselineConfig())
class MeanFrame(Baseline):
    """Each pixel's mean over the frames where it is observed; 0 where it never is.

    Not the mean frame of a data set, one picture for every clip, which scores lower.
    """

    def _predict(self, frames: Tensor, observed: Tensor, valid: Tensor) -> Tensor:
        mean = frames.sum(dim=1, keepdim=True) / observed.sum(dim=1, keepdim=True).clamp(min=1)
        return mean.expand_as(frames)


@register("copy_last", BaselineConfig, presets={"copy_last": BaselineConfig()}, tiny=BaselineConfig())
class CopyLast(Baseline):
    """Each pixel's last value observed before the frame, where there is none the first one observed
    after it; 0 where it is observed in no other frame. Also called persistence.
    """

    def _predict(self, frames: Tensor, observed: Tensor, valid: Tensor) -> Tensor:
        T = frames.shape[1]
        before, after = other_neighbours(observed)
        position = torch.where(before >= 0, before, after)
        copied = values_at(position.clamp(max=T - 1), frames)
        return torch.where(position < T, copied, torch.zeros((), device=frames.device))


@register("nearest", BaselineConfig, presets={"nearest": BaselineConfig()}, tiny=BaselineConfig())
class Nearest(Baseline):
    """Each pixel's observed value nearest in time, the earlier of two equally near; 0 where it is
    never observed. Observed pixels come back as they are.
    """

    passes = 4

    def _predict(self, frames: Tensor, observed: Tensor, valid: Tensor) -> Tensor:
        before, after, t = both_sides(observed)
        return values_at(torch.where(t - before <= after - t, before, after), frames)


@register("linear", BaselineConfig, presets={"linear": BaselineConfig()}, tiny=BaselineConfig())
class Linear(Baseline):
    """Each pixel on a straight line in time between the observed values before and after; constant
    before the first and after the last; 0 where it is never observed. Observed pixels come back
    as they are.
    """

    passes = 4

    def _predict(self, frames: Tensor, observed: Tensor, valid: Tensor) -> Tensor:
        return on_a_line(frames, observed)
