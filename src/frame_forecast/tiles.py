"""Frames larger than a model should take at once: squares that overlap, blended where they do."""

from collections.abc import Callable

import torch
from torch import Tensor

Run = Callable[[Tensor, Tensor], Tensor]
"""Frames ``(B, T, C, H, W)`` and observed ``(B, T, 1, H, W)`` to predictions like the frames."""


_SHARED = 4  # a tile's side is so many times what it shares with the next one, at least


def run_in_tiles(
    run: Run, frames: Tensor, observed: Tensor, tile: tuple[int, int], *, holes_only: bool, fixed: bool = False
) -> Tensor:
    """A prediction for whole frames from one for each tile.

    Neighbouring tiles share a quarter of their side at least, over which one fades into the other, so that
    there is no seam.

    Args:
        run: the model.
        frames: ``(B, T, C, H, W)``.
        observed: bool ``(B, T, 1, H, W)``.
        tile: largest height and width of a tile; smaller frames are run as they are.
        holes_only: leaves tiles out that have nothing missing, whose prediction nobody will use; their
            pixels are 0.
        fixed: tiles have that size and no other; else they are no larger than it takes.

    Returns:
        ``(B, T, C, H, W)``.
    """
    H, W = frames.shape[-2:]
    rows, columns = _places(H, tile[0], fixed), _places(W, tile[1], fixed)
    total = torch.zeros_like(frames)
    weights = frames.new_zeros((H, W))
    for row in rows:
        for column in columns:
            seen = observed[..., row, column]
            if holes_only and bool(seen.all()):
                continue
            weight = _fade(row, H)[:, None] * _fade(column, W)
            weight = weight.to(frames.device)
            total[..., row, column] += weight * run(frames[..., row, column], seen)
            weights[row, column] += weight
    return total / weights.clamp(min=torch.finfo(weights.dtype).tiny)


def _places(length: int, tile: int, fixed: bool) -> list[slice]:
    """Where tiles lie along one axis: the first at its start, the last at its end, evenly spread."""
    if length <= tile:
        return [slice(0, length)]
    shared = tile // _SHARED
    count = -(-(length - tile) // (tile - shared))
    if not fixed:
        tile = -(-(length + count * shared) // (count + 1))
    return [slice(start, start + tile) for i in range(count + 1) for start in [(length - tile) * i // count]]


def _fade(place: slice, length: int) -> Tensor:
    """Weights along one axis: 1 inside, falling towards the sides that other tiles share."""
    inside = torch.arange(place.stop - place.start, dtype=torch.float32)
    rise = len(inside) // _SHARED + 1
    weight = torch.ones_like(inside)
    if place.start > 0:
        weight = weight.minimum((inside + 1) / rise)
    if place.stop < length:
        weight = weight.minimum((len(inside) - inside) / rise)
    return weight
