"""The convolutions that gates are sums of."""

import math

from torch import nn


def gate_map(inputs: int, outputs: int, kernel: int, *, share: float = 0.5, bias: bool = False) -> nn.Conv2d:
    """A convolution that keeps the size of a feature map, as a cell begins with it.

    Args:
        inputs: channels of what it reads.
        outputs: channels, those of all its gates.
        kernel: odd size.
        share: of a gate's variance, where as many maps as make 1 are added.
        bias: 0 at first; without one where another map of the sum has it.
    """
    made = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias)
    nn.init.normal_(made.weight, std=math.sqrt(share / made.weight[0].numel()))
    if made.bias is not None:
        nn.init.zeros_(made.bias)
    return made
