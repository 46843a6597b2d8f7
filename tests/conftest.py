"""Fixtures for all tests."""

import os
from pathlib import Path

import pytest

from frame_forecast.data.digits import load_digits
from frame_forecast.data.moving_mnist import MovingMnist

DATA = Path(os.environ.get("FRAME_FORECAST_DATA", "nowhere"))


@pytest.fixture(scope="session")
def mnist_test() -> MovingMnist:
    """Moving MNIST of the real test digits; tests that need it are skipped by name without them."""
    if not (DATA / "mnist").is_dir():
        pytest.skip("needs real MNIST: set FRAME_FORECAST_DATA")
    return MovingMnist(load_digits("test").images, "test")
