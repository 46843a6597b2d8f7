"""Times go on as they went."""

from fractions import Fraction

import numpy as np
import pytest

from frame_forecast.times import next_times, step_seconds


def test_the_next_times_of_seconds() -> None:
    assert next_times([0.0, 0.5, 1.0], None, 2) == [1.5, 2.0]
    assert next_times([0.0, 0.5, 2.5, 3.0], None, 2) == [3.5, 4.0]  # the usual step
    assert next_times([7.0], Fraction(30000, 1001), 3) == pytest.approx([7 + i * 1001 / 30000 for i in (1, 2, 3)])
    assert next_times([0.0, 5.0], Fraction(10), 1) == [5.1]
    assert next_times(np.concatenate([np.arange(30) * 9.0, 261.0 + np.arange(30)]), None, 1) == [291.0]  # the last


def test_the_next_times_of_dates() -> None:
    dates = np.array(["2015-05-15T23:50", "2015-05-15T23:55"], "datetime64[s]")
    assert next_times(dates, None, 2) == [np.datetime64("2015-05-16T00:00"), np.datetime64("2015-05-16T00:05")]
    assert next_times(dates, Fraction(1, 600), 1) == [np.datetime64("2015-05-16T00:05")]
    third = next_times(dates, Fraction(3), 3000)
    assert third[-1] == np.datetime64("2015-05-16T00:11:40")  # rounding does not add up
    days = np.array(["2020-02-27", "2020-02-28"], "datetime64[D]")
    assert next_times(days, None, 2) == [np.datetime64("2020-02-29"), np.datetime64("2020-03-01")]


def test_unknown_times_stay_unknown() -> None:
    assert next_times([], Fraction(10), 2) == [None, None]
    assert next_times([3.0], None, 2) == [None, None]


def test_the_step_between_frames() -> None:
    assert step_seconds([], Fraction(1, 300)) == 300
    assert step_seconds([0.0, 0.5, 1.0], None) == 0.5
    dates = np.array(["2015-05-15T23:50", "2015-05-15T23:55"], "datetime64[s]")
    assert step_seconds(dates, None) == 300
    assert step_seconds([], None) is None
    assert step_seconds([3.0], None) is None
