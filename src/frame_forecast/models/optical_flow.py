"""Frames moved along the motion seen before and after: the baseline for real footage.

Motion is the dense flow between two frames (Kroeger et al., "Fast optical flow using dense inverse
search", ECCV 2016; OpenCV's, preset medium). A gap is filled from both of its ends, each moved to the
time between them and weighted by how near it is. Beyond the last frame, it is carried on along its
last motion, as in radar nowcasting (Germann and Zawadzki, "Scale-dependence of the predictability of
precipitation from continental radar images", Monthly Weather Review 2002, "semi-Lagrangian backward").
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from frame_forecast.errors import ShapeError
from frame_forecast.models.baselines import Baseline, BaselineConfig
from frame_forecast.models.registry import register
from frame_forecast.nn.motion import on_a_line, other_neighbours, warp
from frame_forecast.packages import require

_SHORTEST_SIDE = 128  # of what flow is computed on: doubling 64x64 digits gained 1.3 dB, larger footage nothing
_LONGEST_SIDE = 2**15 - 2  # that OpenCV takes
_SOUND = 0.5  # share of a frame that must be observed, for flow to see more than guesses
_REACH = 2  # pixels around a hole that fill it well enough
_UNSEEN = 0.2  # weight of a guess beside 1 for an observed pixel: less cost 0.2 dB where noise averages out
_NEVER = -1  # in place of a pair


@final
@register("optical_flow", BaselineConfig, presets={"optical_flow": BaselineConfig()}, tiny=BaselineConfig())
class OpticalFlow(Baseline):
    """Each missing pixel from the nearest frames that show it, moved along the flow between them.

    Before the first and after the last of them, the nearest one moves on as it last did, and what
    comes in from outside repeats the border. A frame of which less than half is observed shows
    no motion. Where none is known, with one frame for example, pixels are as in `Linear`; 0 where
    they are never observed. Observed pixels come back as they are. All channels move alike, as
    their mean does.

    Raises:
        ConfigError: OpenCV is not installed.
    """

    passes = 4
    exports = False

    def __init__(self, config: BaselineConfig) -> None:
        super().__init__(config)
        _opencv()  # rather now than after the first frames were read

    def _predict(self, frames: Tensor, observed: Tensor, valid: Tensor) -> Tensor:
        prediction = on_a_line(frames, observed)
        for copy in moved_copies(prediction, observed, valid):
            made = prediction[copy.clip, copy.frame]
            prediction[copy.clip, copy.frame] = torch.where(copy.where, copy.blend(), made)
        return prediction


@dataclass(frozen=True)
class MovedCopies:
    """The nearest frames before and after one with missing pixels, moved to its time.

    Args:
        clip, frame: which one, by number.
        where: bool ``(1, H, W)`` or ``(1, 1, 1)``, the missing pixels that these frames show.
        sides: ``(2, C, H, W)``, before and after; one that is not there is like the other.
        weights: ``(2, 1, H, W)``, how far to trust them: the nearer the more, pixels that were observed more than
            guesses, and one that is not there not at all.
    """

    clip: int
    frame: int
    where: Tensor
    sides: Tensor
    weights: Tensor

    def blend(self) -> Tensor:
        """Their weighted mean, ``(C, H, W)`` in [0, 1]."""
        mean = (self.weights * self.sides).sum(dim=0) / self.weights.sum(dim=0)
        return mean.clamp(0, 1)  # rounding must not take it above 1


def moved_copies(frames: Tensor, observed: Tensor, valid: Tensor) -> Iterator[MovedCopies]:
    """Of each frame with missing pixels, what moved there from both sides; none where no motion is known.

    Args:
        frames: ``(B, T, C, H, W)``, filled along time as by `on_a_line`; may be changed between two copies.
        observed: bool ``(B, T, 1, H, W)`` or ``(B, T, 1, 1, 1)``.
        valid: bool ``(B, T)``.
    """
    for i, length in enumerate(valid.sum(dim=1).tolist()):  # padding is at the end
        yield from _Clip(i, frames[i, :length], observed[i, :length]).moved()


class _Clip:
    """One clip.

    Args:
        number: of the clip.
        frames: ``(T, C, H, W)``, filled along time; 0 where never observed.
        observed: bool ``(T, 1, H, W)`` or ``(T, 1, 1, 1)``.
    """

    def __init__(self, number: int, frames: Tensor, observed: Tensor) -> None:
        self._number, self._observed = number, observed
        self._ever = observed.any(dim=0)
        # Filled in space, too: the edge of what is never observed stands still, and flow would see it.
        self._source = _filled(frames, self._ever)
        sound = observed.flatten(1).sum(dim=1) >= _SOUND * self._ever.sum().clamp(min=1)
        # Like ``observed``: what can be made from a frame.
        self._shown = _closed(observed) & sound[:, None, None, None]

    def moved(self) -> Iterator[MovedCopies]:
        """What frames before and after give of those with missing pixels."""
        pairs, found = self._pairs()
        for before, after in sorted(found):
            missing = pairs[before + 1 : after] == self._code(before, after)
            times = [before + 1 + t for t in missing.flatten(1).any(dim=1).nonzero().flatten().tolist()]
            for t, sides, weights in self._moved(before, after, times, missing.any(dim=0)):
                yield MovedCopies(self._number, t, missing[t - before - 1], sides, weights)

    def _code(self, before: Any, after: Any) -> Any:
        """One number for a pair of frames, or of tensors of them; not `_NEVER`."""
        return (before + 1) * (len(self._source) + 1) + after

    def _pairs(self) -> tuple[Tensor, set[tuple[int, int]]]:
        """The frames before and after that each missing pixel is made from.

        Returns:
            int64, the shape of ``observed``: the pair's `_code`, or `_NEVER` for pixels that stay as
            they are; and the pairs ``(before, after)``, -1 and T where there is none.
        """
        T = len(self._source)
        before, after = (side[0] for side in other_neighbours(self._shown[None]))
        missing = ~self._observed & self._ever & ((before >= 0) | (after < T))
        pairs = torch.where(missing, self._code(before, after), _NEVER)
        used = {pair for frame in pairs for pair in frame[frame != _NEVER].unique().tolist()}
        return pairs, {(pair // (T + 1) - 1, pair % (T + 1)) for pair in used}

    def _moved(self, before: int, after: int, times: list[int], where: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
        """The given times, and what both sides give of them: `MovedCopies.sides` and their weights.

        Args:
            before, after: the frames they are made from; -1 and T = none.
            times: in order.
            where: bool ``(1, H, W)`` or ``(1, 1, 1)``, the pixels that will be used.
        """
        T = len(self._source)
        if before >= 0 and after < T:
            forth, back = self._flow(before, after), self._flow(after, before)
            for t in times:
                yield t, *self._between(before, after, t, forth, back)
            return
        source, others = (before, range(before - 1, -1, -1)) if before >= 0 else (after, range(after + 1, T))
        # Its motion is seen in the next frame that shows most of what is asked for.
        other = next((t for t in others if (self._shown[t] & where).sum() >= _SOUND * where.sum()), None)
        if other is None:
            return
        wanted = {abs(t - source): t for t in times}
        back = self._flow(source, other) / abs(source - other)
        there = back.new_tensor([before >= 0, after < T]).view(2, 1, 1, 1).expand(2, 1, *back.shape[2:])
        for lead, path in enumerate(_paths(back, max(wanted)), start=1):
            if lead in wanted:
                moved = warp(self._source[source][None], path, "border")
                yield wanted[lead], moved.expand(2, *moved.shape[1:]), there

    def _between(self, before: int, after: int, t: int, forth: Tensor, back: Tensor) -> tuple[Tensor, Tensor]:
        """Both ends moved to the time ``t`` between them, and their weights."""
        share = (t - before) / (after - before)
        # Both flows are known where their pixels set out, not where they are by then. In this mean, the
        # errors of that cancel (Jiang et al., "Super SloMo", CVPR 2018); iterating gained nothing.
        motion = (1 - share) * forth - share * back
        sides, weights = [], []
        for end, way, near in ((before, -share, 1 - share), (after, 1 - share, share)):
            trust = (self._observed[end] + _UNSEEN).expand_as(motion[:, :1])
            moved = warp(torch.cat([trust * self._source[end], trust], dim=1), way * motion, "border")
            sides.append(moved[:, :-1] / moved[:, -1:])
            weights.append(near * moved[:, -1:])
        return torch.cat(sides), torch.cat(weights)

    def _flow(self, start: int, end: int) -> Tensor:
        """Where the pixels of one frame are in another: ``(1, 2, H, W)``, in pixels, x first.

        DIS takes 8 bits of grey: the mean of the channels, from its lowest value in the two frames to its
        highest.
        """
        grey = self._source[[start, end]].mean(dim=1)
        low, high = grey.aminmax()
        stretched = (grey - low) / (high - low).clamp(min=torch.finfo(grey.dtype).tiny)
        levels = (stretched * 255).round().to(torch.uint8).cpu().numpy()
        return torch.from_numpy(_dis(levels[0], levels[1])).to(grey).movedim(-1, 0)[None]


def _paths(back: Tensor, leads: int) -> Iterator[Tensor]:
    """Where the pixels of frames 1 .. ``leads`` steps on come from in the last frame: ``(1, 2, H, W)``.

    Args:
        back: where the last frame's pixels come from in the frame a step before it, of the same
            shape. Each place keeps its motion, so that the steps follow one another.
    """
    path = torch.zeros_like(back)
    for _ in range(leads):
        path = path + warp(back, path, "border")
        yield path


def _dis(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Dense flow by inverse search between grey frames, uint8 ``(H, W)``: float32 ``(H, W, 2)``.

    Small frames are enlarged for it, each side to 128 pixels or a little more: it takes no side
    below 12 pixels, and has few levels to search on in small frames.

    Raises:
        ShapeError: a side longer than OpenCV takes.
    """
    H, W = start.shape
    if max(H, W) > _LONGEST_SIDE:
        raise ShapeError(f"frames of {H}x{W}", f"sides up to {_LONGEST_SIDE} pixels", "cut them into tiles")
    cv2 = _opencv()
    x, y = -(-_SHORTEST_SIDE // W), -(-_SHORTEST_SIDE // H)
    if max(x, y) > 1:
        start, end = (cv2.resize(frame, (x * W, y * H), interpolation=cv2.INTER_CUBIC) for frame in (start, end))
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(start, end, None)
    return cv2.resize(flow, (W, H), interpolation=cv2.INTER_AREA) / np.array([x, y], np.float32)


def _closed(observed: Tensor) -> Tensor:
    """``observed``, bool ``(T, 1, H, W)``, less its holes of up to 4 pixels; larger ones keep their shape."""

    def grown(pixels: Tensor) -> Tensor:
        return F.max_pool2d(pixels.float(), 2 * _REACH + 1, stride=1, padding=_REACH) > 0

    return ~grown(~grown(observed))


def _filled(frames: Tensor, ever: Tensor) -> Tensor:
    """Frames whose never observed pixels have the value of the nearest one observed.

    Args:
        frames: ``(T, C, H, W)``.
        ever: bool ``(1, H, W)`` or ``(1, 1, 1)``: observed in any frame.

    Returns:
        ``(T, C, H, W)``; as it was, if all pixels or none are.
    """
    if ever.all() or not ever.any():
        return frames.clone()
    cv2 = _opencv()
    seen = ever[0].cpu().numpy()
    _, labels = cv2.distanceTransformWithLabels(
        (~seen).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    pixel = np.zeros(labels.max() + 1, np.int64)  # the number of the pixel that has the label
    pixel[labels[seen]] = seen.ravel().nonzero()[0]
    nearest = torch.from_numpy(pixel[labels].ravel()).to(frames.device)
    return frames.flatten(2)[..., nearest].view_as(frames)


def _opencv() -> Any:
    return require("cv2", "opencv-python-headless")
