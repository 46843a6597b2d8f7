"""The written-out gradient against autograd through a loop, and against finite differences."""

import pytest
import torch
from torch import Tensor

from frame_forecast.nn.cells import ConvLstmCell, LinearLstmCell, LstmCell
from frame_forecast.nn.scan import scan

CELLS = {"linear": (lambda: LinearLstmCell(2, 3), ()), "convolution": (lambda: ConvLstmCell(2, 3), (4, 5))}


def tensors(kind: str, dtype: torch.dtype = torch.float64) -> tuple[LstmCell, Tensor, Tensor, Tensor]:
    """A cell, projected inputs of 4 steps, and a state, all needing gradients."""
    torch.manual_seed(0)
    make, size = CELLS[kind]
    cell = make().to(dtype)
    shapes = ((4, 2, 12, *size), (2, 3, *size), (2, 3, *size))
    projected, h, c = (torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes)
    return cell, projected, h, c


def looped(cell: LstmCell, projected: Tensor | None, h: Tensor, c: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    state, outputs = (h, c), []
    for t in range(4):
        output, state = cell(None if projected is None else projected[t], state)
        outputs.append(output)
    return torch.stack(outputs), state


def objective(result: tuple[Tensor, tuple[Tensor, Tensor]]) -> Tensor:
    """Reaches every output and both parts of the final state, each differently."""
    outputs, (h, c) = result
    weight = torch.arange(outputs.numel(), dtype=outputs.dtype).view_as(outputs).cos()
    return (outputs * weight).sum() + h.square().sum() + c.sin().sum()


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("with_input", [True, False])
@pytest.mark.parametrize("channels_last", [True, False])
def test_values_and_gradients_are_those_of_a_loop(kind: str, with_input: bool, channels_last: bool) -> None:
    cell, projected, h, c = tensors(kind)
    wanted = [h, c, cell.state.weight, cell.state.bias, *([projected] if with_input else [])]
    given = projected if with_input else None
    start = h.contiguous(memory_format=torch.channels_last) if channels_last and kind == "convolution" else h
    found, expected = scan(cell, given, (start, c), 4), looped(cell, given, h, c)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        torch.autograd.grad(objective(found), wanted), torch.autograd.grad(objective(expected), wanted)
    )


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("with_input", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_values_are_the_same_without_gradients(kind: str, with_input: bool, dtype: torch.dtype) -> None:
    cell, projected, h, c = tensors(kind, dtype)
    before = [x.detach().clone() for x in (projected, h, c)]
    with torch.inference_mode():
        found = scan(cell, projected if with_input else None, (h, c), 4)
    expected = looped(cell, projected if with_input else None, h, c)
    tolerance = 1e-12 if dtype == torch.float64 else 3e-6
    torch.testing.assert_close(found, expected, rtol=0, atol=tolerance)
    torch.testing.assert_close([projected, h, c], before, rtol=0, atol=0)  # nothing given was written to


def test_a_memory_of_any_size_gives_the_output_of_a_loop() -> None:
    """Where the output's tanh is 0, nearly linear and saturated."""
    cell, _, h, _ = tensors("linear", torch.float32)
    c = torch.tensor([0.0, 1e-6, -1e-3, 1.0, -20.0, 200.0]).view(2, 3)
    with torch.no_grad():
        found, expected = scan(cell, None, (h, c), 4)[0], looped(cell, None, h, c)[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", CELLS)
def test_gradients_agree_with_finite_differences(kind: str) -> None:
    cell, projected, h, c = tensors(kind)
    assert torch.autograd.gradcheck(lambda p, h, c: scan(cell, p, (h, c), 4)[0], (projected, h, c))


@pytest.mark.parametrize("kind", CELLS)
def test_half_precision_products_keep_a_float32_memory(kind: str) -> None:
    cell, projected, h, c = tensors(kind, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        outputs, (_, memory) = scan(cell, projected.bfloat16(), (h, c), 4)
    assert outputs.dtype == torch.bfloat16
    assert memory.dtype == torch.float32
    torch.testing.assert_close(outputs.float(), looped(cell, projected, h, c)[0], atol=0.03, rtol=0.03)
    outputs.float().square().sum().backward()
    assert cell.state.weight.grad is not None
    assert cell.state.weight.grad.dtype == torch.float32
    assert h.grad is not None
    assert h.grad.dtype == torch.float32
