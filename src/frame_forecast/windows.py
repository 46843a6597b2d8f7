"""Long clips in pieces that a model was trained for, and what a piece shows of its clip."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor


@dataclass(frozen=True)
class Window:
    """Consecutive frames of a clip that a model gets as one canvas.

    Args:
        frames: of the clip, by number.
        kept: those of them whose prediction is taken from this window.
        hidden: frames that are not shown to the model although they are observed.
    """

    frames: range
    kept: Sequence[int]
    hidden: Sequence[int] = ()


def cut(frames: int, longest: int) -> list[Window]:
    """Windows half their length apart; each frame is kept from the one in which it is most central.

    Args:
        frames: of the clip, 1 or more.
        longest: frames of a window, 1 or more; a clip of no more frames is one window.
    """
    length = min(frames, longest)
    starts = [*range(0, frames - length, max(1, length // 2)), frames - length]
    # Between two neighbours, the middle of their two centres is where the next one is nearer.
    ends = [(a + b + length + 1) // 2 for a, b in pairwise(starts)] + [frames]
    return [
        Window(range(start, start + length), range(first, end))
        for start, first, end in zip(starts, [0, *ends], ends, strict=False)
    ]


def interleave(window: Window, passes: int) -> list[Window]:
    """The windows in which each kept frame is predicted from others, `Model.passes` of them.

    Args:
        window: hides nothing.
        passes: pass p hides the frames t of the clip with ``t % passes == p`` and keeps their
            predictions; 1 hides nothing. A pass that would keep nothing is left out.
    """
    if passes == 1:
        return [window]
    made = []
    for p in range(passes):
        hidden = [t for t in window.frames if t % passes == p]
        kept = [t for t in hidden if t in window.kept]
        if kept:
            made.append(Window(window.frames, kept, hidden))
    return made


def frames_seen(observed: Tensor) -> Tensor:
    """How many frames of each canvas have an observed pixel.

    Args:
        observed: bool ``(B, T, 1, H, W)``.

    Returns:
        int64 ``(B,)``.
    """
    return observed.flatten(2).any(dim=2).sum(dim=1)


def one_value(frames: Tensor, observed: Tensor) -> Tensor:
    """Which canvases have the same value in all their observed pixels; not those with none.

    Args:
        frames: ``(B, T, C, H, W)`` in [0, 1].
        observed: bool ``(B, T, 1, H, W)``.

    Returns:
        bool ``(B,)``.
    """
    lowest = frames.where(observed, 2.0).flatten(1).amin(dim=1)
    highest = frames.where(observed, -1.0).flatten(1).amax(dim=1)
    return lowest == highest
