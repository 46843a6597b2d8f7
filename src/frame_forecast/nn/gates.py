"""What gates are made of: the convolutions that they are sums of, and how they are bent."""

import math

import torch
from torch import Tensor, nn

from frame_forecast.devices import tracing
from frame_forecast.nn.convolution import Conv2d


def gate_map(inputs: int, outputs: int, kernel: int, *, share: float = 0.5, bias: bool = False) -> Conv2d:
    """A convolution that keeps the size of a feature map, as a cell begins with it.

    Args:
        inputs: channels of what it reads.
        outputs: channels, those of all its gates.
        kernel: odd size.
        share: of a gate's variance, where as many maps as make 1 are added.
        bias: 0 at first; without one where another map of the sum has it.
    """
    made = Conv2d(inputs, outputs, kernel, bias=bias)
    nn.init.normal_(made.weight, std=math.sqrt(share / made.weight[0].numel()))
    if made.bias is not None:
        nn.init.zeros_(made.bias)
    return made


def tanh(x: Tensor) -> Tensor:
    """On CPUs by way of the sigmoid, which takes PyTorch a fifth of the time there (AMD EPYC, float32), unless autograd
    follows: it would have three steps to go back instead of one.

    What that loses, about the rounding error of numbers near 1, is nothing beside the other terms of a sum.
    """
    if x.device.type != "cpu" or tracing() or torch.is_grad_enabled():
        return torch.tanh(x)
    return x.new_tensor(-1.0).add(torch.sigmoid(2 * x), alpha=2)
