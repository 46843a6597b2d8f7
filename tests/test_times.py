"""Times go on as they went."""

from fractions import Fraction

import numpy as np
import pytest

from frame_forecast.times import Time, next_times


@pytest.mark.parametrize(
    ("times", "rate", "expected"),
    [
        ([0.0, 0.5, 1.0], None, [1.5, 2.0]),
        ([0.0, 0.1, 0.2, 0.9, 1.0], None, [1.1, 1.2]),  # the usual step, not the last one
        ([1.0], Fraction(4), [1.25, 1.5]),
        ([1.0], None, [None, None]),
        ([0.0, None], Fraction(4), [None, None]),
        ([], None, [None, None]),
    ],
)
def test_seconds(times: list[Time | None], rate: Fraction | None, expected: list[float | None]) -> None:
    later = next_times(times, rate, 2)
    assert later == (expected if expected[0] is None else pytest.approx(expected))


@pytest.mark.parametrize("rate", [None, Fraction(1, 300)])
def test_dates(rate: Fraction | None) -> None:
    dates = [np.datetime64("2015-05-15T23:50"), np.datetime64("2015-05-15T23:55")]
    later = next_times(list(dates), rate, 2)
    assert later == [np.datetime64("2015-05-16T00:00"), np.datetime64("2015-05-16T00:05")]
