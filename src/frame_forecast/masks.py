"""Observed masks: which pixels of which frames a model may see.

True means observed. A frame-level mask is ``(T, 1, 1, 1)`` and broadcasts over pixels.
"""

import torch
from torch import Tensor

from frame_forecast.errors import ShapeError


def future(context: int, horizon: int) -> Tensor:
    """The forecast mask: ``context`` observed frames, then ``horizon`` hidden ones.

    Returns:
        bool ``(context + horizon, 1, 1, 1)``.

    Raises:
        ShapeError: ``context`` below 1 or ``horizon`` below 0.
    """
    if context < 1:
        raise ShapeError(f"context={context}", "at least 1 observed frame", "give a larger context")
    if horizon < 0:
        raise ShapeError(f"horizon={horizon}", "0 or more frames", "give a horizon of 1 or more")
    return (torch.arange(context + horizon) < context).reshape(-1, 1, 1, 1)


def context_lengths(observed: Tensor, valid: Tensor) -> Tensor:
    """Frames of each clip up to and including the last one with an observed pixel.

    Args:
        observed: bool ``(B, T, 1, H, W)`` or broadcastable in the last three axes.
        valid: bool ``(B, T)``.

    Returns:
        int64 ``(B,)``; 0 where nothing is observed.
    """
    seen = observed.flatten(2).any(dim=2) & valid
    position = torch.arange(1, seen.shape[1] + 1, device=seen.device)
    return (seen * position).amax(dim=1)
