"""Scores of forecasts in the source's units, and of events as weather services verify rain; streaming like `metrics`.

An event is a value at or above a threshold. Of forecast and truth, a hit has it in both, a miss in the truth alone,
a false alarm in the forecast alone.
"""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor
from torch.nn import functional as F

from frame_forecast.errors import ConfigError
from frame_forecast.metrics import StreamingScores, frame_sum

FSS_WINDOWS = (1, 5, 21)
"""Pixels a side; odd, so that each has a pixel in its centre."""

DEFINITIONS = {
    "mae": "absolute error in the source's units, mean over windows, frames and scored values",
    "rmse": "square root of the mean squared error in the source's units, over windows, frames and scored values",
    "base_rate": "share of scored values of the truth that are at or above the threshold",
    "csi": "critical success index: hits / (hits + misses + false alarms), from counts over all windows",
    "pod": "probability of detection: hits / (hits + misses), from counts over all windows",
    "far": "false alarm ratio: false alarms / (hits + false alarms), from counts over all windows",
    **{
        f"fss_{size}": f"fractions skill score in squares of {size}x{size} pixels (Roberts and Lean 2008, eq. 5-7), "
        "from sums over all windows; outside the frame and where the truth is unknown, there is no event in either"
        for size in FSS_WINDOWS
    },
}


@final
class UnitScores(StreamingScores):
    """``mae`` and ``mse`` of values in the source's units, computed in float32; the root of ``mse`` is for the end,
    for that of a sum is not the sum of roots.
    """

    def _terms(self, prediction: Tensor, target: Tensor, scored: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        error = prediction - target
        values = frame_sum(scored.expand_as(error))
        return {"mae": (frame_sum(error.abs()), values), "mse": (frame_sum(error.double().square()), values)}


@final
class EventScores(StreamingScores):
    """``base_rate``, ``csi``, ``pod``, ``far`` and an ``fss_`` for each window size; see `DEFINITIONS`.

    CSI, POD and FAR: Wilks, "Statistical Methods in the Atmospheric Sciences", chapter on forecast verification
    (there threat score, hit rate and false alarm ratio). FSS: Roberts and Lean, "Scale-selective verification of
    rainfall accumulations from high-resolution forecasts of convective events", Monthly Weather Review 2008: with O
    and M the fractions of events in the window around each pixel, their equations 5 to 7 are

        FSS = 1 - sum((O - M)^2) / (sum(O^2) + sum(M^2)) = 2 sum(O M) / (sum(O^2) + sum(M^2)).

    A score is NaN where its denominator counts no event.

    Args:
        threshold: an event is a value at or above it, in the units of what is scored.
        sizes: sides of the windows in pixels.

    Raises:
        ConfigError: a size that is not odd and positive.
    """

    def __init__(self, threshold: float, sizes: Sequence[int] = FSS_WINDOWS) -> None:
        super().__init__()
        if bad := [size for size in sizes if size < 1 or size % 2 == 0]:
            raise ConfigError(f"an FSS window of {bad[0]} pixels", "an odd number, 1 at least", "choose 1, 3, 5 ...")
        self.threshold = threshold
        self.sizes = tuple(sizes)

    def _terms(self, prediction: Tensor, target: Tensor, scored: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        truth, guess = (self._events(values, scored) for values in (target, prediction))
        hits, observed, forecast = frame_sum(truth * guess), frame_sum(truth), frame_sum(guess)
        terms = {
            "base_rate": (observed, frame_sum(scored.expand_as(truth))),
            "csi": (hits, observed + forecast - hits),
            "pod": (hits, observed),
            "far": (forecast - hits, forecast),
        }
        for size in self.sizes:
            o, m = (torch.where(scored, _fractions(events, size), 0.0) for events in (truth, guess))
            terms[f"fss_{size}"] = (2 * frame_sum(o * m), frame_sum(o.square()) + frame_sum(m.square()))
        return terms

    def _events(self, values: Tensor, scored: Tensor) -> Tensor:
        """1.0 at an event, 0.0 elsewhere and where nothing is scored; NaN stays NaN."""
        events = torch.where(values.isnan(), values, (values >= self.threshold).to(values.dtype))
        return torch.where(scored, events, 0.0)


def _fractions(events: Tensor, size: int) -> Tensor:
    """Share of events in the window around each pixel, zeros beyond the border: ``(B, K, C, H, W)``, the same out."""
    B, K, C, H, W = events.shape
    margin = size // 2
    planes = events.reshape(B * K * C, 1, H, W)  # a plane is a picture of its own
    rows = F.avg_pool2d(planes, (size, 1), stride=1, padding=(margin, 0))
    return F.avg_pool2d(rows, (1, size), stride=1, padding=(0, margin)).view(B, K, C, H, W)
