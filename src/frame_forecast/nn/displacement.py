"""Frames moved patch by patch, by kernels that pick displacements."""

import torch
from torch import Tensor
from torch.nn import functional as F

from frame_forecast.devices import tracing


def displaced(frames: Tensor, kernels: Tensor, patch: int) -> Tensor:
    """Each patch read from the frame around it, through a column times a row of weights.

    Finn et al., "Unsupervised learning for physical interaction through video prediction" (NeurIPS 2016,
    section 3.2), with kernels that are separable and one for each patch.

    Args:
        frames: ``(N, S, H, W)``; 0 beyond their borders.
        kernels: ``(N, h, w, S, K, 2, 2 * reach + 1)``, K of them for each of the S frames, down and across; weights
            that add up to 1 along the last axis. Patches h and w cover H and W.
        patch: side of a patch in pixels.

    Returns:
        ``(N, S * K, H, W)``, the K of a frame after one another.
    """
    (N, h, w, S, K, _, taps), (H, W), p = kernels.shape, frames.shape[2:], patch
    R = taps // 2
    padded = F.pad(frames, (R, R + w * p - W, R, R + h * p - H))
    if tracing():  # a graph to export has no windows along an axis of any length
        along = torch.arange(p + 2 * R, device=frames.device)
        down, across = (p * torch.arange(n, device=frames.device)[:, None] + along for n in (h, w))
        around = padded[:, :, down[:, None, :, None], across[None, :, None, :]]
    else:
        around = padded.unfold(2, p + 2 * R, p).unfold(3, p + 2 * R, p)
    around = around.permute(0, 2, 3, 1, 4, 5)[:, :, :, :, None]  # (N, h, w, S, 1, p + 2R, p + 2R)
    down, across = _bands(kernels, p).unbind(dim=5)  # (N, h, w, S, K, p, p + 2R)
    moved = down @ around @ across.transpose(-1, -2)  # (N, h, w, S, K, p, p)
    return moved.permute(0, 3, 4, 1, 5, 2, 6).reshape(N, S * K, h * p, w * p)[..., :H, :W]


def _bands(kernels: Tensor, rows: int) -> Tensor:
    """Kernels ``(..., taps)`` as matrices ``(..., rows, rows + taps - 1)`` that slide them along an axis."""
    taps = kernels.shape[-1]
    columns = rows + taps - 1
    # A row one longer than the matrix, repeated and cut to the matrix's width, moves on by one each time.
    row = F.pad(kernels, (0, columns + 1 - taps))[..., None, :].expand(*[-1] * (kernels.ndim - 1), rows, -1)
    return row.flatten(-2)[..., : rows * columns].view(*kernels.shape[:-1], rows, columns)
