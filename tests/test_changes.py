"""What changes across gaps, against worked examples and a slow loop over pixels."""

from itertools import pairwise

import numpy as np
import pytest

from frame_forecast.changes import Changes
from frame_forecast.clip import Clip
from frame_forecast.scale import ValueScale


def clip(values: np.ndarray, observed: np.ndarray) -> Clip:
    return Clip(values, observed, ValueScale.fit(values, observed), source="a test")


def by_hand(values: np.ndarray, observed: np.ndarray) -> dict[int, tuple[float, int]]:
    _, _, H, W = values.shape
    squares: dict[int, list[float]] = {}
    for y, x in np.ndindex(H, W):
        seen = np.flatnonzero(observed[:, 0, y, x])
        for before, after in pairwise(seen):
            difference = values[after, :, y, x].astype(float) - values[before, :, y, x]
            for t in range(before + 1, after):
                squares.setdefault(t, []).append(float(np.mean(difference**2)))
    return {t: (float(np.mean(found)), len(found)) for t, found in squares.items()}


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_gaps_are_compared_pixel_by_pixel(share: float, dtype: type) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (12, 3, 5, 4)).astype(dtype)
    observed = rng.random((12, 1, 5, 4)) >= share
    observed[[0, 3, 4, 9]] = [[[[True]]], [[[False]]], [[[False]]], [[[False]]]]
    found = Changes.of(clip(values, observed)).across()
    expected = by_hand(values, observed)
    assert found.keys() == expected.keys() >= {3, 4, 9}
    assert all(found[t] == pytest.approx(expected[t]) for t in found)


def test_missing_values_are_not_looked_at() -> None:
    values = np.ones((5, 1, 2, 2), np.float32)
    observed = np.ones((5, 1, 2, 2), bool)
    observed[2, :, 0] = observed[3] = False
    values[~observed] = np.nan
    assert Changes.of(clip(values, observed)).across() == {2: (0.0, 2), 3: (0.0, 4)}


def test_what_no_frame_after_or_before_shows_is_left_out() -> None:
    observed = np.ones((5, 1, 2, 2), bool)
    observed[[0, 4]] = False
    assert Changes.of(clip(np.ones((5, 1, 2, 2), np.uint8), observed)).across() == {}


def test_the_latest_change_is_that_of_the_last_two_frames_a_frame() -> None:
    values = np.array([0, 5, 9, 15], np.uint8).reshape(4, 1, 1, 1) * np.ones((1, 1, 2, 2), np.uint8)
    observed = np.ones((4, 1, 2, 2), bool)
    assert Changes.of(clip(values, observed)).latest() == 36
    observed[2] = False
    assert Changes.of(clip(values, observed)).latest() == 100 / 2
    observed[3, :, 0] = False
    observed[1, :, 1] = False
    assert Changes.of(clip(values, observed)).latest() == 225 / 3
    assert Changes.of(clip(values[:1], observed[:1])).latest() is None
