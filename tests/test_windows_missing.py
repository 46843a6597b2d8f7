"""Windows around what is missing: everything kept once, with observed frames on both sides."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from frame_forecast.windows import Missing, Window, around

MASKS = st.lists(st.lists(st.booleans(), min_size=2, max_size=2), min_size=1, max_size=40)


def spans(
    observed: list[list[bool]], longest: int = 2003, never: list[bool] | None = None
) -> tuple[list[int], list[int]]:
    missing = Missing(longest)
    for frame in observed:
        missing.add(np.array(frame).reshape(1, 1, -1))
    first, last = missing.spans(None if never is None else np.array(never).reshape(1, 1, -1))
    return first.tolist(), last.tolist()


def gap(pixel: list[bool], t: int) -> tuple[int, int]:
    """The first and the last frame of the gap that ``t`` is in."""
    start = max((s + 1 for s in range(t) if pixel[s]), default=0)
    return start, min((s for s in range(t, len(pixel)) if pixel[s]), default=len(pixel)) - 1


@given(MASKS, st.integers(1, 45))
def test_spans_are_those_of_a_search(observed: list[list[bool]], limit: int) -> None:
    first, last = spans(observed, 2 * limit + 3)
    some = [any(frame) for frame in observed]
    for t, frame in enumerate(observed):
        gaps = [gap([row[p] for row in observed], t) for p in range(2) if not frame[p]]
        if not gaps:
            assert (first[t], last[t]) == (-1, -1)
        elif some[t]:
            assert first[t] == max(t - limit, min(start for start, _ in gaps))
            assert last[t] == min(t + limit, max(stop for _, stop in gaps))
        else:
            assert (first[t], last[t]) == gap(some, t)


@given(MASKS, st.integers(1, 25))
@example([[False, t in (4, 7)] for t in range(9)], 8)  # a gap behind frames whose window has no room for all of it
def test_each_frame_with_a_hole_is_kept_once_and_sees_both_ends_of_it(observed: list[list[bool]], longest: int) -> None:
    T = len(observed)
    first, last = spans(observed, longest)
    windows = around(np.array(first), np.array(last), longest)
    assert [t for window in windows for t in window.kept] == [t for t in range(T) if not all(observed[t])]
    for window in windows:
        assert set(window.kept) <= set(window.frames) <= set(range(T))
        margin = longest * 3 // 10
        needed: dict[tuple[int, int], range] = {}
        for t in window.kept:
            frames = range(max(0, min(first[t] - 1, t - margin)), min(T, max(last[t] + 2, t + margin + 1)))
            assert set(frames) <= set(window.frames)
            same = needed.setdefault((first[t], last[t]), frames)
            needed[first[t], last[t]] = range(min(same.start, frames.start), max(same.stop, frames.stop))
        assert len(window.frames) <= max(min(longest, T), *map(len, needed.values()))  # longer for one gap alone


@given(MASKS, st.integers(1, 25))
def test_a_gap_of_whole_frames_is_kept_from_one_window(observed: list[list[bool]], longest: int) -> None:
    first, last = spans(observed, longest)
    home = {t: n for n, window in enumerate(around(np.array(first), np.array(last), longest)) for t in window.kept}
    pairs = [t for t in range(1, len(observed)) if not any(observed[t]) and not any(observed[t - 1])]
    assert all(home[t - 1] == home[t] for t in pairs)


def test_windows_of_worked_examples() -> None:
    def windows(missing: list[int], T: int) -> list[Window]:
        return around(*map(np.array, spans([[t not in missing] for t in range(T)])), 8)

    assert windows([], 9) == []
    assert windows([4], 9) == [Window(range(2, 7), [4])]
    assert windows([20], 40) == [Window(range(18, 23), [20])]
    assert windows([20, 23, 25], 40) == [Window(range(18, 26), [20, 23]), Window(range(23, 28), [25])]
    assert windows(list(range(10, 30)), 40) == [Window(range(8, 32), list(range(10, 30)))]  # longer than usual
    assert windows([38, 39], 40) == [Window(range(32, 40), [38, 39])]  # seen from one side alone
    assert windows([0], 40) == [Window(range(8), [0])]


def test_pixels_that_are_never_observed_may_count_as_missing_nowhere() -> None:
    observed = [[True, False], [True, False], [False, False], [True, False]]
    assert spans(observed)[0] == [0, 0, 2, 0]
    assert spans(observed, never=[True, True])[0] == [-1, -1, 2, -1]
