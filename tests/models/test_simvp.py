"""SimVP against its equations, and what it makes of clips that it was not built for."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from frame_forecast.errors import ConfigError
from frame_forecast.masks import future
from frame_forecast.models import create
from frame_forecast.models.simvp import GatedBlock, SimVp, SimVpConfig


@pytest.fixture
def model() -> SimVp:
    torch.manual_seed(0)
    model = SimVp(SimVpConfig(window=3, hidden=4, halvings=2, width=6, layers=3, expansion=2))
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model.eval()


def clips(batch: int, frames: int) -> Tensor:
    return torch.rand((batch, frames, 1, 8, 8), generator=torch.Generator().manual_seed(1))


def forecast(model: SimVp, frames: Tensor, horizon: int) -> Tensor:
    B, context, *size = frames.shape
    canvas = torch.cat([frames, frames.new_full((B, horizon, *size), 0.5)], dim=1)
    return model(canvas, future(context, horizon)[None].expand(B, -1, -1, -1, -1))[:, context:]


def test_the_preset_has_the_published_size() -> None:
    model = create("simvp")
    parameters = sum(p.numel() for p in model.parameters())
    assert f"{parameters:,}" in str(SimVp.__doc__)
    assert parameters / 1e6 == pytest.approx(46.8, abs=0.05)


def test_gated_block_by_hand() -> None:
    """The paper's equations in NumPy, each convolution a plain loop over pixels."""
    torch.manual_seed(0)
    width, H, W = 2, 5, 4
    block = GatedBlock(width, expansion=3).double().eval()
    for value in (*block.parameters(), *(b for b in block.buffers() if b.is_floating_point())):
        nn.init.normal_(value, std=0.5)
    block.norm.running_var.uniform_(0.5, 2)
    block.mix_norm.running_var.uniform_(0.5, 2)
    kernels = {name: value.numpy() for name, value in block.state_dict().items()}
    x = np.random.default_rng(0).normal(size=(width, H, W))

    def convolve(name: str, maps: np.ndarray, apart: int = 1) -> np.ndarray:
        kernel, bias = kernels[f"{name}.weight"], kernels[f"{name}.bias"]
        outputs, inputs, size, _ = kernel.shape
        out = np.tile(bias[:, None, None], (1, H, W))
        for k, i, row, column, y, x in np.ndindex(outputs, inputs, size, size, H, W):
            at = y + apart * (row - size // 2), x + apart * (column - size // 2)
            if 0 <= at[0] < H and 0 <= at[1] < W:
                out[k, y, x] += kernel[k, i, row, column] * maps[k if inputs < len(maps) else i, *at]
        return out

    def norm(name: str, maps: np.ndarray) -> np.ndarray:
        mean, variance, weight, bias = (
            kernels[f"{name}.{key}"][:, None, None] for key in ("running_mean", "running_var", "weight", "bias")
        )
        return (maps - mean) / np.sqrt(variance + 1e-5) * weight + bias

    gelu: Callable[[np.ndarray], np.ndarray] = np.vectorize(lambda a: a * (1 + math.erf(a / math.sqrt(2))) / 2)
    y = norm("norm", x)
    both = convolve("attend", convolve("far", convolve("near", gelu(convolve("input", y))), apart=3))
    gated = both[:width] / (1 + np.exp(-both[width:]))
    x2 = x + kernels["scale"] * (y + convolve("output", gated))
    inside = gelu(convolve("mix_near", convolve("mix_input", norm("mix_norm", x2))))
    expected = x2 + kernels["mix_scale"] * convolve("mix_output", inside)
    np.testing.assert_allclose(block(torch.from_numpy(x)[None])[0].detach(), expected, atol=1e-12)


def test_each_frame_is_encoded_by_itself_and_drawn_at_its_place(model: SimVp) -> None:
    """The network's parts called one after the other, one frame at a time where they see one."""
    frames = clips(1, 3)
    skips = [model.first(frames[:, t]) for t in range(3)]
    features = model.translator(torch.cat([model.encoder(skip) for skip in skips], dim=1))
    for t, made in enumerate(forecast(model, frames, 3)[0]):
        drawn = model.head(model.last(model.decoder(features[:, 4 * t : 4 * t + 4]) + skips[t]))
        torch.testing.assert_close(made, torch.sigmoid(drawn[0]))


def test_longer_forecasts_read_shorter_ones(model: SimVp) -> None:
    frames = clips(2, 3)
    first = forecast(model, frames, 3)
    torch.testing.assert_close(forecast(model, frames, 8)[:, 3:6], forecast(model, first, 3))
    torch.testing.assert_close(forecast(model, frames, 8)[:, :3], first)
    torch.testing.assert_close(forecast(model, frames, 2), first[:, :2])


def test_of_more_frames_the_last_are_read_and_of_fewer_the_first_is_repeated(model: SimVp) -> None:
    frames = clips(2, 5)
    torch.testing.assert_close(forecast(model, frames, 4), forecast(model, frames[:, 2:], 4))
    repeated = frames[:, [0, 0, 1]]
    torch.testing.assert_close(forecast(model, frames[:, :2], 4), forecast(model, repeated, 4))


def test_missing_pixels_keep_their_last_value(model: SimVp) -> None:
    frames = clips(1, 6)
    observed = future(3, 3)[None].expand(1, 6, 1, 8, 8).clone()
    observed[0, 1] = False
    observed[0, 2, :, 2:5, 3:6] = False
    observed[0, :2, :, 7] = False  # a row without a value before
    filled = frames[:, :3].clone()
    filled[0, 1] = filled[0, 0]
    filled[0, 2, :, 2:5, 3:6] = filled[0, 0, :, 2:5, 3:6]
    filled[0, :2, :, 7] = filled[0, 2, :, 7]
    torch.testing.assert_close(model(frames, observed)[:, 3:], forecast(model, filled, 3))


def test_only_frames_after_the_context_are_given(model: SimVp) -> None:
    observed = torch.tensor([[1, 0, 1, 0, 0], [1, 1, 1, 1, 0]], dtype=torch.bool)[:, :, None, None, None]
    valid = torch.ones(2, 5, dtype=torch.bool)
    given = model.given(observed, valid)
    assert given.tolist() == [[False, False, False, True, True], [False, False, False, False, True]]
    made = model(clips(2, 5), observed)
    assert (made[~given] == 0).all()
    assert (made[given] > 0).all()


@pytest.mark.parametrize(
    ("settings", "word"),
    [({"hidden": 5}, "hidden"), ({"halvings": 9}, "halvings"), ({"layers": 0}, "layers"), ({"window": 0}, "window")],
)
def test_networks_that_cannot_be_are_named(settings: dict, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        SimVpConfig(**settings)
