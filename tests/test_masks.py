"""Masks against plain loops."""

import pytest
import torch

from frame_forecast.errors import ShapeError
from frame_forecast.masks import context_lengths, future


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
