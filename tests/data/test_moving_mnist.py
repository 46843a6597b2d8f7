"""The generator against a plain loop, against known numbers, and for every order of asking."""

import math

import numpy as np
import pytest
import torch

from frame_forecast.data.moving_mnist import MovingMnist, MovingMnistConfig
from frame_forecast.errors import ConfigError
from frame_forecast.philox import stream_key, uniform

rng = np.random.default_rng(0)
DIGITS = rng.integers(0, 256, size=(9, 28, 28), dtype=np.uint8)


def plain_loop(images: np.ndarray, split: str, seed: int, clip: int, frames: int, size: int, digits: int) -> np.ndarray:
    """Moving MNIST pixel by pixel, from the text of the algorithm."""
    out = np.zeros((frames, size, size), dtype=np.uint8)
    draws = uniform(np.array([clip]), 4 * digits, stream_key("moving_mnist", seed, split))[0].tolist()
    for d in range(digits):
        which, x, y, turn = draws[4 * d : 4 * d + 4]
        image = images[int(which * len(images))]
        theta = turn * 2 * math.pi
        vx, vy = math.cos(theta) * 0.1, math.sin(theta) * 0.1
        for t in range(frames):
            x, y = x + vx, y + vy
            if x <= 0:
                x, vx = 0.0, -vx
            elif x >= 1:
                x, vx = 1.0, -vx
            if y <= 0:
                y, vy = 0.0, -vy
            elif y >= 1:
                y, vy = 1.0, -vy
            left, top = int((size - 28) * x), int((size - 28) * y)
            for row in range(28):
                for column in range(28):
                    old = out[t, top + row, left + column]
                    out[t, top + row, left + column] = max(old, image[row, column])
    return out


@pytest.mark.parametrize(("frames", "size", "digits"), [(20, 64, 2), (33, 40, 1), (5, 28, 3), (12, 65, 4)])
def test_equals_the_plain_loop(frames: int, size: int, digits: int) -> None:
    source = MovingMnist(DIGITS, "train", 3, MovingMnistConfig(frames=frames, size=size, digits=digits))
    made = source.clips(np.arange(100, 106))
    assert made.shape == (6, frames, 1, size, size)
    assert made.dtype == torch.uint8
    for i in range(6):
        expected = plain_loop(DIGITS, "train", 3, 100 + i, frames, size, digits)
        np.testing.assert_array_equal(made[i, :, 0].numpy(), expected)


def test_a_clip_depends_on_seed_split_and_number_alone() -> None:
    source = MovingMnist(DIGITS, "test")
    whole = source.clips(np.arange(12))
    assert torch.equal(source.clips(np.arange(12)[::-1]), whole.flip(0))
    assert torch.equal(torch.cat([source.clips(np.array([i])) for i in range(12)]), whole)
    assert torch.equal(MovingMnist(DIGITS, "test").clips(np.array([5, 5])), whole[[5, 5]])
    longer = MovingMnist(DIGITS, "test", config=MovingMnistConfig(frames=25)).clips(np.arange(12))
    assert torch.equal(longer[:, :20], whole)
    for other in (MovingMnist(DIGITS, "train"), MovingMnist(DIGITS, "test", seed=1)):
        assert not torch.equal(other.clips(np.arange(12)), whole)


@pytest.mark.parametrize("first", [10**9, 2**31 - 2, 2**32 - 2, 2**62])
def test_clips_are_numbered_far_beyond_a_billion(first: int) -> None:
    source = MovingMnist(DIGITS, "train", 3, MovingMnistConfig(frames=4, size=40))
    made = source.clips(np.arange(first, first + 4))
    for i in range(4):
        np.testing.assert_array_equal(made[i, :, 0].numpy(), plain_loop(DIGITS, "train", 3, first + i, 4, 40, 2))
    beyond = source.clips(np.arange(first, first + 4) + 2**32)  # alike in the lower half of their bits
    assert not any(torch.equal(one, other) for one, other in zip(made, beyond, strict=True))


def test_speed_is_a_tenth_of_the_free_range_and_digits_bounce() -> None:
    source = MovingMnist(DIGITS, "train", config=MovingMnistConfig(frames=60, size=1028))
    _, corners = source.trajectories(np.arange(200))
    assert corners.min() >= 0
    assert corners.max() <= 1000
    steps = np.linalg.norm(np.diff(corners, axis=2).astype(float), axis=-1)
    free = ((corners > 0) & (corners < 1000)).all(axis=-1)
    away = free[:, :, 1:] & free[:, :, :-1]
    assert np.abs(steps[away] - 100).max() < 2  # truncation moves either end by less than 1
    assert (corners == 0).any()
    assert (corners == 1000).any()


def test_known_numbers(mnist_test: MovingMnist) -> None:
    """Per-frame squared error of the simplest forecasts, frames 11..20 given 1..10."""
    frames = mnist_test.clips(np.arange(1000)).float() / 255
    target = frames[:, 10:]

    def mse_frame(prediction: torch.Tensor) -> float:
        return float((prediction - target).square().sum((-3, -2, -1)).mean())

    assert mse_frame(torch.zeros(())) == pytest.approx(173, abs=3)
    assert mse_frame(frames[:, 9:10]) == pytest.approx(284, abs=5)
    assert mse_frame(frames.mean((0, 1))) == pytest.approx(152, abs=3)  # the mean frame of the data
    lit = (target > 0.5).float().mean().item()
    assert 1 - lit == pytest.approx(0.950, abs=0.002)  # all-black: accuracy 95.0 %, MSE 0.050


@pytest.mark.parametrize("settings", [{"frames": 0}, {"digits": 0}, {"size": 0}, {"step": 0.0}])
def test_impossible_settings_are_refused(settings: dict) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        MovingMnistConfig(**settings)


def test_a_frame_smaller_than_a_digit_is_refused() -> None:
    with pytest.raises(ConfigError, match="27x27"):
        MovingMnist(DIGITS, "train", config=MovingMnistConfig(size=27))
