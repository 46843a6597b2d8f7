"""PredRNN++'s cell and highway against the equations by hand, and how they are stacked."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from by_hand import convolve, gates, sigmoid
from frame_forecast.errors import ConfigError
from frame_forecast.models.predrnn_pp import CausalLstmCell, GradientHighway, PredRnnPp, PredRnnPpConfig


def test_causal_lstm_step_by_hand() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    cell = CausalLstmCell(3, 2, kernel=3).double()
    for parameter in cell.parameters():
        nn.init.normal_(parameter, std=0.5)
    x, h, c, m = (rng.normal(size=(n, 3, 4)) for n in (3, 2, 2, 2))

    of_x = [convolve(kernel, x) + bias for kernel, bias in gates(cell.input, 7)]
    of_h = [convolve(kernel, h) for kernel, _ in gates(cell.state, 4)]
    of_c = [convolve(kernel, c) for kernel, _ in gates(cell.own, 3)]
    i, f, g = (squash(of_x[n] + of_h[n] + of_c[n]) for n, squash in enumerate((sigmoid, sigmoid, np.tanh)))
    new_c = f * c + i * g
    o_c, i_c, f_c, g_c = (convolve(kernel, new_c) for kernel, _ in gates(cell.cascade, 4))
    i_m, f_m, kept = (convolve(kernel, m) for kernel, _ in gates(cell.memory, 3))
    i2, f2, g2 = sigmoid(of_x[4] + i_c + i_m), sigmoid(of_x[5] + f_c + f_m), np.tanh(of_x[6] + g_c)
    new_m = f2 * np.tanh(kept) + i2 * g2
    o = np.tanh(of_x[3] + of_h[3] + o_c + convolve(cell.output.weight.detach().numpy(), new_m))
    new_h = o * np.tanh(convolve(cell.merge.weight.detach().numpy(), np.concatenate([new_c, new_m])))

    inputs = [torch.from_numpy(value)[None] for value in (x, h, c, m)]
    found = cell(cell.input(inputs[0]), *inputs[1:])
    for value, expected in zip(found, (new_h, new_c, new_m), strict=True):
        np.testing.assert_allclose(value[0].detach(), expected, atol=1e-12)


def test_gradient_highway_step_by_hand() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    highway = GradientHighway(2, kernel=3).double()
    for parameter in highway.parameters():
        nn.init.normal_(parameter, std=0.5)
    x, z = rng.normal(size=(2, 2, 3, 4))
    p, s = (
        convolve(of_x, x) + convolve(of_z, z) + bias
        for (of_x, bias), (of_z, _) in zip(gates(highway.input, 2), gates(highway.state, 2), strict=True)
    )
    expected = sigmoid(s) * np.tanh(p) + (1 - sigmoid(s)) * z
    found = highway(*(torch.from_numpy(value)[None] for value in (x, z)))
    np.testing.assert_allclose(found[0].detach(), expected, atol=1e-12)


def test_the_second_layer_reads_the_highway_and_memory_zigzags() -> None:
    """Layers and steps called one after the other."""
    torch.manual_seed(0)
    model = PredRnnPp(PredRnnPpConfig(patch=2, hidden=3, layers=3, kernel=3)).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    frames = torch.rand(2, 6, 1, 4, 4)
    observed = torch.tensor([True] * 4 + [False] * 2)[None, :, None, None, None].expand(2, -1, -1, -1, -1)
    (cascade,) = model.cells
    m = z = torch.zeros(2, 3, 2, 2)
    h, c = [m] * 3, [m] * 3
    frame, expected = frames[:, 0], []
    for t in range(5):
        x = F.pixel_unshuffle(frame, 2)
        for number, layer in enumerate((cascade.lowest, *cascade.above)):
            h[number], c[number], m = layer(layer.input(x), h[number], c[number], m)
            x = h[number]
            if number == 0:
                x = z = cascade.highway(x, z)
        expected.append(F.pixel_shuffle(torch.sigmoid(model.head(x)), 2))
        frame = frames[:, t + 1] if t + 1 < 4 else expected[-1]
    torch.testing.assert_close(model(frames, observed)[:, 1:], torch.stack(expected, dim=1))


def test_one_layer_is_refused() -> None:
    with pytest.raises(ConfigError, match="2 or more"):
        PredRnnPpConfig(layers=1)
