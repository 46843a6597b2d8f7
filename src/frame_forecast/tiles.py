"""Frames larger than a model should take at once: tiles that overlap, blended where they do."""

from collections.abc import Callable

import torch
from torch import Tensor

Run = Callable[[Tensor, Tensor], Tensor]
"""Frames ``(B, T, C, H, W)`` and observed ``(B, T, 1, H, W)`` to predictions like the frames."""
_OVERLAP = 32  # pixels: with 16 there is a seam to be seen in PSNR, and 64 add nothing (released weights, digits)
_GRID = 16  # pixels between places: tiles then cut frames into the same patches as the whole would be


def fitted(length: int, tile: int) -> int:
    """The least side of tiles that cover a length in no more of them than tiles of side ``tile`` do.

    Args:
        length: of the frames along one axis.
        tile: the largest side, `_GRID` or more.
    """
    if length <= tile:
        return length
    # Those whose last place, at the end, is on the grid.
    sides = range(tile - (tile - length) % _GRID, 0, -_GRID)
    count = len(_places(length, sides[0]))
    return min(side for side in sides if len(_places(length, side)) == count)


def run_in_tiles(run: Run, frames: Tensor, observed: Tensor, tile: tuple[int, int], *, holes_only: bool) -> Tensor:
    """A prediction for whole frames from one for each tile.

    Neighbouring tiles share 32 pixels at least, or a quarter of a smaller side than 128, over which one fades into
    the other, so that there is no seam.

    Args:
        run: the model.
        frames: ``(B, T, C, H, W)``.
        observed: bool ``(B, T, 1, H, W)``.
        tile: height and width of a tile; smaller frames are run as they are.
        holes_only: leaves tiles out that have nothing missing, whose prediction nobody will use; their
            pixels are 0.

    Returns:
        ``(B, T, C, H, W)``.
    """
    H, W = frames.shape[-2:]
    rows, columns = _places(H, tile[0]), _places(W, tile[1])
    total = torch.zeros_like(frames)
    weights = frames.new_zeros((H, W))
    for row in rows:
        for column in columns:
            seen = observed[..., row, column]
            if holes_only and bool(seen.all()):
                continue
            weight = _fade(row, H, tile[0])[:, None] * _fade(column, W, tile[1])
            weight = weight.to(frames.device)
            total[..., row, column] += weight * run(frames[..., row, column], seen)
            weights[row, column] += weight
    return total.div_(weights.clamp_(min=torch.finfo(weights.dtype).tiny))


def _overlap(tile: int) -> int:
    return min(_OVERLAP, tile // 4)


def _places(length: int, tile: int) -> list[slice]:
    """Where tiles lie along one axis: the first at its start, the last at its end, evenly spread over the grid."""
    if length <= tile:
        return [slice(0, length)]
    step = tile - _overlap(tile)
    grid = min(_GRID, step)
    places = -(-(length - tile) // grid)  # on the grid, up to the last
    count = -(-places // (step // grid))
    starts = [min(places * i // count * grid, length - tile) for i in range(count + 1)]
    return [slice(start, start + tile) for start in starts]


def _fade(place: slice, length: int, tile: int) -> Tensor:
    """Weights along one axis: 1 inside, falling towards the sides that other tiles share."""
    inside = torch.arange(place.stop - place.start, dtype=torch.float32)
    rise = _overlap(tile) + 1
    weight = torch.ones_like(inside)
    if place.start > 0:
        weight = weight.minimum((inside + 1) / rise)
    if place.stop < length:
        weight = weight.minimum((len(inside) - inside) / rise)
    return weight
