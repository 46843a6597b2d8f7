"""Optical flow on motion that is known, and what becomes of pixels where none can be."""

import math
import sys
from collections.abc import Callable
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from torch import Tensor

from frame_forecast.errors import ConfigError, ShapeError
from frame_forecast.models import Model, create, optical_flow
from frame_forecast.nn.motion import warp

T, H, W = 9, 72, 96
VELOCITY = (2.3, -1.2)  # pixels a frame, x first
EXACT = 0.015  # of the range of values: bilinear interpolation costs 0.01
MARGIN = 20  # no pixel further inside has come over the border


@pytest.fixture
def model() -> Model:
    return create("optical_flow")


def texture(channels: int = 1, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Waves of many lengths and directions that move by `VELOCITY`, ``(1, T, C, H, W)`` from ``low`` to ``high``.

    Args:
        channels: each of waves of its own.
        low, high: the range of values.
    """
    generator = torch.Generator().manual_seed(0)
    length, angle, phase = (torch.rand((12, channels, 1, 1), generator=generator) for _ in range(3))
    wave = 2 * math.pi / (10 + 30 * length)
    angle = 2 * math.pi * angle
    frames = []
    for t in range(T):
        x = torch.arange(W) - VELOCITY[0] * t
        y = torch.arange(H)[:, None] - VELOCITY[1] * t
        frames.append((wave * (angle.cos() * x + angle.sin() * y) + 2 * math.pi * phase).sin().sum(dim=0))
    clip = torch.stack(frames)[None]
    return low + (high - low) * (clip - clip.min()) / (clip.max() - clip.min())


def all_but(*missing: int) -> Tensor:
    """bool ``(1, T, 1, 1, 1)``: whole frames are missing."""
    return torch.tensor([t not in missing for t in range(T)]).view(1, T, 1, 1, 1)


def error(prediction: Tensor, truth: Tensor, where: Tensor) -> float:
    """The greatest one of the pixels in question, away from the border."""
    inside = slice(MARGIN, -MARGIN)
    wrong = (prediction - truth).abs().where(where, 0.0)[..., inside, inside]
    return float(wrong.max())


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize(
    "missing",
    [(4,), (3, 4, 5), (2, 3, 5), (6, 7, 8), (0, 1, 2), (0, 1, 4, 5, 7, 8)],
    ids=["gap of 1", "gap of 3", "two gaps", "forecast", "before the first", "all of these"],
)
def test_a_moving_texture_is_restored(model: Model, missing: tuple[int, ...], channels: int) -> None:
    frames, observed = texture(channels), all_but(*missing)
    assert error(model(frames, observed), frames, ~observed) < EXACT
    assert error(create("linear")(frames, observed), frames, ~observed) > 4 * EXACT


def test_all_channels_show_the_motion(model: Model) -> None:
    frames, observed = texture().repeat(1, 1, 3, 1, 1), all_but(3, 4, 8)
    frames[:, :, 0], frames[:, :, 2] = 0.5, 0.0
    assert error(model(frames, observed), frames, ~observed) < EXACT


def test_faint_frames_are_stretched_for_the_flow(model: Model) -> None:
    """They differ by less than one of 255 levels."""
    frames, observed = texture(low=0.5, high=0.503), all_but(3, 4, 8)
    assert error(model(frames, observed), frames, ~observed) < EXACT * 0.003


def test_what_is_never_observed_has_no_part_in_the_stretch(model: Model) -> None:
    frames = texture(low=0.5, high=0.503)
    observed = all_but(3, 4, 8).repeat(1, 1, 1, H, W)
    observed[:, :, :, :5] = False  # never observed: 0 there
    assert error(model(frames, observed), frames, ~observed) < EXACT * 0.003


def seen_from(place: Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]) -> Tensor:
    """One texture whose pixel ``(x, y)``, from the middle, is at time t that at ``place(t, x, y)``."""
    canvas = texture()[:, 0]
    x, y = torch.meshgrid(torch.arange(W) - W / 2, torch.arange(H) - H / 2, indexing="xy")
    frames = []
    for t in range(T):
        there = place(t, x, y)
        frames.append(warp(canvas, torch.stack([there[0] - x, there[1] - y])[None], "border"))
    return torch.stack(frames, dim=1)


def test_what_grows_has_another_flow_at_each_time_of_a_gap(model: Model) -> None:
    frames = seen_from(lambda t, x, y: (x / (1 + 0.08 * t), y / (1 + 0.08 * t)))
    observed = all_but(2, 3, 4, 5, 6)
    assert error(model(frames, observed), frames, ~observed) < 0.011
    assert error(create("linear")(frames, observed), frames, ~observed) > 0.15


def test_what_turns_goes_on_turning(model: Model) -> None:
    def place(t: int, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        cos, sin = math.cos(0.08 * t), math.sin(0.08 * t)
        return cos * x - sin * y, sin * x + cos * y

    frames, observed = seen_from(place), all_but(4, 5, 6, 7, 8)
    assert error(model(frames, observed), frames, ~observed) < 0.1
    assert error(create("linear")(frames, observed), frames, ~observed) > 0.3


def test_the_nearer_end_of_a_gap_counts_for_more(model: Model) -> None:
    frames = torch.linspace(0.1, 0.9, T).view(1, T, 1, 1, 1).expand(1, T, 1, 20, 24)
    torch.testing.assert_close(model(frames, all_but(1, 4, 5, 6)), frames)


def test_a_block_that_is_lost_for_a_while_is_restored(model: Model) -> None:
    frames = texture()
    observed = torch.ones((1, T, 1, H, W), dtype=torch.bool)
    observed[:, 3:6, :, 25:45, 30:60] = False
    observed[:, 7:, :, 30:50, 40:55] = False
    assert error(model(frames, observed), frames, ~observed) < EXACT
    assert error(create("linear")(frames, observed), frames, ~observed) > 4 * EXACT


def test_the_last_motion_is_that_of_a_frame_that_shows_more_than_the_block(model: Model) -> None:
    frames = texture()
    observed = all_but(6).repeat(1, 1, 1, H, W)
    observed[:, 8, :, 26:46, 36:56] = False
    observed[:, 6, :, 26:46, 36:56] = True
    assert error(model(frames, observed)[:, 8:], frames[:, 8:], ~observed[:, 8:]) < EXACT


def test_a_hole_in_one_end_of_a_gap_is_filled_from_the_other(model: Model) -> None:
    frames = texture()
    observed = all_but(4).repeat(1, 1, 1, H, W)
    observed[:, 3, :, 30:42, 40:52] = False
    assert error(model(frames, observed)[:, 4:5], frames[:, 4:5], torch.tensor(True)) < 2 * EXACT


@pytest.mark.parametrize(("share", "gain"), [(0.1, 10.0), (0.3, 6.0)])
def test_pixels_lost_here_and_there_are_better_than_on_a_line(model: Model, share: float, gain: float) -> None:
    frames = texture()
    observed = torch.rand((1, T, 1, H, W), generator=torch.Generator().manual_seed(1)) >= share
    mse = [
        float((one(frames, observed) - frames).square()[:, 1:-1].sum() / (~observed[:, 1:-1]).sum())
        for one in (model, create("linear"))
    ]
    assert 10 * math.log10(mse[1] / mse[0]) > gain


def test_pixels_lost_here_and_there_need_few_flows(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    flows = Mock(return_value=np.zeros((H, W, 2), np.float32))
    monkeypatch.setattr(optical_flow, "_dis", flows)
    observed = torch.rand((1, T, 1, H, W), generator=torch.Generator().manual_seed(1)) >= 0.3
    model(texture(), observed)
    assert flows.call_count == 2 * (T - 1)  # both ways between the frames beside, and one way at either end


@pytest.mark.parametrize("kind", ["frames", "blocks", "pixels"])
def test_observed_pixels_stay_and_hidden_ones_change_nothing(model: Model, kind: str) -> None:
    frames = texture(2)
    observed = all_but(0, 3, 4, 8).repeat(1, 1, 1, H, W)
    if kind == "blocks":
        observed = observed | torch.zeros((H, W), dtype=torch.bool).index_fill(0, torch.arange(30, 50), True)
    elif kind == "pixels":
        observed = torch.rand((1, T, 1, H, W), generator=torch.Generator().manual_seed(1)) < 0.7
    prediction = model(frames, observed)
    assert torch.equal(prediction.where(observed, frames), frames)
    assert torch.equal(prediction, model(frames.where(observed, math.nan), observed))
    assert torch.equal(prediction, model(frames.where(observed, 0.9), observed))


def test_whole_frames_and_their_pixels_are_one(model: Model) -> None:
    frames, observed = texture(), all_but(0, 3, 4, 8)
    assert torch.equal(model(frames, observed), model(frames, observed.expand(-1, -1, -1, H, W)))


def test_what_is_never_observed_is_0_and_drags_nothing_along(model: Model) -> None:
    """As with a radar's range: an edge that stands still in moving rain."""
    frames = texture(low=0.3)
    observed = all_but(3, 4, 8).repeat(1, 1, 1, H, W)
    observed[..., 70:] = False
    observed[..., 40, 30] = False  # a dead pixel
    prediction = model(frames, observed)
    assert not prediction[..., 70:].any()
    assert not prediction[..., 40, 30].any()
    beside = torch.zeros((H, W), dtype=torch.bool)
    beside[:, :64] = True  # further in than what has come over the edge
    beside[40, 30] = False
    assert prediction[..., beside].min() > 0.25
    assert error(prediction, frames, ~observed & beside) < EXACT


def test_nothing_is_above_1(model: Model) -> None:
    frames = (texture() > 0.4).float()
    assert model(frames, all_but(0, 3, 4, 8)).max() == 1


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_constant_frames_stay_constant(model: Model, value: float) -> None:
    frames = torch.full((1, T, 3, 20, 24), value)
    torch.testing.assert_close(model(frames, all_but(0, 3, 4, 8)), frames)


@pytest.mark.parametrize("shown", [(), (0,), (4,), (8,)])
def test_one_frame_shows_no_motion(model: Model, shown: tuple[int, ...]) -> None:
    observed = ~all_but(*shown)
    frames = texture()
    assert torch.equal(model(frames, observed), create("linear")(frames, observed))


def test_frames_that_are_mostly_hidden_show_no_motion(model: Model) -> None:
    frames = texture()
    observed = torch.zeros((1, T, 1, H, W), dtype=torch.bool)
    for third in range(3):
        observed[:, third::3, :, third * H // 3 : (third + 1) * H // 3] = True
    assert torch.equal(model(frames, observed), create("linear")(frames, observed))


def test_an_almost_hidden_frame_in_a_gap_or_at_the_end_is_passed_over(model: Model) -> None:
    frames, observed = texture(), all_but(3, 4, 5, 7, 8).repeat(1, 1, 1, H, W)
    observed[:, [4, 7], :, 30:40, 40:50] = True
    assert error(model(frames, observed), frames, ~observed) < EXACT


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 5), (11, 11), (12, 300), (129, 7)])
@pytest.mark.parametrize("channels", [1, 4])
def test_frames_of_any_size(model: Model, size: tuple[int, int], channels: int) -> None:
    frames = torch.rand((2, T, channels, *size), generator=torch.Generator().manual_seed(0))
    prediction = model(frames, all_but(0, 3, 4, 8).expand(2, -1, -1, -1, -1))
    assert prediction.shape == frames.shape
    assert prediction.isfinite().all()
    assert prediction.min() >= 0
    assert prediction.max() <= 1


def test_small_frames_are_followed_too(model: Model) -> None:
    frames, observed = texture()[..., 30:46, 30:70], all_but(4)
    wrong = [(one(frames, observed) - frames)[:, 4, :, 4:-4, 4:-4].square().mean() for one in (model, create("linear"))]
    assert wrong[0] < wrong[1] / 10


def test_padding_is_0_and_changes_nothing(model: Model) -> None:
    frames, observed = texture().repeat(2, 1, 1, 1, 1), all_but(3).repeat(2, 1, 1, 1, 1)
    valid = torch.arange(T) < torch.tensor([[0], [6]])
    prediction = model(frames, observed, valid)
    assert torch.equal(prediction[1:, :6], model(frames[1:, :6], observed[1:, :6]))
    assert not prediction[0].any()
    assert not prediction[1, 6:].any()


def test_frames_with_gradients_are_taken(model: Model) -> None:
    frames, observed = texture(), all_but(3, 8)
    prediction = model(frames.clone().requires_grad_(), observed)
    assert torch.equal(prediction.detach(), model(frames, observed))


def test_a_side_that_opencv_cannot_take_is_refused(model: Model) -> None:
    with pytest.raises(ShapeError, match="1x32767"):
        model(torch.zeros((1, T, 1, 1, 32767)), all_but(4))


def test_without_opencv_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ConfigError, match='pip install "opencv-python-headless"'):
        create("optical_flow")
    assert create("linear").tasks


def test_contract(model: Model) -> None:
    assert model.tasks == {"forecast", "recreate", "reconstruct"}
    assert model.passes == 4
    assert not list(model.parameters())
