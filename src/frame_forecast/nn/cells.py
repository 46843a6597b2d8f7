"""Recurrent cells: one step each. Time is `frame_forecast.nn.unroll`'s business.

Beside its constructor a cell has two methods. ``project(x)`` computes what the input
contributes to the gates; it has no recurrence, so `unroll` calls it once for all frames.
``forward(projected, state)`` is the step itself.
"""

import abc
import math

import torch
from torch import Tensor, nn

from frame_forecast.nn.convolution import Conv2d
from frame_forecast.nn.gates import tanh

State = tuple[Tensor, ...]
"""Of an LSTM ``(h, c)``: output and memory, ``(B, D)`` or ``(B, D, H, W)``. Of any cell, tensors of B rows."""


class Cell(nn.Module, abc.ABC):
    """What `unroll` runs over time."""

    @abc.abstractmethod
    def project(self, x: Tensor) -> Tensor:
        """The input's share of a step, ``(N, ...)`` for ``x`` ``(N, inputs, ...)``."""

    @abc.abstractmethod
    def forward(self, projected: Tensor | None, state: State) -> tuple[Tensor, State]:
        """One step.

        Args:
            projected: ``project(x)`` of this step's input; None where there is none.
            state: of the step before.

        Returns:
            The output ``(B, ...)`` and the new state.
        """


class Feedforward(Cell):
    """A layer without a state, in a stack of cells: `unroll` calls its ``project`` on all frames at once."""

    def forward(self, projected: Tensor | None, state: State) -> tuple[Tensor, State]:
        assert projected is not None, "this cell has an input"
        return projected, state


class LstmCell(Cell):
    """The gates every LSTM cell here shares, over two linear maps that a subclass chooses.

    With ``a = input(x) + state(h)`` split in four (Hochreiter & Schmidhuber 1997, with the
    forget gate of Gers, Schmidhuber & Cummins 2000; no peepholes)::

        i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o);  g = tanh(a_g)
        c' = f * c + i * g;  h' = o * tanh(c')

    Gates lie in the order input, forget, cell, output, as in `torch.nn.LSTM`. The memory
    ``c`` stays float32 under autocast: it is a sum over time, and bfloat16 would lose the
    small terms.

    Args:
        hidden: features (channels) of the state.
        input: the map of ``x`` to ``4 * hidden`` features; None for a cell that runs on its
            state alone.
        state: the map of ``h`` to ``4 * hidden`` features, with a bias.
    """

    def __init__(self, hidden: int, input: nn.Linear | nn.Conv2d | None, state: nn.Linear | nn.Conv2d) -> None:
        super().__init__()
        self.hidden = hidden
        self.input = input
        self.state = state
        with torch.no_grad():
            for map in (input, state):
                if map is not None:
                    # Half of the gates' variance from each map.
                    nn.init.normal_(map.weight, std=math.sqrt(0.5 / map.weight[0].numel()))
            assert state.bias is not None
            state.bias.zero_()
            state.bias[hidden : 2 * hidden] = 1.0  # remember at first (Jozefowicz et al. 2015)

    def project(self, x: Tensor) -> Tensor:
        """The input's share of the gates, ``(N, 4 * hidden, ...)`` for ``x`` ``(N, inputs, ...)``."""
        assert self.input is not None, "this cell has no input"
        return self.input(x)

    def forward(self, projected: Tensor | None, state: State) -> tuple[Tensor, State]:
        """One step.

        Args:
            projected: ``project(x)`` of this step's input; None where there is none.
            state: ``(h, c)`` of the step before.

        Returns:
            The output ``h'`` and the new state ``(h', c')``.
        """
        h, c = state
        gates = self.state(h)
        if projected is not None:
            gates = gates + projected
        a_i, a_f, a_g, a_o = gates.to(c.dtype).chunk(4, dim=1)
        i, f, g, o = torch.sigmoid(a_i), torch.sigmoid(a_f), tanh(a_g), torch.sigmoid(a_o)
        c = f * c + i * g
        h = (o * tanh(c)).to(gates.dtype)
        return h, (h, c)


class LinearLstmCell(LstmCell):
    """LSTM on vectors, equal to `torch.nn.LSTM` (tested).

    Args:
        inputs: features of ``x`` ``(B, inputs)``; 0 for a cell without input.
        hidden: features of the state ``(B, hidden)``.
    """

    def __init__(self, inputs: int, hidden: int) -> None:
        super().__init__(
            hidden,
            nn.Linear(inputs, 4 * hidden, bias=False) if inputs else None,
            nn.Linear(hidden, 4 * hidden),
        )

    def all_steps(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Every step by torch's LSTM, which an exported graph has one operator for, whatever their number.

        Args:
            inputs: ``(T, B, inputs)``.
            state: ``(h, c)`` before the first step.

        Returns:
            The outputs ``(T, B, hidden)`` and the state after the last step.
        """
        assert self.input is not None, "this cell has no input"
        bias = self.state.bias
        assert bias is not None
        parameters = [self.input.weight, self.state.weight, torch.zeros_like(bias), bias]
        state = tuple(part[None] for part in state)  # of one layer
        outputs, h, c = torch.lstm(inputs, state, parameters, True, 1, 0.0, False, False, False)
        return outputs, (h[0], c[0])


class ConvLstmCell(LstmCell):
    """LSTM on feature maps: convolutions for matrix products (Shi et al. 2015, eq. 3).

    Departs from the paper in having no peepholes, which tie a cell to one frame size.

    Args:
        inputs: channels of ``x`` ``(B, inputs, H, W)``; 0 for a cell without input.
        hidden: channels of the state ``(B, hidden, H, W)``.
        kernel: odd size of the state's convolution.
        input_kernel: odd size of the input's; None = ``kernel``.
    """

    def __init__(self, inputs: int, hidden: int, kernel: int = 3, input_kernel: int | None = None) -> None:
        super().__init__(
            hidden,
            Conv2d(inputs, 4 * hidden, input_kernel or kernel, bias=False) if inputs else None,
            Conv2d(hidden, 4 * hidden, kernel),
        )
