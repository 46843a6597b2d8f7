"""Prepared convolutions give what torch's do, and their gradients."""

import gc
import weakref
from collections.abc import Callable
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn

from frame_forecast.models import create
from frame_forecast.models.summary import summarise
from frame_forecast.nn import convolution
from frame_forecast.nn.convolution import Conv2d, keep_kernels, kernels_of, plain

CHANNELS = 128  # from where on kernels are transformed


def ordered(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def twins(kernel: int = 5, bias: bool = True) -> tuple[Conv2d, nn.Conv2d]:
    torch.manual_seed(0)
    ours = Conv2d(CHANNELS, CHANNELS, kernel, bias)
    theirs = nn.Conv2d(CHANNELS, CHANNELS, kernel, padding=kernel // 2, bias=bias)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def steps(layer: nn.Module, x: Tensor, count: int = 3) -> Tensor:
    for _ in range(count):
        x = torch.tanh(layer(x))
    return x


def gradients(layer: nn.Module, x: Tensor, precision: torch.dtype = torch.float32) -> list[Tensor]:
    """What three steps give, and the gradients of the input and of every parameter."""
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16), keep_kernels():
        made = steps(layer, x)
    torch.manual_seed(1)
    made.backward(torch.randn(made.shape).to(made.dtype))
    assert x.grad is not None
    return [made.detach(), x.grad, *(p.grad for p in layer.parameters() if p.grad is not None)]


@pytest.mark.parametrize("size", [(1, 16, 16), (2, 13, 18), (3, 16, 7), (9, 16, 16), (1, 48, 48), (1, 3, 90)])
@pytest.mark.parametrize("bias", [True, False])
def test_transformed_kernels_give_the_same_and_the_same_gradients(size: tuple[int, int, int], bias: bool) -> None:
    ours, theirs = twins(bias=bias)
    x = ordered(torch.randn(size[0], CHANNELS, *size[1:]))
    with keep_kernels():
        assert kernels_of(ours.weight, torch.float32)._filters(x)
    made, *_ = found_all = gradients(ours, x)
    assert made.is_contiguous(memory_format=torch.channels_last), "the next convolution would not be prepared"
    for found, expected in zip(found_all, gradients(theirs, x), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_kernels_that_are_prepared_alone_give_the_same_bits(kernel: int) -> None:
    ours, theirs = twins(kernel)
    x = ordered(torch.randn(2, CHANNELS, 9, 11)).bfloat16()
    layers = ours.bfloat16(), theirs.bfloat16().to(memory_format=torch.channels_last)
    with torch.inference_mode(), keep_kernels():
        assert kernels_of(ours.weight, torch.bfloat16).prepares(x)
        found, expected = (layer(x) for layer in layers)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_gradients_under_autocast_are_float32_and_within_its_rounding() -> None:
    ours, theirs = twins()
    x = ordered(torch.randn(2, CHANNELS, 16, 16))
    for found, expected in zip(*(gradients(layer, x, torch.bfloat16) for layer in (ours, theirs)), strict=True):
        assert found.dtype == expected.dtype
        assert (found - expected).norm() <= 0.01 * expected.norm()


def test_a_gradient_of_the_input_alone() -> None:
    ours, theirs = twins()
    x = ordered(torch.randn(2, CHANNELS, 16, 16)).requires_grad_()
    with keep_kernels():
        found, expected = (torch.autograd.grad(steps(layer, x).sum(), x)[0] for layer in (ours, theirs))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_way_back_that_left_the_weight_out_leaves_nothing_behind() -> None:
    ours, theirs = twins()
    x = ordered(torch.randn(2, CHANNELS, 16, 16)).requires_grad_()
    for layer in (ours, theirs):
        with keep_kernels():
            made = steps(layer, x)
        torch.autograd.grad(made.sum(), x, retain_graph=True)
        made.sum().backward()
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad, rtol=1e-4, atol=1e-3)


def test_a_use_without_gradients_takes_none_from_the_next() -> None:
    ours, theirs = twins()
    x = ordered(torch.randn(2, CHANNELS, 16, 16))
    for layer in (ours, theirs):
        with keep_kernels():
            with torch.no_grad():
                steps(layer, x)
            steps(layer, x).sum().backward()
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad, rtol=1e-4, atol=1e-3)


def test_steps_that_are_added_up_in_parts_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = twins()
    x = ordered(torch.randn(2, CHANNELS, 16, 16))
    monkeypatch.setattr(convolution, "_POSITIONS_OF_STEPS", 1000)  # two of the three
    for found, expected in zip(gradients(ours, x), gradients(theirs, x), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


def test_kernels_are_freed_with_what_they_were_used_for() -> None:
    """Not by the garbage collector, which comes late: the kernels of a large network are as large as itself."""
    ours, _ = twins()
    made = weakref.WeakSet[convolution.Kernels]()
    gc.disable()
    try:
        with keep_kernels():
            made.add(kernels_of(ours.weight, torch.float32))
            result = steps(ours, ordered(torch.randn(2, CHANNELS, 16, 16)))
        result.sum().backward()
        assert len(made) == 1
        del result
        assert not made
    finally:
        gc.enable()


def test_gradients_add_up_over_two_passes() -> None:
    ours, theirs = twins()
    x = ordered(torch.randn(2, CHANNELS, 16, 16))
    for layer in (ours, theirs):
        for _ in range(2):
            gradients(layer, x)
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad, rtol=1e-4, atol=1e-3)


def test_a_weight_that_changed_before_the_gradient_was_asked_for_is_an_error() -> None:
    ours, _ = twins()
    with keep_kernels():
        made = steps(ours, ordered(torch.randn(2, CHANNELS, 16, 16)))
    with torch.no_grad():
        ours.weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified inplace"):
        made.sum().backward()


def test_a_weight_that_changes_between_two_passes_counts() -> None:
    ours, theirs = twins()
    x = ordered(torch.randn(2, CHANNELS, 16, 16))
    for layer in (ours, theirs):
        gradients(layer, x)
        layer.weight.data.mul_(2)  # as averaged weights are swapped in: no version tells of it
    torch.testing.assert_close(gradients(ours, x)[0], gradients(theirs, x)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("inside", "x"),
    [
        (nullcontext, torch.randn(2, CHANNELS, 16, 16)),
        (plain, torch.randn(2, CHANNELS, 16, 16)),
        (keep_kernels, torch.randn(2, CHANNELS, 16, 16).double()),
    ],
    ids=["nothing kept", "plain", "float64"],
)
def test_torch_convolves_where_nothing_is_prepared(inside: Callable, x: Tensor) -> None:
    ours, theirs = twins()
    ours, theirs = ours.to(x.dtype), theirs.to(x.dtype)
    with inside(), keep_kernels() if inside is plain else nullcontext():
        torch.testing.assert_close(steps(ours, ordered(x)), steps(theirs, ordered(x)), rtol=0, atol=0)


def test_four_outputs_take_eight_products() -> None:
    """Against the definition of a filter, in float64 and for any inputs and taps."""
    of_inputs, of_taps, of_values = (matrix.double() for matrix in convolution._matrices())
    inputs, taps = torch.randn(8, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    expected = [sum(inputs[row + tap] * taps[tap] for tap in range(5)) for row in range(4)]
    found = of_values @ ((of_inputs @ inputs) * (of_taps @ taps))
    torch.testing.assert_close(found, torch.stack([torch.as_tensor(y) for y in expected]), rtol=0, atol=1e-5)


def test_what_a_model_costs_is_counted_as_if_nothing_were_transformed() -> None:
    model = create("conv_lstm")
    # 11,675,648 weights of convolutions at each of 16x16 positions in each of 19 steps, the first state's among them.
    assert summarise(model).gmac == pytest.approx(11_675_648 * 16 * 16 * 19 / 1e9)
