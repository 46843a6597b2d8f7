"""Baselines against what their names say."""

import math

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


@pytest.mark.parametrize(("context", "horizon"), [(3, 2), (5, 0)])  # forecast, reconstruct
def test_every_frame_is_the_same_one(frames: Tensor, context: int, horizon: int) -> None:
    observed = whole(context, horizon)
    seen = frames[:, :context]
    expected = {
        "black": torch.zeros_like(frames[:, :1]),
        "mean_frame": seen.mean(dim=1, keepdim=True),
        "copy_last": seen[:, -1:],
    }
    for name in BASELINES:
        prediction = create(name)(frames, observed)
        torch.testing.assert_close(prediction, expected[name].expand_as(frames), msg=name)


def test_holes_are_pixel_by_pixel() -> None:
    frames = torch.tensor([0.2, 0.4, 0.9]).view(1, 3, 1, 1, 1).expand(1, 3, 1, 2, 2).clone()
    observed = torch.tensor(  # pixel by pixel: always, then never, in the first, in the first two
        [[[1, 0], [1, 1]], [[1, 0], [0, 1]], [[1, 0], [0, 0]]], dtype=torch.bool
    ).view(1, 3, 1, 2, 2)
    mean = create("mean_frame")(frames, observed)[0, 0, 0]
    last = create("copy_last")(frames, observed)[0, 0, 0]
    torch.testing.assert_close(mean, torch.tensor([[0.5, 0.0], [0.2, 0.3]]))
    torch.testing.assert_close(last, torch.tensor([[0.9, 0.0], [0.2, 0.4]]))


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
    assert model.tasks == {"forecast", "reconstruct"}
    assert torch.equal(model.given(whole(3, 2), valid), valid)
    assert model.output_layers() == []
    assert not list(model.parameters())
