"""Fixtures for all tests."""

import pytest
from hypothesis import settings

from frame_forecast.data.digits import load_digits
from frame_forecast.data.moving_mnist import MovingMnist
from real_data import DATA

# The same examples everywhere, so that a change is judged by itself alone; none is timed, for machines differ.
# `--hypothesis-profile=explore` looks for new ones.
settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, max_examples=2000)
settings.load_profile("same")


@pytest.fixture(scope="session")
def mnist_test() -> MovingMnist:
    """Moving MNIST of the real test digits; tests that need it are skipped by name without them."""
    if not (DATA / "mnist").is_dir():
        pytest.skip("needs real MNIST: set FRAME_FORECAST_DATA")
    return MovingMnist(load_digits("test").images, "test")
