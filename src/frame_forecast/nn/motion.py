"""Neighbours in time, and copies of them moved along a flow field."""

import torch
from torch import Tensor
from torch.nn import functional as F


def positions(observed: Tensor) -> Tensor:
    """``(1, T, 1, 1, 1)``: 0 .. T - 1, for ``observed`` ``(B, T, 1, H, W)``."""
    return torch.arange(observed.shape[1], device=observed.device).view(1, -1, 1, 1, 1)


def neighbours(observed: Tensor) -> tuple[Tensor, Tensor]:
    """Which frames are nearest in time, for each pixel or frame.

    Args:
        observed: bool ``(B, T, 1, H, W)`` or ``(B, T, 1, 1, 1)``.

    Returns:
        Two int64 tensors of that shape: the last observed frame up to each frame (-1 = none) and
        the first one from it on (T = none).
    """
    T, t = observed.shape[1], positions(observed)
    before = torch.where(observed, t, -1).cummax(dim=1).values
    after = torch.where(observed, t, T).flip(1).cummin(dim=1).values.flip(1)
    return before, after


def other_neighbours(observed: Tensor) -> tuple[Tensor, Tensor]:
    """`neighbours`, a step aside: a frame is neither before nor after itself."""
    T = observed.shape[1]
    before, after = neighbours(observed)
    before = torch.cat([torch.full_like(before[:, :1], -1), before[:, :-1]], dim=1)
    after = torch.cat([after[:, 1:], torch.full_like(after[:, :1], T)], dim=1)
    return before, after


def values_at(position: Tensor, frames: Tensor) -> Tensor:
    """The values of each pixel at the positions ``(B, T, 1, H or 1, W or 1)``: ``(B, T, C, H, W)``."""
    return frames.gather(1, position.expand_as(frames))


def warp(frames: Tensor, flow: Tensor) -> Tensor:
    """Frames read at places beside: pixel ``(x, y)`` of the result is ``(x, y) + flow`` of the frame.

    Bilinear, 0 outside (Jaderberg et al., "Spatial transformer networks", NeurIPS 2015, eq. 5).

    Args:
        frames: ``(N, C, H, W)``.
        flow: ``(N, 2, H, W)``, in pixels, x first.
    """
    H, W = frames.shape[2:]
    x = torch.arange(W, device=flow.device) + flow[:, 0]
    y = torch.arange(H, device=flow.device)[:, None] + flow[:, 1]
    grid = torch.stack([(2 * x + 1) / W - 1, (2 * y + 1) / H - 1], dim=-1)
    return F.grid_sample(frames, grid, align_corners=False)
