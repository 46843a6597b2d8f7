"""MIM's block against the equations by hand, and how blocks are stacked."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from by_hand import convolve, gates, sigmoid
from frame_forecast.errors import ConfigError
from frame_forecast.models.mim import Mim, MimBlock, MimConfig
from frame_forecast.nn.cells import ConvLstmCell


def conv_lstm(cell: ConvLstmCell, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    assert isinstance(cell.input, nn.Conv2d)
    assert isinstance(cell.state, nn.Conv2d)
    i, f, g, o = (
        convolve(of_x, x) + convolve(of_h, h) + bias
        for (of_x, _), (of_h, bias) in zip(gates(cell.input, 4), gates(cell.state, 4), strict=True)
    )
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def test_block_step_by_hand() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    block = MimBlock(2, kernel=3).double()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.5)
    x, change, m, h, c, d, n, s = rng.normal(size=(8, 2, 3, 4))

    new_d, new_n = conv_lstm(block.changes, change, d, n)
    kept, new_s = conv_lstm(block.stays, new_d, c, s)
    x_i, x_g, x_o, x_f = (convolve(kernel, x) + bias for kernel, bias in gates(block.input, 4))
    h_i, h_g, h_o = (convolve(kernel, h) for kernel, _ in gates(block.state, 3))
    m_i, m_g, m_o, m_f = (convolve(kernel, m) for kernel, _ in gates(block.memory, 4))
    new_c = kept + sigmoid(x_i + h_i) * np.tanh(x_g + h_g)
    new_m = sigmoid(x_f + m_f) * m + sigmoid(x_i + m_i) * np.tanh(x_g + m_g)
    merged = convolve(block.merge.weight.detach().numpy(), np.concatenate([new_c, new_m]))
    new_h = sigmoid(x_o + h_o + m_o) * np.tanh(merged)

    of_x, of_change, of_m, *state = (torch.from_numpy(value)[None] for value in (x, change, m, h, c, d, n, s))
    found_m, found_d, found = block(of_x, of_change, of_m, tuple(state))
    expected = (new_m, new_d, new_h, new_c, new_d, new_n, new_s)
    for value, number in zip((found_m, found_d, *found), expected, strict=True):
        np.testing.assert_allclose(value[0].detach(), number, atol=1e-12)


def test_blocks_read_changes_of_the_lowest_layer_and_memory_zigzags() -> None:
    """Layers and steps called one after the other."""
    torch.manual_seed(0)
    model = Mim(MimConfig(patch=2, hidden=3, layers=3, kernel=3)).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    frames = torch.rand(2, 6, 1, 4, 4)
    observed = torch.tensor([True] * 4 + [False] * 2)[None, :, None, None, None].expand(2, -1, -1, -1, -1)
    (stack,) = model.cells
    h = c = m = torch.zeros(2, 3, 2, 2)
    states = [(m,) * 5] * 2
    frame, expected = frames[:, 0], []
    for t in range(5):
        before = h
        h, c, m, _, _ = stack.lowest(stack.lowest.input(F.pixel_unshuffle(frame, 2)), h, c, m)
        x, change = h, h - before if t else torch.zeros_like(h)
        for number, block in enumerate(stack.blocks):
            m, change, states[number] = block(x, change, m, states[number])
            x = states[number][0]
        expected.append(F.pixel_shuffle(torch.sigmoid(model.head(x)), 2))
        frame = frames[:, t + 1] if t + 1 < 4 else expected[-1]
    torch.testing.assert_close(model(frames, observed)[:, 1:], torch.stack(expected, dim=1))


def test_one_layer_is_refused() -> None:
    with pytest.raises(ConfigError, match="2 or more"):
        MimConfig(layers=1)
