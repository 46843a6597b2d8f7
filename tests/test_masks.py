"""Masks against plain loops and against what their names say."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from frame_forecast.errors import ConfigError, ShapeError
from frame_forecast.masks import (
    Block,
    Gap,
    Pattern,
    Pixels,
    RandomFrames,
    Stripes,
    context_lengths,
    future,
    parse_pattern,
)
from frame_forecast.philox import stream_key

KEY = stream_key(0, "test")
CLIPS = np.arange(400)
TEXTS = ["random:0.5", "gap:5", "gap:3-8", "block:7", "stripes:4", "pixels:0.3"]


def missing(text: str, index: np.ndarray = CLIPS, size: tuple[int, int, int] = (20, 12, 16)) -> Tensor:
    return ~parse_pattern(text).observed(index, *size, KEY)


@pytest.mark.parametrize(("context", "horizon"), [(1, 0), (1, 3), (4, 1)])
def test_future_hides_the_frames_after_the_context(context: int, horizon: int) -> None:
    mask = future(context, horizon)
    assert mask.dtype == torch.bool
    assert mask.shape == (context + horizon, 1, 1, 1)
    assert mask.flatten().tolist() == [True] * context + [False] * horizon


@pytest.mark.parametrize(("context", "horizon", "named"), [(0, 3, "context=0"), (-1, 3, "context=-1"), (2, -1, "-1")])
def test_future_refuses_impossible_numbers(context: int, horizon: int, named: str) -> None:
    with pytest.raises(ShapeError, match=named):
        future(context, horizon)


@pytest.mark.parametrize("size", [(1, 1), (3, 2)])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_context_lengths_equal_a_loop(size: tuple[int, int], share: float) -> None:
    generator = torch.Generator().manual_seed(1)
    B, T = 12, 6
    observed = torch.rand((B, T, 1, *size), generator=generator) < share
    lengths = torch.randint(0, T + 1, (B,), generator=generator)
    valid = torch.arange(T) < lengths[:, None]
    expected = []
    for b in range(B):
        last = 0
        for t in range(T):
            if valid[b, t] and observed[b, t].any():
                last = t + 1
        expected.append(last)
    assert context_lengths(observed, valid).tolist() == expected


@pytest.mark.parametrize(
    ("text", "pattern", "canonical"),
    [
        ("random:0.5", RandomFrames(0.5), "random:0.5"),
        ("random:0.250", RandomFrames(0.25), "random:0.25"),
        ("gap:5", Gap(5, 5), "gap:5"),
        ("gap:5-5", Gap(5, 5), "gap:5"),
        ("gap:3-8", Gap(3, 8), "gap:3-8"),
        ("block:16", Block(16), "block:16"),
        ("stripes", Stripes(4), "stripes:4"),
        ("stripes:2", Stripes(2), "stripes:2"),
        ("pixels:0.125", Pixels(0.125), "pixels:0.125"),
    ],
)
def test_texts_and_patterns(text: str, pattern: Pattern, canonical: str) -> None:
    assert parse_pattern(text) == pattern
    assert str(pattern) == canonical
    assert parse_pattern(canonical) == pattern


@pytest.mark.parametrize(
    "text",
    [
        *("", "noise", "random", "random:", "random:0", "random:1", "random:half", "random:nan"),
        *("gap", "gap:0", "gap:5-3", "gap:-3", "gap:3-", "gap:1.5", "block", "block:0"),
        *("stripes:", "stripes:0", "pixels:1.5", "pixels:0.5:2"),
    ],
)
def test_bad_texts_are_told_every_form(text: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_pattern(text)
    for form in ("random:0.5", "gap:5", "gap:3-8", "block:16", "stripes", "stripes:4", "pixels:0.5"):
        assert form in str(error.value)


@pytest.mark.parametrize("text", TEXTS)
def test_a_clip_has_its_mask_whatever_the_batch(text: str) -> None:
    index = np.array([7, 2**40, 0, 7, 3])
    together = missing(text, index)
    assert together.dtype == torch.bool
    assert together.shape == (5, 20, 1, *((12, 16) if text.startswith(("block", "stripes", "pixels")) else (1, 1)))
    for row, number in enumerate(index):
        assert torch.equal(missing(text, np.array([number]))[0], together[row])
    assert not torch.equal(together[0], together[1])
    other_key = ~parse_pattern(text).observed(index, 20, 12, 16, stream_key(1, "test"))
    assert not torch.equal(other_key, together)


@pytest.mark.parametrize(
    ("share", "frames", "hidden"), [("0.5", 20, 10), ("0.01", 20, 1), ("0.99", 20, 19), ("0.3", 9, 3), ("0.5", 2, 1)]
)
def test_random_hides_so_many_frames_and_every_frame_as_often(share: str, frames: int, hidden: int) -> None:
    mask = missing(f"random:{share}", size=(frames, 4, 4)).flatten(1).double()
    assert (mask.sum(dim=1) == hidden).all()
    # Standard error of a share of 400 clips: 0.025 at most.
    torch.testing.assert_close(mask.mean(dim=0), torch.full((frames,), hidden / frames).double(), atol=0.11, rtol=0)


def test_gap_is_one_run_of_every_length_at_every_place_inside() -> None:
    seen = set()
    for row in missing("gap:2-4", size=(8, 4, 4)).flatten(1).tolist():
        start, length = row.index(True), sum(row)
        assert row == [False] * start + [True] * length + [False] * (8 - start - length)
        seen.add((start, length))
    assert seen == {(start, length) for length in (2, 3, 4) for start in range(1, 8 - length)}


def test_block_is_one_square_at_every_place_the_same_in_every_frame() -> None:
    mask = missing("block:3", size=(4, 5, 6))
    assert (mask == mask[:, :1]).all()
    seen = set()
    for frame in mask[:, 0, 0]:
        rows, columns = frame.nonzero().T.tolist()
        assert len(rows) == 9
        assert (max(rows) - min(rows), max(columns) - min(columns)) == (2, 2)
        seen.add((min(rows), min(columns)))
    assert seen == {(top, left) for top in range(3) for left in range(4)}


def test_stripes_alternate_in_either_direction_from_every_phase() -> None:
    mask = missing("stripes:2", size=(4, 7, 7))
    assert (mask == mask[:, :1]).all()
    seen = set()
    for frame in mask[:, 0, 0]:
        vertical = bool((frame == frame[:1]).all())
        line = (frame[0] if vertical else frame[:, 0]).tolist()
        assert vertical or (frame == frame[:, :1]).all()
        assert all(line[i] != line[i + 2] for i in range(5))  # two missing, two observed, and so on
        seen.add((vertical, *line[:3]))
    phases = [(False, False, True), (False, True, True), (True, True, False), (True, False, False)]
    assert seen == {(vertical, *phase) for vertical in (False, True) for phase in phases}


def test_pixels_are_independent_in_place_and_time() -> None:
    mask = missing("pixels:0.3", index=np.arange(40)).double()  # 40 x 20 x 12 x 16 = 153,600 pixels
    assert mask.mean().item() == pytest.approx(0.3, abs=0.006)
    for axis in (0, 1, 3, 4):  # both hidden: 0.09, if neighbours know nothing of each other
        length = mask.shape[axis] - 1
        both = mask.narrow(axis, 0, length) * mask.narrow(axis, 1, length)
        assert both.mean().item() == pytest.approx(0.09, abs=0.005)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("random:0.5", (1, 9, 9)),
        ("gap:3-8", (9, 9, 9)),
        ("gap:8", (9, 9, 9)),
        ("block:9", (9, 9, 12)),
        ("block:9", (9, 12, 9)),
        ("stripes:9", (9, 9, 12)),
    ],
)
def test_clips_that_a_pattern_does_not_fit(text: str, size: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigError, match="or more"):
        missing(text, size=size)


def integers(most: int) -> st.SearchStrategy[int]:
    return st.integers(1, most)


shares = st.floats(0, 1, exclude_min=True, exclude_max=True)
patterns = st.one_of(
    st.builds(RandomFrames, shares),
    st.tuples(integers(9), integers(9)).map(lambda pair: Gap(min(pair), max(pair))),
    st.builds(Block, integers(9)),
    st.builds(Stripes, integers(9)),
    st.builds(Pixels, shares),
)


@given(patterns, st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=3), integers(12), integers(12), integers(12))
def test_a_pattern_fits_or_says_so(pattern: Pattern, index: list[int], frames: int, height: int, width: int) -> None:
    assert parse_pattern(str(pattern)) == pattern
    try:
        observed = pattern.observed(np.array(index), frames, height, width, KEY)
    except ConfigError:
        return
    if not isinstance(pattern, Pixels):  # there, chance may take all or nothing
        assert observed.flatten(1).any(dim=1).all()
        assert not observed.flatten(1).all(dim=1).any()
    if isinstance(pattern, Gap):
        assert observed[:, [0, -1]].all()
    whole_frames = isinstance(pattern, RandomFrames | Gap)
    assert observed.shape == (len(index), frames, 1, *((1, 1) if whole_frames else (height, width)))
