"""Cells against independent answers: torch's LSTM, and gates computed by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from frame_forecast.nn.cells import ConvLstmCell, LinearLstmCell
from frame_forecast.nn.unroll import unroll


def torch_lstm(cells: list[LinearLstmCell], inputs: int) -> nn.LSTM:
    """`torch.nn.LSTM` with the weights of a stack of cells."""
    lstm = nn.LSTM(inputs, cells[0].hidden, len(cells))
    with torch.no_grad():
        for layer, cell in enumerate(cells):
            getattr(lstm, f"weight_ih_l{layer}").copy_(cell.input.weight)
            getattr(lstm, f"weight_hh_l{layer}").copy_(cell.state.weight)
            getattr(lstm, f"bias_ih_l{layer}").copy_(cell.state.bias)
            getattr(lstm, f"bias_hh_l{layer}").zero_()
    return lstm


def test_a_stack_of_cells_unrolled_is_torch_lstm() -> None:
    torch.manual_seed(0)
    cells = [LinearLstmCell(5, 7), LinearLstmCell(7, 7)]
    inputs = torch.randn(6, 3, 5)
    states = [(torch.randn(3, 7), torch.randn(3, 7)) for _ in cells]
    h0, c0 = (torch.stack(s) for s in zip(*states, strict=True))
    expected, (h, c) = torch_lstm(cells, 5)(inputs, (h0, c0))
    outputs, finals = unroll(cells, states, inputs=inputs)
    torch.testing.assert_close(outputs[-1], expected)
    torch.testing.assert_close(torch.stack([s[0] for s in finals]), h)
    torch.testing.assert_close(torch.stack([s[1] for s in finals]), c)


def test_conv_lstm_of_1x1_on_1x1_maps_is_torch_lstm() -> None:
    torch.manual_seed(0)
    conv, linear = ConvLstmCell(5, 7, kernel=1), LinearLstmCell(5, 7)
    with torch.no_grad():
        linear.input.weight.copy_(conv.input.weight[:, :, 0, 0])
        linear.state.weight.copy_(conv.state.weight[:, :, 0, 0])
        linear.state.bias.copy_(conv.state.bias)
    inputs = torch.randn(6, 3, 5)
    zeros = torch.zeros(3, 7)
    expected, _ = torch_lstm([linear], 5)(inputs)
    (output,), _ = unroll([conv], [(zeros[..., None, None],) * 2], inputs=inputs[..., None, None])
    torch.testing.assert_close(output[..., 0, 0], expected)


def test_conv_lstm_step_by_hand() -> None:
    """One step of equation 3 in NumPy, each convolution a plain loop over pixels."""
    rng = np.random.default_rng(0)
    x, h, c = rng.normal(size=(2, 4, 5)), rng.normal(size=(3, 4, 5)), rng.normal(size=(3, 4, 5))
    cell = ConvLstmCell(2, 3, kernel=3).double()
    wx, wh = cell.input.weight.detach().numpy(), cell.state.weight.detach().numpy()
    bias = cell.state.bias.detach().numpy()

    def convolve(maps: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)))
        out = np.zeros((len(kernel), 4, 5))
        for o in range(len(kernel)):
            for row in range(4):
                for column in range(5):
                    out[o, row, column] = (kernel[o] * padded[:, row : row + 3, column : column + 3]).sum()
        return out

    def sigmoid(a: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-a))

    a = convolve(x, wx) + convolve(h, wh) + bias[:, None, None]
    new_c = sigmoid(a[3:6]) * c + sigmoid(a[0:3]) * np.tanh(a[6:9])
    new_h = sigmoid(a[9:12]) * np.tanh(new_c)
    tensors = [torch.from_numpy(value)[None] for value in (x, h, c)]
    output, (_, memory) = cell(cell.project(tensors[0]), (tensors[1], tensors[2]))
    np.testing.assert_allclose(output[0].detach(), new_h, atol=1e-12)
    np.testing.assert_allclose(memory[0].detach(), new_c, atol=1e-12)


@pytest.mark.parametrize("cell", [LinearLstmCell(0, 4), ConvLstmCell(0, 4)])
def test_a_cell_without_input_has_no_weights_for_one(cell: nn.Module) -> None:
    assert [name for name, _ in cell.named_parameters()] == ["state.weight", "state.bias"]
