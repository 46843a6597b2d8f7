"""Lists of frames: what they mean, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from frame_forecast.errors import ConfigError
from frame_forecast.ranges import check_ranges, format_ranges, frame_ranges


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("0", [0]),
        ("101-102,200-204", [101, 102, 200, 201, 202, 203, 204]),
        (" 7 , 3 - 5,4", [3, 4, 5, 7]),
        ("9-9", [9]),
        ("007", [7]),
        ("299", [299]),
    ],
)
def test_what_lists_mean(text: str, numbers: list[int]) -> None:
    assert frame_ranges(text, 300) == numbers


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "''"),
        ("1,,2", "''"),
        ("1-", "'1-'"),
        ("-1", "'-1'"),
        ("one", "'one'"),
        ("1.5", "'1.5'"),
        ("1-2-3", "'1-2-3'"),
        ("٣", "'٣'"),
        ("5-3", "backwards.*3-5"),
        ("300", "0 to 299"),
        ("0-999999999999", "0 to 299"),
        ("9" * 5000, "is none"),
    ],
)
def test_what_is_no_list(text: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        frame_ranges(text, 300)


@given(st.sets(st.integers(0, 99), min_size=1))
def test_lists_come_back(numbers: set[int]) -> None:
    text = format_ranges(numbers)
    assert frame_ranges(text, 100) == sorted(numbers)
    starts = [number for number in numbers if number - 1 not in numbers]
    assert len(text.split(",")) == len(starts)  # as short as it can be


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), min_size=1))
def test_lists_mean_what_a_loop_says(pairs: list[tuple[int, int]]) -> None:
    text = ",".join(f"{first}-{first + more}" for first, more in pairs)
    assert frame_ranges(text, 60) == sorted({n for first, more in pairs for n in range(first, first + more + 1)})


def test_none_is_nothing() -> None:
    assert format_ranges([]) == ""


@pytest.mark.parametrize("text", ["", "1,", "x", "5-3", "-1"])
def test_a_list_that_is_none_is_told_without_a_clip(text: str) -> None:
    with pytest.raises(ConfigError):
        check_ranges(text)
    check_ranges("0,7-999999999999")
