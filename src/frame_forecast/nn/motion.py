"""Neighbours in time, lines between them, and copies of them moved along a flow field."""

from itertools import accumulate
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F


def positions(observed: Tensor) -> Tensor:
    """``(1, T, 1, 1, 1)``: 0 .. T - 1, for ``observed`` ``(B, T, 1, H, W)``."""
    return torch.arange(observed.shape[1], device=observed.device).view(1, -1, 1, 1, 1)


def seen_frames(observed: Tensor) -> Tensor:
    """Frames with an observed pixel, bool ``(B, T)``, for ``observed`` as `neighbours` takes it."""
    return observed.flatten(2).any(dim=2)


def neighbours(observed: Tensor) -> tuple[Tensor, Tensor]:
    """Which frames are nearest in time, for each pixel or frame.

    Args:
        observed: bool ``(B, T, 1, H, W)`` or ``(B, T, 1, 1, 1)``.

    Returns:
        Two int64 tensors of that shape: the last observed frame up to each frame (-1 = none) and
        the first one from it on (T = none).
    """
    T, t = observed.shape[1], positions(observed)
    if T == 0:
        return t.expand_as(observed), t.expand_as(observed)
    # Step by step takes less time than torch.cummax, which graphs for other runtimes lack.
    before = list(accumulate(torch.where(observed, t, -1).unbind(1), torch.maximum))
    after = list(accumulate(reversed(torch.where(observed, t, T).unbind(1)), torch.minimum))
    return torch.stack(before, dim=1), torch.stack(after[::-1], dim=1)


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


def both_sides(observed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`neighbours`, where a side without one takes the other's, and the positions themselves.

    A pixel that is never observed gets positions where it is hidden, and so 0.
    """
    T = observed.shape[1]
    before, after = neighbours(observed)
    first = torch.where(before >= 0, before, after).clamp(max=T - 1)
    last = torch.where(after < T, after, before).clamp(min=0)
    return first, last, positions(observed)


def on_a_line(frames: Tensor, observed: Tensor) -> Tensor:
    """Each pixel on a straight line in time between the observed values before and after.

    Constant before the first and after the last; 0 where it is never observed. Observed pixels
    stay as they are.

    Args:
        frames: ``(B, T, C, H, W)``, 0 where hidden.
        observed: bool ``(B, T, 1, H, W)`` or ``(B, T, 1, 1, 1)``.

    Returns:
        ``(B, T, C, H, W)``.
    """
    before, after, t = both_sides(observed)
    weight = (t - before) / (after - before).clamp(min=1)
    return torch.lerp(values_at(before, frames), values_at(after, frames), weight.to(frames.dtype))


def warp(frames: Tensor, flow: Tensor, outside: Literal["zeros", "border"] = "zeros") -> Tensor:
    """Frames read at places beside: pixel ``(x, y)`` of the result is ``(x, y) + flow`` of the frame.

    Bilinear (Jaderberg et al., "Spatial transformer networks", NeurIPS 2015, eq. 5).

    Args:
        frames: ``(N, C, H, W)``.
        flow: ``(N, 2, H, W)``, in pixels, x first.
        outside: what is there: zeros, or the border repeated.
    """
    H, W = frames.shape[2:]
    x = torch.arange(W, device=flow.device) + flow[:, 0]
    y = torch.arange(H, device=flow.device)[:, None] + flow[:, 1]
    grid = torch.stack([(2 * x + 1) / W - 1, (2 * y + 1) / H - 1], dim=-1)
    return F.grid_sample(frames, grid, padding_mode=outside, align_corners=False)
