"""Windows: every frame from where it is most central, every pass hides what it keeps."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frame_forecast.windows import Window, cut, frames_seen, interleave, one_value

LENGTHS = st.integers(1, 60), st.integers(1, 25)


@given(*LENGTHS)
def test_each_frame_is_kept_once_where_it_is_most_central(frames: int, longest: int) -> None:
    windows = cut(frames, longest)
    assert [t for window in windows for t in window.kept] == list(range(frames))
    for window in windows:
        assert len(window.frames) == min(frames, longest)
        assert set(window.kept) <= set(window.frames) <= set(range(frames))
        assert window.kept
        for t in window.kept:
            distances = {w.frames.start: abs(2 * t - w.frames.start - w.frames[-1]) for w in windows}
            assert distances[window.frames.start] == min(distances.values())


def test_windows_of_a_worked_example() -> None:
    assert cut(9, 4) == [
        Window(range(0, 4), range(0, 3)),
        Window(range(2, 6), range(3, 5)),
        Window(range(4, 8), range(5, 7)),
        Window(range(5, 9), range(7, 9)),
    ]
    assert cut(4, 4) == [Window(range(4), range(4))]


@given(*LENGTHS, st.integers(1, 6))
def test_each_kept_frame_is_kept_by_one_pass(frames: int, longest: int, passes: int) -> None:
    for window in cut(frames, longest):
        made = interleave(window, passes)
        assert sorted(t for one in made for t in one.kept) == list(window.kept)
        for one in made:
            assert one.frames == window.frames
            assert one.kept
            if passes > 1:
                assert set(one.kept) <= set(one.hidden) <= set(one.frames)
                assert len({t % passes for t in one.hidden}) == 1
                assert all(t in one.hidden for t in one.frames if t % passes == one.hidden[0] % passes)


def test_one_pass_hides_nothing() -> None:
    (window,) = cut(5, 8)
    assert interleave(window, 1) == [window]
    assert not window.hidden


@pytest.mark.parametrize(
    ("observed", "seen", "constant"),
    [
        ([[1, 1], [1, 1], [1, 1]], 3, False),
        ([[0, 0], [0, 0], [0, 0]], 0, False),
        ([[0, 0], [0, 1], [0, 0]], 1, True),
        ([[0, 1], [0, 1], [0, 0]], 2, True),
        ([[1, 1], [0, 0], [0, 0]], 1, False),
    ],
)
def test_what_a_canvas_shows(observed: list[list[int]], seen: int, constant: bool) -> None:
    frames = torch.tensor([[0.0, 1], [0, 1], [0, 1]]).reshape(1, 3, 1, 1, 2)
    mask = torch.tensor(observed, dtype=torch.bool).reshape(1, 3, 1, 1, 2)
    assert frames_seen(mask).tolist() == [seen]
    assert one_value(frames, mask).tolist() == [constant]
