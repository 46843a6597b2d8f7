"""One LSTM layer through all its steps, with the gradient written out.

Backpropagation through time needs, at every step, the gradient of the state before it, but
not yet that of the weights: the sum over steps of ``gradient of the gates x state`` is one
product over all steps at once. Autograd makes it step by step; here it is made once, after
the loop. Besides, each step writes into tensors made for all steps, where autograd would
keep a dozen small ones and stack the results. Together that takes a sixth off the forward
and backward pass of a ConvLSTM on one CPU core (``benchmarks/training.py``: 16 clips, bfloat16).
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from frame_forecast.nn.cells import LstmCell, State
from frame_forecast.nn.convolution import Kernels, kernels_of
from frame_forecast.nn.gates import tanh


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
    weight, bias = cell.state.weight, cell.state.bias
    assert bias is not None, "every cell's state map has one"
    h, c = state
    arguments = projected, h, c, weight, bias, steps
    if torch.is_grad_enabled():
        outputs, c = _Scan.apply(*arguments)
    else:
        outputs, memories, _, _ = _run(*arguments, keep=False)
        outputs, c = outputs[1:], memories[-1]
    return outputs, (outputs[-1], c)


class _Scan(torch.autograd.Function):
    """Saves each step's gates, memory and output; see the module's text."""

    @staticmethod
    def forward(
        ctx: Any, projected: Tensor | None, h: Tensor, c: Tensor, weight: Tensor, bias: Tensor, steps: int
    ) -> tuple[Tensor, Tensor]:
        ctx.dtypes = (h.dtype, weight.dtype, bias.dtype)
        ctx.has_input = projected is not None
        outputs, memories, gates, ctx.map = _run(projected, h, c, weight, bias, steps, keep=True)
        ctx.save_for_backward(weight, outputs, memories, gates)
        return outputs[1:], memories[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        d_outputs, d_c = gradients
        _, outputs, memories, gates = ctx.saved_tensors  # weight: to raise an error if it was changed since
        d_gates, d_c = torch.empty_like(gates), d_c.clone()
        d_h = torch.zeros_like(outputs[0])
        for t in reversed(range(len(gates))):
            d_h = d_outputs[t].to(d_c.dtype) + d_h
            d_gates[t] = _step_gradient(gates[t].to(d_c.dtype), memories[t], memories[t + 1], d_h, d_c)
            if t > 0 or ctx.needs_input_grad[1]:
                d_h = ctx.map.input_gradient(d_gates[t])
        d_all = d_gates.flatten(0, 1)
        d_weight = ctx.map.weight_gradient(outputs[:-1].flatten(0, 1), d_all)
        d_bias = d_all.sum([axis for axis in range(d_all.ndim) if axis != 1])
        h_dtype, weight_dtype, bias_dtype = ctx.dtypes
        d_projected = d_gates if ctx.has_input else None
        return d_projected, d_h.to(h_dtype), d_c, d_weight.to(weight_dtype), d_bias.to(bias_dtype), None


def _run(
    projected: Tensor | None, h: Tensor, c: Tensor, weight: Tensor, bias: Tensor, steps: int, keep: bool
) -> "tuple[Tensor, Tensor, Tensor, Kernels | _Matrix]":
    """The steps of `LstmCell.forward`, without autograd.

    Args:
        projected, steps: as for `scan`.
        h, c: the state before the first step.
        weight, bias: of the cell's ``state`` map.
        keep: every memory and gate, for the gradient; otherwise the last memory alone.

    Returns:
        The outputs ``(T + 1, B, hidden, ...)``, the given one first; the memories, likewise, or
        ``(1, B, hidden, ...)``; the activated gates ``(T or 0, B, 4 * hidden, ...)``; and the
        map of ``h`` that was applied.
    """
    dtype = _compute_dtype(projected, h)
    # A convolution is fastest where state and kernel lie in memory in the same order.
    channels_last = h.ndim == 4 and h.is_contiguous(memory_format=torch.channels_last)

    def series(length: int, features: int, dtype: torch.dtype) -> Tensor:
        """Room for so many steps, each in the order of ``h``."""
        B, _, *size = h.shape
        shape = (length, B, *size, features) if channels_last else (length, B, features, *size)
        room = torch.empty(shape, dtype=dtype, device=h.device)
        return room.movedim(-1, 2) if channels_last else room

    hidden = h.shape[1]
    outputs = series(steps + 1, hidden, dtype)
    memories = series(steps + 1 if keep else 1, hidden, c.dtype)
    kept = series(steps if keep else 0, 4 * hidden, dtype)
    outputs[0], memories[0] = h, c
    bias = bias.to(dtype)
    if channels_last:
        weight = weight.contiguous(memory_format=torch.channels_last)
    map = kernels_of(weight, dtype) if h.ndim == 4 else _Matrix(weight.to(dtype))
    for t in range(steps):
        gates = map.apply(outputs[t], bias)
        if projected is not None:
            gates += projected[t]
        gates = gates.to(c.dtype)
        i, f, g, o = _activate(gates)
        before, after = (memories[t], memories[t + 1]) if keep else (memories[0], memories[0])
        torch.mul(f, before, out=after).addcmul_(i, g)
        outputs[t + 1] = o * tanh(after)
        if keep:
            kept[t] = gates
    return outputs, memories, kept, map


def _activate(gates: Tensor) -> tuple[Tensor, ...]:
    """Activates gates ``(B, 4 * hidden, ...)`` in place; returns i, f, g and o, views of them."""
    i, f, g, o = gates.chunk(4, dim=1)
    activated = tanh(g)
    torch.sigmoid_(gates)  # g for nothing: one call on the whole costs less than two on parts
    g.copy_(activated)
    return i, f, g, o


def _step_gradient(gates: Tensor, c: Tensor, new_c: Tensor, d_h: Tensor, d_c: Tensor) -> Tensor:
    """The gradient of a step.

    Args:
        gates: activated, ``(B, 4 * hidden, ...)``.
        c, new_c: the memory before and after.
        d_h: gradient of the output.
        d_c: gradient of the memory after; becomes that of the memory before.

    Returns:
        The gradient of the gates before their activation.
    """
    i, f, g, o = gates.chunk(4, dim=1)
    tanh_c = tanh(new_c)
    d_c += torch.ops.aten.tanh_backward(d_h * o, tanh_c)
    d_gates = torch.empty_like(gates)
    d_i, d_f, d_g, d_o = d_gates.chunk(4, dim=1)
    torch.mul(d_c, g, out=d_i)
    torch.mul(d_c, c, out=d_f)
    torch.mul(d_c, i, out=d_g)
    torch.mul(d_h, tanh_c, out=d_o)
    d_c *= f
    for d_gate, gate in ((d_i, i), (d_f, f), (d_o, o)):
        torch.ops.aten.sigmoid_backward.grad_input(d_gate, gate, grad_input=d_gate)
    torch.ops.aten.tanh_backward.grad_input(d_g, g, grad_input=d_g)
    return d_gates


def _compute_dtype(projected: Tensor | None, h: Tensor) -> torch.dtype:
    """What the products are made in: autocast's choice where it is on."""
    if projected is not None:
        return projected.dtype
    kind = h.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else h.dtype


class _Matrix:
    """As `Kernels`, for a state ``(B, hidden)``."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight

    def apply(self, x: Tensor, bias: Tensor) -> Tensor:
        return F.linear(x, self.weight, bias)

    def input_gradient(self, d_outputs: Tensor) -> Tensor:
        return d_outputs @ self.weight

    def weight_gradient(self, x: Tensor, d_outputs: Tensor) -> Tensor:
        return d_outputs.mT @ x
