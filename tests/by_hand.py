"""What cells are made of in NumPy, each convolution a plain loop, to compute a step by hand."""

import numpy as np
from torch import nn


def sigmoid(a: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-a))


def convolve(kernel: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Maps ``(inputs, H, W)``, black around, through a kernel ``(outputs, inputs, k, k)``: ``(outputs, H, W)``."""
    size = kernel.shape[-1]
    padded = np.pad(maps, ((0, 0), (size // 2, size // 2), (size // 2, size // 2)))
    out = np.zeros((len(kernel), *maps.shape[1:]))
    for k, row, column in np.ndindex(*out.shape):
        out[k, row, column] = (kernel[k] * padded[:, row : row + size, column : column + size]).sum()
    return out


def gates(convolution: nn.Conv2d, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """A convolution's kernel and bias ``(outputs, 1, 1)``, 0 if it has none, cut up for each of its gates."""
    kernel = convolution.weight.detach().numpy()
    bias = np.zeros(len(kernel)) if convolution.bias is None else convolution.bias.detach().numpy()
    return list(zip(np.split(kernel, count), np.split(bias[:, None, None], count), strict=True))
