"""SwinLSTM against its equations."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from frame_forecast.errors import ConfigError
from frame_forecast.masks import future
from frame_forecast.models import create
from frame_forecast.models.swin_lstm import (
    SwinBlock,
    SwinLstm,
    SwinLstmCell,
    SwinLstmConfig,
    WindowAttention,
    strangers,
)


def normal(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module.eval()


def test_the_preset_has_the_published_size_without_layers_that_are_never_called() -> None:
    model = create("swin_lstm")
    parameters = sum(p.numel() for p in model.parameters())
    assert f"{parameters:,}" in str(SwinLstm.__doc__)
    # Merging in every other block, and the second embedding with its norm.
    unused = sum(2 * n * n + n for n in (128, 256, 256, 256, 512, 256, 256, 256)) + 5 * 128 + 2 * 128
    assert (parameters + unused) / 1e6 == pytest.approx(20.2, abs=0.05)


@pytest.mark.parametrize("shift", [0, 1])
def test_shifted_windows_by_hand(shift: int) -> None:
    """A block's attention, each pair of positions by itself: in NumPy, without rolling."""
    width, heads, window, H, W = 4, 2, 3, 6, 6
    block = normal(SwinBlock(width, heads, window, shift, merges=False).double())
    assert isinstance(block, SwinBlock)
    attention = block.attention
    weights = {name: value.numpy() for name, value in attention.state_dict().items()}
    y = np.random.default_rng(0).normal(size=(H, W, width))
    q, k, v = np.split(y @ weights["input.weight"].T + weights["input.bias"], 3, axis=-1)
    bias = weights["bias"].reshape(heads, 2 * window - 1, 2 * window - 1)

    def window_of(row: int, column: int) -> tuple[int, int]:  # borders lie at shift, shift + window, ...
        return (row - shift) // window, (column - shift) // window

    found = np.zeros((H, W, width))
    for head in range(heads):
        part = slice(2 * head, 2 * head + 2)
        for at in np.ndindex(H, W):
            others = [other for other in np.ndindex(H, W) if window_of(*other) == window_of(*at)]
            scores = np.array([
                q[at][part] @ k[other][part] / math.sqrt(2)
                + bias[head, at[0] - other[0] + window - 1, at[1] - other[1] + window - 1]
                for other in others
            ])  # fmt: skip
            shares = np.exp(scores) / np.exp(scores).sum()
            found[at][part] = sum(share * v[other][part] for share, other in zip(shares, others, strict=True))
    expected = found @ weights["output.weight"].T + weights["output.bias"]

    x = torch.from_numpy(y)[None]
    apart = strangers(H, W, window, shift, like=x)
    rolled = attention(x.roll((-shift, -shift), dims=(1, 2)), apart).roll((shift, shift), dims=(1, 2))
    np.testing.assert_allclose(rolled[0].detach(), expected, atol=1e-12)
    # The block: rolled itself, around the same attention.
    block.norm, block.mix_norm, block.mix = nn.Identity(), nn.Identity(), nn.Identity()
    torch.testing.assert_close(block(x, x, apart), 2 * (x + rolled))


def test_block_merges_two_inputs_that_share_a_norm() -> None:
    block = normal(SwinBlock(4, heads=2, window=2, shift=0, merges=True).double())
    assert isinstance(block, SwinBlock)
    x, other = torch.randn((2, 1, 4, 2, 4), dtype=torch.float64)

    def norm(maps: torch.Tensor, layer: nn.LayerNorm) -> torch.Tensor:
        spread = (maps - maps.mean(-1, keepdim=True)) / (maps.var(-1, keepdim=True, correction=0) + 1e-5).sqrt()
        return spread * layer.weight + layer.bias

    kernel, bias = block.merge.weight, block.merge.bias
    merged = norm(x, block.norm) @ kernel[:, :4].T + norm(other, block.norm) @ kernel[:, 4:].T + bias
    apart = strangers(4, 2, 2, 0, like=x)
    y = x + block.attention(merged, apart)
    first, _, second = block.mix
    inside = norm(y, block.mix_norm) @ first.weight.T + first.bias
    expected = y + (inside * (1 + torch.erf(inside / math.sqrt(2))) / 2) @ second.weight.T + second.bias
    torch.testing.assert_close(block(x, other, apart), expected)


def test_cell_has_one_gate() -> None:
    cell = normal(SwinLstmCell(nn.Identity(), 4, heads=2, window=2, blocks=4).double())
    assert isinstance(cell, SwinLstmCell)
    x, h, c = torch.randn((3, 1, 4, 4, 4), dtype=torch.float64)  # (B, width, H, W) each
    whole, shifted = (strangers(4, 4, 2, shift, like=x) for shift in (0, 1))
    read, state = x.movedim(1, -1), h.movedim(1, -1)
    first, second, third, fourth = cell.blocks
    a = fourth(third(second(first(read, state, whole), read, shifted), read, whole), read, shifted).movedim(-1, 1)
    f = 1 / (1 + torch.exp(-a))
    new_c = f * (c + torch.tanh(a))
    found = cell(cell.project(x), (h, c))
    torch.testing.assert_close(found, (f * torch.tanh(new_c), (f * torch.tanh(new_c), new_c)))


def test_cells_run_at_four_sizes() -> None:
    """The network's parts called one after the other, one step at a time."""
    model = normal(SwinLstm(SwinLstmConfig(hidden=4, window=2, heads=2, blocks=1, middle_blocks=2)))
    assert isinstance(model, SwinLstm)
    frames = torch.rand((1, 2, 1, 16, 16), generator=torch.Generator().manual_seed(1))
    *cells, last = model.cells
    states = [(torch.zeros(1, n, s, s),) * 2 for n, s in ((4, 8), (8, 4), (16, 2), (8, 4))]
    frame, expected = frames[:, 0], []
    for t in range(4):
        x = frame
        for number, cell in enumerate(cells):
            x, states[number] = cell(cell.project(x), states[number])
        expected.append(torch.sigmoid(model.head(last.project(x))))
        frame = frames[:, 1] if t == 0 else expected[-1]
    canvas = torch.cat([frames, torch.zeros(1, 3, 1, 16, 16)], dim=1)
    torch.testing.assert_close(model(canvas, future(2, 3)[None])[:, 1:], torch.stack(expected, dim=1))


def test_frames_that_windows_do_not_divide_are_padded_with_black() -> None:
    model = normal(SwinLstm(SwinLstmConfig(hidden=4, window=2, heads=2, blocks=2, middle_blocks=1)))
    frames = torch.rand((1, 3, 1, 11, 18), generator=torch.Generator().manual_seed(1))
    padded = F.pad(frames, (0, 14, 0, 5))  # to 16x32
    observed = torch.ones(1, 3, 1, 1, 1, dtype=torch.bool)
    torch.testing.assert_close(model(frames, observed), model(padded, observed)[..., :11, :18])


def test_the_bias_is_no_matrix_to_the_optimiser() -> None:
    assert WindowAttention(8, heads=2, window=3).bias.ndim == 1


@pytest.mark.parametrize(
    ("settings", "word"),
    [({"window": 1}, "window"), ({"heads": 3}, "heads"), ({"blocks": 0}, "blocks"), ({"middle_blocks": 0}, "middle")],
)
def test_networks_that_cannot_be_are_named(settings: dict, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        SwinLstmConfig(**settings)
