"""Baselines against what their names say."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from frame_forecast.masks import future
from frame_forecast.models import create
from frame_forecast.models.baselines import BASELINES


def whole(context: int, horizon: int, clips: int = 2) -> Tensor:
    return future(context, horizon).expand(clips, -1, -1, -1, -1)


@pytest.fixture
def frames() -> Tensor:
    return torch.rand((2, 5, 3, 4, 6), generator=torch.Generator().manual_seed(0))


def test_forecasts_are_one_frame_repeated(frames: Tensor) -> None:
    last = frames[:, 2:3]
    expected = {
        "black": torch.zeros_like(last),
        "mean_frame": frames[:, :3].mean(dim=1, keepdim=True),
        "copy_last": last,
        "nearest": last,
        "linear": last,
    }
    for name in BASELINES:
        prediction = create(name)(frames, whole(3, 2))[:, 3:]
        torch.testing.assert_close(prediction, expected[name].expand_as(prediction), msg=name)


def test_complete_clips() -> None:
    clip = torch.tensor([0.1, 0.2, 0.6])
    expected = {
        "black": [0.0, 0.0, 0.0],
        "mean_frame": [0.3, 0.3, 0.3],
        "copy_last": [0.2, 0.1, 0.2],  # of the other frames: never the one that it gives
        "nearest": [0.1, 0.2, 0.6],
        "linear": [0.1, 0.2, 0.6],
    }
    for name in BASELINES:
        prediction = create(name)(clip.view(1, 3, 1, 1, 1), whole(3, 0, clips=1)).flatten()
        torch.testing.assert_close(prediction, torch.tensor(expected[name]), msg=name)


NAN = math.nan  # hidden
HOLES = {  # one pixel each: what is seen of it, and what becomes of it
    "mean_frame": ([NAN, 0.2, NAN, 0.4, NAN, NAN], [0.3] * 6),
    "copy_last": ([NAN, NAN, 0.2, NAN, 0.8, NAN], [0.2, 0.2, 0.8, 0.2, 0.2, 0.8]),
    "nearest": ([NAN, 0.2, NAN, 0.8, NAN, NAN, 0.4], [0.2, 0.2, 0.2, 0.8, 0.8, 0.4, 0.4]),
    "linear": ([NAN, 0.2, NAN, NAN, 0.8, NAN], [0.2, 0.2, 0.4, 0.6, 0.8, 0.8]),
}


@pytest.mark.parametrize("name", HOLES)
def test_holes_worked_out_by_hand(name: str) -> None:
    clip, expected = (torch.tensor(values).view(1, -1, 1, 1, 1) for values in HOLES[name])
    torch.testing.assert_close(create(name)(clip, clip.isfinite()), expected)


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("shown", [None, 0, 3])
def test_a_pixel_observed_once_or_never(name: str, shown: int | None) -> None:
    clip = torch.full((1, 4, 1, 1, 1), 0.5)
    observed = torch.zeros(clip.shape, dtype=torch.bool)
    if shown is not None:
        observed[:, shown] = True
    expected = torch.full_like(clip, 0.0 if shown is None or name == "black" else 0.5)
    if shown is not None and name == "copy_last":
        expected[:, shown] = 0  # there is no other frame to copy
    assert torch.equal(create(name)(clip, observed), expected)


def by_loop(name: str, values: list[float]) -> list[float]:
    """One pixel over time; NaN = hidden."""
    seen = [t for t, value in enumerate(values) if not math.isnan(value)]
    result = []
    for t in range(len(values)):
        others = [s for s in seen if s != t] if name == "copy_last" else seen
        before, after = [s for s in others if s <= t], [s for s in others if s >= t]
        if not others:
            result.append(0.0)
        elif not before:
            result.append(values[after[0]])
        elif not after or name == "copy_last":
            result.append(values[before[-1]])
        elif name == "nearest":
            result.append(values[min(others, key=lambda s: abs(s - t))])  # of equals, the first
        else:
            result.append(float(np.interp(t, seen, [values[s] for s in seen])))
    return result


@pytest.mark.parametrize("name", ["copy_last", "nearest", "linear"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_holes_pixel_by_pixel_equal_a_loop(name: str, share: float) -> None:
    generator = torch.Generator().manual_seed(2)
    frames = torch.rand((2, 9, 2, 5, 7), generator=generator)
    observed = torch.rand((2, 9, 1, 5, 7), generator=generator) < share
    prediction = create(name)(frames, observed)
    seen = torch.where(observed, frames, torch.tensor(NAN)).movedim(1, -1).flatten(0, -2)
    for values, given in zip(seen.tolist(), prediction.movedim(1, -1).flatten(0, -2).tolist(), strict=True):
        assert given == pytest.approx(by_loop(name, values), abs=1e-6)
    if name != "copy_last":
        assert torch.equal(torch.where(observed, prediction, frames), frames)


@pytest.mark.parametrize("name", BASELINES)
def test_whole_frames_and_their_pixels_are_one(frames: Tensor, name: str) -> None:
    observed = torch.tensor([[True, False, True, False, False], [False, True, False, False, True]])[
        ..., None, None, None
    ]
    model = create(name)
    assert torch.equal(model(frames, observed), model(frames, observed.expand(-1, -1, -1, 4, 6)))


@pytest.mark.parametrize("name", BASELINES)
def test_hidden_pixels_change_nothing(frames: Tensor, name: str) -> None:
    observed = torch.rand((2, 5, 1, 4, 6), generator=torch.Generator().manual_seed(1)) < 0.5
    model = create(name)
    poisoned = torch.where(observed, frames, torch.tensor(math.nan))
    assert torch.equal(model(frames, observed), model(poisoned, observed))


@pytest.mark.parametrize("name", BASELINES)
def test_a_clip_is_the_same_in_a_padded_batch(frames: Tensor, name: str) -> None:
    model = create(name)
    alone = model(frames[:1, :3], whole(3, 0, clips=1))
    valid = torch.tensor([[True] * 3 + [False] * 2, [True] * 5])
    padded = model(frames, whole(5, 0), valid)
    torch.testing.assert_close(padded[:1, :3], alone)
    assert not padded[0, 3:].any()


@pytest.mark.parametrize("name", BASELINES)
def test_contract(frames: Tensor, name: str) -> None:
    model = create(name)
    valid = torch.tensor([[True] * 3 + [False] * 2, [True] * 5])
    assert model.tasks == {"forecast", "recreate", "reconstruct"}
    assert model.passes == (4 if name in ("nearest", "linear") else 1)
    assert torch.equal(model.given(whole(3, 2), valid), valid)
    assert model.output_layers() == []
    assert not list(model.parameters())
