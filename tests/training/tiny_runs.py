"""Training runs that take a second, on digits of noise."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from frame_forecast import weights
from frame_forecast.data.digits import Digits
from frame_forecast.data.moving_mnist import MovingMnistConfig
from frame_forecast.training.config import Budget, TrainConfig
from frame_forecast.training.settings import RunSettings

STEPS = 6  # validations after steps 2, 4 and 6
TRAIN = TrainConfig(
    context=3,
    horizon=2,
    grow_until=0.0,
    batch_size=2,
    ema_decay=0.5,
    precision="float32",
    validation_clips=2,
    validations=3,
)
MODEL = {"hidden": 4, "layers": 1, "patch": 8}
SETTINGS = RunSettings("conv_lstm_autoencoder", Budget(steps=STEPS), MODEL, TRAIN, frames=MovingMnistConfig(size=32))


def random_digits(split: str, seed: int = 0) -> Digits:
    images = np.random.default_rng([seed, *split.encode()]).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    return Digits(images, "fonts", f"random {split} digits")


def checkpoint(folder: Path, name: str = "last") -> dict[str, Any]:
    return torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)


def released(folder: Path) -> dict[str, Tensor]:
    return dict(weights.load(folder / "weights")[0].state_dict())


def averaged(saved: dict[str, Any]) -> dict[str, Tensor]:
    return {name.removeprefix("model."): value for name, value in saved["state_dict"].items()}


def assert_identical(one: Any, other: Any) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=0)
