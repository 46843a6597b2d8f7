"""One LSTM layer through all its steps, with the gradient written out.

Backpropagation through time needs, at every step, the gradient of the state before it, but
not yet that of the weights: the sum over steps of ``gradient of the gates x state`` is one
product over all steps at once. Autograd makes it step by step; here it is made once, after
the loop, which on two CPU cores saves about a quarter of a training step of a ConvLSTM
(``benchmarks/training.py``).
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.grad import conv2d_input, conv2d_weight

from frame_forecast.nn.cells import LstmCell, State, activate


def scan(cell: LstmCell, projected: Tensor | None, state: State, steps: int) -> tuple[Tensor, State]:
    """All steps of one layer; equal to calling the cell in a loop (tested).

    Args:
        cell: whose ``state`` map is applied.
        projected: ``(T, B, 4 * hidden, ...)``, what `LstmCell.project` gives for all steps; None
            for a cell without input.
        state: ``(h, c)`` before the first step.
        steps: T.

    Returns:
        The outputs ``(T, B, hidden, ...)`` and the state after the last step.
    """
    outputs, c = _Scan.apply(projected, *state, cell.state.weight, cell.state.bias, steps)
    return outputs, (outputs[-1], c)


class _Scan(torch.autograd.Function):
    """Saves each step's gates, memory and output; see the module's text."""

    @staticmethod
    def forward(
        ctx: Any, projected: Tensor | None, h: Tensor, c: Tensor, weight: Tensor, bias: Tensor, steps: int
    ) -> tuple[Tensor, Tensor]:
        ctx.dtypes = (h.dtype, weight.dtype, bias.dtype)
        dtype = _compute_dtype(projected, h)
        # A convolution is fastest where state and kernel lie in memory in the same order.
        channels_last = h.ndim == 4 and h.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if channels_last else torch.preserve_format
        h, bias = h.to(dtype), bias.to(dtype)
        weight = weight.to(dtype).contiguous(memory_format=layout) if channels_last else weight.to(dtype)
        outputs, memories, activations = [h], [c], []
        for t in range(steps):
            gates = _gates(h, weight, bias)
            activated, c, h = activate(gates if projected is None else gates + projected[t], c)
            activations.append(activated)
            memories.append(c)
            outputs.append(h)
        ctx.has_input, ctx.steps = projected is not None, steps
        ctx.save_for_backward(weight, *outputs, *memories, *activations)
        return torch.stack(outputs[1:]), c

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        d_outputs, d_c = gradients
        weight, *saved = ctx.saved_tensors
        outputs, memories, activations = saved[: ctx.steps + 1], saved[ctx.steps + 1 : -ctx.steps], saved[-ctx.steps :]
        d_gates: list[Tensor] = []
        d_h = torch.zeros_like(outputs[0])
        for t in reversed(range(ctx.steps)):
            d_h = d_h + d_outputs[t].to(d_h.dtype)
            d_gate, d_c = _activate_backward(activations[t], memories[t], memories[t + 1], d_h, d_c)
            d_h = _state_gradient(d_gate, outputs[t], weight)
            d_gates.append(d_gate)
        d_all = torch.stack(d_gates[::-1])
        d_weight, d_bias = _weight_gradients(d_all.flatten(0, 1), torch.cat(outputs[:-1]), weight)
        h_dtype, weight_dtype, bias_dtype = ctx.dtypes
        d_projected = d_all if ctx.has_input else None
        return d_projected, d_h.to(h_dtype), d_c, d_weight.to(weight_dtype), d_bias.to(bias_dtype), None


def _activate_backward(activated: Tensor, c: Tensor, c_new: Tensor, d_h: Tensor, d_c: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of `activate`: of the gates before their activation, and of the memory before."""
    i, f, g, o = activated.to(c.dtype).chunk(4, dim=1)
    tanh_c = torch.tanh(c_new)
    d_h = d_h.to(c.dtype)
    d_c = d_c + d_h * o * (1 - tanh_c * tanh_c)
    d_gates = torch.cat(
        [
            d_c * g * i * (1 - i),
            d_c * c * f * (1 - f),
            d_c * i * (1 - g * g),
            d_h * tanh_c * o * (1 - o),
        ],
        dim=1,
    )
    return d_gates.to(activated.dtype), d_c * f


def _compute_dtype(projected: Tensor | None, h: Tensor) -> torch.dtype:
    """What the products are made in: autocast's choice where it is on."""
    if projected is not None:
        return projected.dtype
    kind = h.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else h.dtype


def _gates(h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The state's share of the gates: ``weight`` is ``(4 * hidden, hidden)`` or a kernel, ``(..., k, k)``."""
    return F.conv2d(h, weight, bias, padding="same") if weight.ndim == 4 else F.linear(h, weight, bias)


def _state_gradient(d_gates: Tensor, h: Tensor, weight: Tensor) -> Tensor:
    """Of `_gates` with respect to ``h``."""
    if weight.ndim == 4:
        return conv2d_input(h.shape, weight, d_gates, padding=weight.shape[-1] // 2)
    return d_gates @ weight


def _weight_gradients(d_gates: Tensor, h: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Of `_gates` with respect to weight and bias; ``d_gates`` and ``h`` hold all steps, ``(T * B, ...)``."""
    if weight.ndim == 4:
        return conv2d_weight(h, weight.shape, d_gates, padding=weight.shape[-1] // 2), d_gates.sum((0, 2, 3))
    return d_gates.mT @ h, d_gates.sum(0)
