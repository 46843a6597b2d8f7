"""A model whose answers show exactly what it was shown."""

import torch
from torch import Tensor, nn

from frame_forecast import weights
from frame_forecast.models import TASKS, Model
from frame_forecast.predict import Forecaster

CONTEXT, HORIZON = 5, 3
LONGEST = CONTEXT + HORIZON


class StandIn(Model):
    """Every frame of its answer depends on every observed pixel there and on both their positions."""

    tasks = frozenset(TASKS)
    passes = 4

    def given(self, observed: Tensor, valid: Tensor) -> Tensor:
        return valid

    def output_layers(self) -> list[nn.Linear | nn.Conv2d]:
        return []

    def _predict(self, frames: Tensor, observed: Tensor, valid: Tensor) -> Tensor:
        t = torch.arange(frames.shape[1])
        mix = torch.cos(3.0 * t[:, None] + 7.0 * t + 0.1 * len(t))
        return torch.sigmoid(torch.einsum("st,btchw->bschw", mix, frames + 0.3 * observed))


def forecaster(**contract: int) -> Forecaster:
    """Of a `StandIn` that was trained on `CONTEXT` and `HORIZON` frames of 8x8."""
    sizes = {"context": CONTEXT, "horizon": HORIZON, "channels": 1, "height": 8, "width": 8}
    return Forecaster(StandIn(), "stand_in", weights.Contract("", **(sizes | contract)), "cpu", "float32")
