"""What a training run is made of, besides the network."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Literal

from frame_forecast.errors import ConfigError

_MOST_STEPS = 10**12
_MOST_SECONDS = 100 * 365 * 86_400  # a hundred years; Python's timedelta ends at 2.7 million
_MOST_VALIDATIONS = 10**6
_MOST_RATE = 10**6  # times a gradient it still is a float32


@dataclass(frozen=True)
class Budget:
    """How long to train; exactly one of the two is set.

    The learning rate follows the share of the budget that is used, so a run of any length
    ends with its learning rate at 0.

    Args:
        steps: optimiser steps.
        seconds: of training, validation included; time before a resume counts.
    """

    steps: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.seconds is None):
            raise ConfigError(
                f"steps={self.steps} and max-time={self.seconds}",
                "exactly one of the two",
                "give --steps or --max-time",
            )
        unit, given, most = "steps", self.steps, _MOST_STEPS
        if self.seconds is not None:
            unit, given, most = "seconds", self.seconds, _MOST_SECONDS
        if given is None or not 0 < given <= most:  # NaN is neither
            raise ConfigError(
                f"a budget of {given} {unit}", f"more than 0, at most {most}", f"give another number of {unit}"
            )


@dataclass(frozen=True)
class TrainConfig:
    """Everything that decides the result of a run, besides model, data and budget.

    Args:
        context: observed frames of each clip.
        horizon: frames after them.
        tasks: what is hidden in training: ``forecast``, the frames after the context; ``mixed``, a
            task drawn for every clip (`data.masking.MixedMasking`); ``auto``, mixed for models
            that recreate.
        sampling: what the model reads in training, where that may be its own frames (`data.masking.Sampling`):
            ``none``, what the task says; ``scheduled``, at first the truth also where the task hides it;
            ``reverse``, at first both in the context and after it now the one, now the other.
        sampling_until: share of the budget after which ``sampling`` is over.
        grow_until: share of the budget during which clips lengthen, evenly, from 3 + 3 frames to
            ``context + horizon``; 0 = full length from the first step. Short clips teach how
            things move at a fraction of the cost.
        batch_size: clips a step, on all processes together.
        learning_rate: of AdamW (biases and output layers), at its peak.
        muon_learning_rate: of Muon (matrices and kernels), at its peak.
        weight_decay: decoupled, for both.
        warmup: share of the budget during which learning rates rise from 0.
        gradient_clip: largest norm of all gradients together.
        ema_decay: of the averaged weights that are validated and released.
        loss: ``cross_entropy`` or ``mse``, per pixel, or ``log_mse``, per frame: the score in decibels.
        recompute: whether recurrent steps are computed again for their gradients instead of kept: less memory, more
            time (`nn.unroll.recomputing`).
        precision: ``auto`` takes bfloat16 where the processor has it.
        validation_clips: clips that choose the best checkpoint.
        validations: how often in a run.
        seed: of initial weights and training clips.
    """

    context: int = 10
    horizon: int = 10
    tasks: Literal["auto", "forecast", "mixed"] = "auto"
    sampling: Literal["none", "scheduled", "reverse"] = "none"
    sampling_until: float = 0.4
    grow_until: float = 0.7
    batch_size: int = 8
    learning_rate: float = 0.01
    muon_learning_rate: float = 0.04
    weight_decay: float = 0.0
    warmup: float = 0.02
    gradient_clip: float = 1.0
    ema_decay: float = 0.99
    loss: Literal["cross_entropy", "mse", "log_mse"] = "cross_entropy"
    recompute: bool = False
    precision: Literal["auto", "bf16", "float32"] = "auto"
    validation_clips: int = 64
    validations: int = 6
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("context", "batch_size", "validation_clips"):
            self._check(name, getattr(self, name) >= 1, "1 or more")
        self._check("validations", 1 <= self.validations <= _MOST_VALIDATIONS, f"1 to {_MOST_VALIDATIONS}")
        self._check("horizon", self.horizon >= 0, "0 or more")
        self._check("weight_decay", 0 <= self.weight_decay <= _MOST_RATE, f"0 to {_MOST_RATE:,}")
        self._check("seed", 0 <= self.seed < 2**32, "0 to 4294967295")
        for name in ("learning_rate", "muon_learning_rate"):
            self._check(name, 0 < getattr(self, name) <= _MOST_RATE, f"more than 0, at most {_MOST_RATE:,}")
        self._check("gradient_clip", 0 < self.gradient_clip < math.inf, "more than 0, and finite")
        for name in ("warmup", "grow_until", "sampling_until", "ema_decay"):
            self._check(name, 0 <= getattr(self, name) < 1, "at least 0 and below 1")
        self._check("tasks", self.tasks in ("auto", "forecast", "mixed"), "auto, forecast or mixed")
        self._check("sampling", self.sampling in ("none", "scheduled", "reverse"), "none, scheduled or reverse")
        self._check("loss", self.loss in ("cross_entropy", "mse", "log_mse"), "cross_entropy, mse or log_mse")
        self._check("precision", self.precision in ("auto", "bf16", "float32"), "auto, bf16 or float32")

    def _check(self, name: str, right: bool, expected: str) -> None:
        if not right:
            raise ConfigError(f"{name}={getattr(self, name)!r}", expected, f"set another {name}")

    @classmethod
    def keys(cls) -> list[str]:
        """The names of all settings."""
        return [field.name for field in dataclasses.fields(cls)]
