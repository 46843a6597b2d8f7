"""The rules, on numbers written by hand: what is usual is 1 throughout."""

import numpy as np
import pytest

from frame_forecast import faults

NAN = np.nan


@pytest.mark.parametrize(
    ("detail", "frames"),
    [
        ([1, 1, 0, 1, 1], [2]),
        ([1, 1, 0.04, 0.04, 1, 1, 1], [2, 3]),
        ([0, 1, 1, 1], [0]),
        ([1, 1, 1, 0], [3]),
        ([1, NAN, 0, NAN, 1, 1], [2]),
        ([1, 1, 0.06, 1, 1], []),  # dark, but something is in it
        ([1, 1, 0.2, 0, 1, 1], []),  # fades
        ([1, 1, 0, 0.2, 1, 1], []),
        ([1, 1, 0, 0, 1, 1], [2, 3]),
        ([1, 0, 0, 1, 1], []),  # more than a third
        ([0, 0, 0], []),
        ([NAN, 1], []),
    ],
)
def test_blank(detail: list[float], frames: list[int]) -> None:
    assert np.flatnonzero(faults.blank(np.array(detail, float))).tolist() == frames


@pytest.mark.parametrize(
    ("change", "frames"),
    [
        ([NAN, 1, 1, 0, 1, 1], [3]),
        ([NAN, 1, 1, 0, 0, 1, 1, 1], [3, 4]),
        ([NAN, 0, 1, 1, 1], [1]),
        ([NAN, 1, 1, 1, 0], [4]),
        ([NAN, 1, NAN, 0, NAN, 1, 1, 1], [3]),
        ([NAN, 1, 1, 0.09, 1.3, 1, 1], [3]),  # as a coder leaves it
        ([NAN, 1, 1, 0.09, 1.2, 1, 1], []),  # motion stops and goes on as it was
        ([NAN, 1, 1, 0.11, 1.3, 1, 1], []),
        ([NAN, 1, 1, 1, 0.09], []),
        ([NAN, 1, 1, 0.09, 0, 1, 1, 1], []),  # slows down before it stops
        ([NAN, 1, 1, 2.9, 0, 1, 1], [4]),
        ([NAN, 1, 1, 3.1, 0, 1, 1], []),  # a new picture comes, and stays
        ([NAN, *[1] * 9, 0, 5, 0, 5, *[1] * 9], [10, 12]),  # stutters
        ([NAN, *[1] * 9, 0, 5, 1, 5, 0, *[1] * 9], [10]),
        ([NAN, 1, 0, 1, 0, 1, 0], []),  # more than a third
        ([NAN, 0, 0], []),
        ([NAN], []),
    ],
)
def test_frozen(change: list[float], frames: list[int]) -> None:
    assert np.flatnonzero(faults.frozen(np.array(change, float))).tolist() == frames


@pytest.mark.parametrize(
    ("change", "skip", "frames"),
    [
        ([NAN, 1, 1, 4, 4, 1, 1], [NAN, NAN, 1, 4, 1, 4, 1], [3]),
        ([NAN, 1, NAN, 1, 4, 4, NAN, 1, 1], [NAN, NAN, NAN, 1, 4, 1, NAN, 4, 1], [4]),
        ([NAN, 1, 1, 2.9, 4, 1, 1], [NAN, NAN, 1, 4, 1, 4, 1], []),
        ([NAN, 1, 1, 4, 4, 1, 1], [NAN, NAN, 1, 4, 4, 4, 1], []),  # a cut, and another
        ([NAN, 1, 1, 1, 4, 1, 1], [NAN, NAN, 1, 1, 4, 4, 1], []),  # a cut
        ([NAN, 0.1, 0.1, 0.3, 0.3, 1, 1, 1, 1, 1], [NAN, NAN, *[0.1] * 8], []),  # a quiet part
        ([NAN, 1, 1, 1, 9], [NAN, NAN, 1, 1, 9], []),  # the last has one neighbour
        ([NAN, 0, 0, 0], [NAN, NAN, 0, 0], []),
        ([NAN], [NAN], []),
    ],
)
def test_odd(change: list[float], skip: list[float], frames: list[int]) -> None:
    assert np.flatnonzero(faults.odd(np.array(change, float), np.array(skip, float))).tolist() == frames


@pytest.mark.parametrize(
    ("steps", "counts"),
    [
        ([1, 1, 2, 1, 1, 1], {2: 1}),
        ([1, 1.2, 1.75, 0.9, 1, 1], {2: 1}),
        ([1, 1, 1.74, 1, 1, 1], {}),  # slow, not late
        ([1, 1, 2.4, 1, 1, 3.6, 1, 1, 1], {2: 1, 5: 3}),
        ([1, 1, 8, 1, 1, 1], {2: 7}),  # as many as there are
        ([1, 1, 9, 1, 1, 1], {}),
        ([1, 1, 2, 2, 1, 1], {2: 1, 3: 1}),
        ([1, 1, 2, 2, 2, 1], {}),  # no step is usual
        ([0.3, 1, 2.5, 0.1, 1.4, 4], {}),
        ([1, 1, 0, 2, 1, 1], {3: 1}),
        ([0, 0, 0, 2], {}),
        ([2], {}),
    ],
)
def test_lost(steps: list[float], counts: dict[int, int]) -> None:
    for unit in (1, 0.04, 300):
        found = faults.lost(unit * np.array(steps, float))
        assert {int(place): int(found[place]) for place in np.flatnonzero(found)} == counts
        assert len(found) == len(steps)


@pytest.mark.parametrize(
    ("error", "apart", "frames"),
    [
        ([NAN, 1, 1, 9, 1, 1, NAN], [NAN, 2, 2, 2, 2, 2, NAN], [3]),
        ([NAN, 1, NAN, 1, 9, NAN, 1, 1, 1, NAN], [NAN, *[2] * 8, NAN], [4]),
        ([NAN, 1, 1, 2.9, 1, 1, NAN], [NAN, 2, 2, 2, 2, 2, NAN], []),  # noise
        ([NAN, 1, 1, 9, 1, 1, NAN], [NAN, 2, 2, 9.1, 2, 2, NAN], []),  # the neighbours are apart, too
        ([NAN, 1, 1, 9, 9, 1, 1, 1, NAN], [NAN, *[2] * 7, NAN], []),  # flickers
        ([NAN, 9, 1, 9, 1, 9, 1, 9, NAN], [NAN, *[2] * 7, NAN], []),  # more than a third
        ([NAN, 0, 0, 0.19, 0, 0, NAN], [NAN, 0, 0, 0, 0, 0, NAN], []),  # a cursor that blinks
        ([NAN, 0, 0, 0, 0, NAN], [NAN, 0, 0, 0, 0, NAN], []),
        ([NAN, NAN], [NAN, NAN], []),
    ],
)
def test_unforeseen(error: list[float], apart: list[float], frames: list[int]) -> None:
    found = faults.unforeseen(np.array(error), np.array(apart), np.full(len(error), 10.0))
    assert np.flatnonzero(found).tolist() == frames
