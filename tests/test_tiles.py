"""Tiles: the whole is what a model of small reach gives at once, and there is no seam otherwise."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from frame_forecast import weights
from frame_forecast.models import create
from frame_forecast.predict import Forecaster
from frame_forecast.tiles import fitted, run_in_tiles


def clip(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [(16, 16), (17, 40), (64, 33), (8, 9)])
def test_what_a_pixel_alone_decides_is_the_same_in_tiles(size: tuple[int, int]) -> None:
    frames = clip(2, 3, 2, *size)
    observed = clip(2, 3, 1, *size) < 0.5
    shapes = []

    def run(some: Tensor, seen: Tensor) -> Tensor:
        shapes.append(some.shape[-2:])
        return some**2 + 0.5 * seen

    result = run_in_tiles(run, frames, observed, (16, 16), holes_only=False)
    torch.testing.assert_close(result, frames**2 + 0.5 * observed)
    assert all(height == min(16, size[0]) and width == min(16, size[1]) for height, width in shapes)


@given(st.integers(1, 3000), st.sampled_from([40, 128, 256, 300, 512]))
def test_no_fewer_and_no_smaller_tiles_would_do(length: int, tile: int) -> None:
    side = fitted(length, tile)
    assert side <= min(length, tile)
    places = ran_in(length, side)
    assert places[0][0] == 0
    assert places[-1][1] == length
    shared = [before[1] - after[0] for before, after in pairwise(places)]
    assert all(pixels >= min(32, side // 4) for pixels in shared)
    assert all(start % 16 == 0 for start, _ in places)
    if len(places) > 1 and tile >= 256:  # smaller tiles share less
        usable = tile - (tile - length) % 16
        fewest = 1 + -(-(length - usable) // ((usable - 32) // 16 * 16))
        assert len(places) == fewest
        assert (fewest - 1) * ((side - 16 - 32) // 16 * 16) < length - (side - 16)  # 16 less leave a hole


def ran_in(length: int, side: int) -> list[tuple[int, int]]:
    """First pixel and end of each tile of frames one row high."""
    places = []

    def run(some: Tensor, _: Tensor) -> Tensor:
        places.append((int(some[0, 0, 0, 0, 0]), int(some[0, 0, 0, 0, -1]) + 1))
        return some

    frames = torch.arange(length).float().expand(1, 1, 1, 1, length)
    run_in_tiles(run, frames, torch.ones((1, 1, 1, 1, length), dtype=torch.bool), (1, side), holes_only=False)
    return places


def test_tiles_take_few_pixels_more_than_the_frame_has() -> None:
    assert (fitted(720, 256), fitted(1280, 256)) == (208, 240)
    assert len(ran_in(720, 208)) * 208 * len(ran_in(1280, 240)) * 240 < 1.31 * 720 * 1280


def test_tiles_without_holes_are_left_out() -> None:
    frames, observed = clip(1, 2, 1, 40, 40), torch.ones((1, 2, 1, 40, 40), dtype=torch.bool)
    observed[..., 35:, 35:] = False
    ran = []
    result = run_in_tiles(lambda x, seen: ran.append(1) or x, frames, observed, (16, 16), holes_only=True)
    assert len(ran) == 1
    assert torch.equal(result[~observed], frames[~observed])


def test_the_seam_is_as_smooth_as_the_rest() -> None:
    """A model whose answer differs from tile to tile (each tile's own mean) leaves no step where two meet."""
    W = 96
    frames = torch.linspace(0, 1, W).expand(1, 1, 1, 32, W).contiguous()
    observed = torch.ones((1, 1, 1, 32, W), dtype=torch.bool)
    result = run_in_tiles(lambda x, _: x.mean().expand_as(x), frames, observed, (32, 32), holes_only=False)
    steps = result[0, 0, 0, 0].diff().abs()
    ends = result.amax() - result.amin()
    assert ends > 0.5
    assert steps.max() < ends / 10  # without blending there would be three steps of a third of it


def test_a_convolution_is_the_same_in_tiles_but_near_their_sides() -> None:
    """Where the tiles' own edges weigh little: the difference is a small part of what it is without overlap."""
    kernel = torch.full((1, 1, 5, 5), 1 / 25)
    frames, observed = clip(1, 1, 1, 64, 64), torch.ones((1, 1, 1, 64, 64), dtype=torch.bool)

    def run(x: Tensor, _: Tensor) -> Tensor:
        return F.conv2d(x[0], kernel, padding=2)[None]

    whole = run(frames, observed)
    difference = (run_in_tiles(run, frames, observed, (32, 32), holes_only=False) - whole).abs()
    cut = torch.cat([torch.cat([run(q, observed) for q in row.split(32, -1)], -1) for row in frames.split(32, -2)], -2)
    assert difference.max() < (cut - whole).abs().max() / 3


def test_a_model_of_one_size_takes_larger_frames() -> None:
    model = create("lstm_autoencoder", height=16, width=16, hidden=8)
    contract = weights.Contract("", context=4, horizon=2, channels=1, height=16, width=16)
    forecaster = Forecaster(model, "lstm_autoencoder", contract, "cpu", "float32")
    x = clip(4, 20, 37).numpy()
    result = forecaster.forecast(x, 2)
    assert result.shape == (2, 20, 37)
    np.testing.assert_allclose(result[:, 0, 0], forecaster.forecast(x[:, :16, :16], 2)[:, 0, 0], atol=1e-6)
