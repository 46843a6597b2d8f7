"""What is hidden of the clips that a model trains on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from frame_forecast.clip import Batch
from frame_forecast.errors import ConfigError
from frame_forecast.masks import Block, Gap, Pattern, Pixels, RandomFrames, Stripes, future
from frame_forecast.philox import stream_key, uniform

# Of a mixture's clips: the share of each task. The rest has holes within frames.
_FORECASTS, _RANDOM_FRAMES, _GAPS, _INTERLEAVED = 0.45, 0.18, 0.1, 0.15
_USUAL_CONTEXT = 0.6  # of the forecasts; the others have a context drawn for each clip
_LEAST_FRAMES, _LEAST_SIZE = 4, 16
_WIDEST_INTERLEAVING = 5  # frames
_DRAWS = 5  # uniform numbers a clip


class Masking(Protocol):
    """Hides parts of complete clips."""

    def hide(self, frames: Tensor, index: np.ndarray, start: int = 0) -> Batch:
        """A batch whose hidden pixels are held out.

        Args:
            frames: float32 ``(B, T, C, H, W)`` in [0, 1], complete.
            index: the clips' numbers ``(B,)``, from which alone, with the shape of the clips, the
                masks follow.
            start: which frame of its clip the first one is, where clips were cut.
        """
        ...


@dataclass(frozen=True)
class ForecastMasking:
    """Hides the frames after the context.

    Args:
        context: observed frames of a whole clip.
    """

    context: int

    def hide(self, frames: Tensor, index: np.ndarray, start: int = 0) -> Batch:
        """See `Masking.hide`."""
        return Batch.forecast(frames, self.context - start)


class MixedMasking:
    """A task drawn for every clip, so that one training serves all of them.

    ===== ================================================================================
    share task
    ===== ================================================================================
    0.45  forecast; three in five after the usual context, two in five after any other
    0.18  recreate 10 to 90 percent of the frames, anywhere
    0.10  recreate a gap of any length, anywhere inside
    0.15  reconstruct: predict every second, third, fourth or fifth frame from the others
    0.12  recreate a square, stripes or scattered pixels, in every frame or in half of them
    ===== ================================================================================

    Args:
        context: the usual one, of a whole clip.
        seed: of the draws.
        split: whose clips they are for; another split, other draws.
    """

    def __init__(self, context: int, seed: int, split: str) -> None:
        self.context = context
        self._task_key = stream_key("masking", seed, split, "task")
        self._place_key = stream_key("masking", seed, split, "place")
        self._frames_key = stream_key("masking", seed, split, "frames")

    def hide(self, frames: Tensor, index: np.ndarray, start: int = 0) -> Batch:
        """See `Masking.hide`.

        Raises:
            ConfigError: clips too short or frames too small to have holes of every kind.
        """
        B, T, _, H, W = frames.shape
        if T < _LEAST_FRAMES or min(H, W) < _LEAST_SIZE:
            raise ConfigError(
                f"clips of {T} frames of {H}x{W}, to hide parts of",
                f"at least {_LEAST_FRAMES} frames of {_LEAST_SIZE}x{_LEAST_SIZE}",
                "set a larger context, horizon or size, or tasks=forecast",
            )
        draws = uniform(index, _DRAWS, self._task_key)
        masks = [self._observed(int(i), T, H, W, start, row) for i, row in zip(index, draws, strict=True)]
        observed = torch.stack([mask.expand(T, 1, H, W) for mask in masks]).to(frames.device)
        valid = torch.ones((B, T), dtype=torch.bool, device=frames.device)
        return Batch(frames, observed, ~observed, valid)

    def _observed(self, number: int, T: int, H: int, W: int, start: int, draws: np.ndarray) -> Tensor:
        """bool ``(T, 1, H, W)``, or ``(T, 1, 1, 1)`` for whole frames."""
        task, kind, amount, some, side = draws
        if task < _FORECASTS:
            usual = kind < _USUAL_CONTEXT and 0 < self.context - start < T
            context = self.context - start if usual else 1 + int(amount * (T - 1))
            return future(context, T - context)
        pattern: Pattern
        if task >= 1 - _INTERLEAVED:
            every = 2 + int(kind * (_WIDEST_INTERLEAVING - 1))
            return (torch.arange(T) % every != int(amount * min(every, T))).view(T, 1, 1, 1)
        if task < _FORECASTS + _RANDOM_FRAMES:
            pattern = RandomFrames(0.1 + 0.8 * amount)
        elif task < _FORECASTS + _RANDOM_FRAMES + _GAPS:
            length = 1 + int(amount * (T - 2))
            pattern = Gap(length, length)
        else:
            least = min(H, W)
            holes = (
                Block(4 + int(side * (least // 2 - 3))),
                Stripes(1 + int(side * (least // 8))),
                Pixels(0.1 + 0.8 * amount),
            )
            pattern = holes[int(kind * len(holes))]
        clip = np.asarray([number])
        (observed,) = pattern.observed(clip, T, H, W, self._place_key)
        if task >= _FORECASTS + _RANDOM_FRAMES + _GAPS and some < 0.5:
            (whole,) = RandomFrames(0.5).observed(clip, T, H, W, self._frames_key)
            observed = observed | whole
        return observed


@dataclass(frozen=True)
class Sampling:
    """Which frames a causal model reads in training instead of its own (Bengio et al., "Scheduled sampling for
    sequence prediction with recurrent neural networks", NeurIPS 2015; reverse: Wang et al., "PredRNN: a
    recurrent neural network for spatiotemporal predictive learning", TPAMI 2022).

    Only for models that give a frame before they read it: others would see what they are to predict.

    Args:
        observed: probability that a frame which the task shows is read, but for a clip's first, which always is.
        held_out: probability that one which it hides is.
    """

    observed: float
    held_out: float

    @classmethod
    def at(cls, share: float, reverse: bool) -> Sampling:
        """The probabilities at a share of the schedule, 0 to 1; beyond, they stay.

        Scheduled: the context is read; after it, the truth at first and nothing of it at the end, evenly less.
        Reverse: for half of the schedule every second frame anywhere, and then evenly towards that same end.
        """
        share = min(share, 1.0)
        if not reverse:
            return cls(1.0, 1.0 - share)
        late = max(0.0, 2 * share - 1)
        return cls(0.5 + 0.5 * late, 0.5 - 0.5 * late)

    def draw(self, batch: Batch, index: np.ndarray, seed: int) -> Batch:
        """The batch with other frames observed; what is known of it stays the same.

        Args:
            batch: the clips, as the task shows them.
            index: their numbers ``(B,)``.
            seed: of the draws, which depend on it and the clip's number alone.
        """
        B, T = batch.valid.shape
        draws = torch.from_numpy(uniform(index, T, stream_key("sampling", seed))).to(batch.frames.device)
        draws = draws.view(B, T, 1, 1, 1)
        seen = batch.observed.flatten(2).any(dim=2).view(B, T, 1, 1, 1)
        first = seen & (seen.cumsum(dim=1) == 1)
        kept, revealed = (draws < self.observed) | first, draws < self.held_out
        observed = (batch.observed & kept) | (batch.held_out & revealed)
        held_out = (batch.observed | batch.held_out) & ~observed
        return Batch(batch.frames, observed, held_out, batch.valid)
