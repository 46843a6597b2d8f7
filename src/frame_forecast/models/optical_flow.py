"""Frames moved along the motion seen before and after: the baseline for real footage.

Motion is the dense flow between two frames (Kroeger et al., "Fast optical flow using dense inverse
search", ECCV 2016; OpenCV's, preset medium). A gap is filled from both of its ends, each moved to the
time between them and weighted by how near it is. Beyond the last frame, it is carried on along its
last motion, as in radar nowcasting (Germann and Zawadzki, "Scale-dependence of the predictability of
precipitation from continental radar images", Monthly Weather Review 2002, "semi-Lagrangian backward").
"""

from collections.abc import Iterator
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from frame_forecast.errors import ShapeError
from frame_forecast.models.baselines import Baseline, BaselineConfig
from frame_forecast.models.registry import register
from frame_forecast.nn.motion import neighbours, on_a_line, warp
from frame_forecast.packages import require

_SHORTEST_SIDE = 128  # of what flow is computed on: doubling 64x64 digits gained 1.3 dB, larger footage nothing
_LONGEST_SIDE = 2**15 - 2  # that OpenCV takes
_SOUND = 0.5  # share of a frame that must be observed, for flow to see more than guesses
_FEW = 1 / 16  # of a frame's missing pixels: not worth a flow of their own
_ROUNDS = 3  # of fixed-point iteration; two more changed PSNR by less than 0.01 dB
_UNSEEN = 1e-3  # weight of a guess beside an observed pixel
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

    def __init__(self, config: BaselineConfig) -> None:
        super().__init__(config)
        _opencv()  # rather now than after the first frames were read

    def _predict(self, frames: Tensor, observed: Tensor, valid: Tensor) -> Tensor:
        prediction = on_a_line(frames, observed)
        for i, length in enumerate(valid.sum(dim=1).tolist()):
            if length:  # padding is at the end
                _Clip(prediction[i, :length], observed[i, :length]).move()
        return prediction


class _Clip:
    """One clip, to be filled in place.

    Args:
        frames: ``(T, C, H, W)``, filled along time; 0 where never observed.
        observed: bool ``(T, 1, H, W)`` or ``(T, 1, 1, 1)``.
    """

    def __init__(self, frames: Tensor, observed: Tensor) -> None:
        self._frames, self._observed = frames, observed
        # Filled in space, too: the edge of what is never observed stands still, and flow would see it.
        self._source = _filled(frames.detach(), observed.any(dim=0))
        known = observed.any(dim=0).sum().clamp(min=1)
        self._sound = observed.flatten(1).sum(dim=1) >= _SOUND * known  # (T,)

    def move(self) -> None:
        """Fills what is missing from frames before and after it, moved."""
        pairs, found = self._pairs()
        for before, after in sorted(found):
            missing = pairs[before + 1 : after] == self._code(before, after)
            times = [before + 1 + t for t in missing.flatten(1).any(dim=1).nonzero().flatten().tolist()]
            for t, moved in self._moved(before, after, times, missing.any(dim=0)):
                # A mean of pixels may be above 1 by its rounding.
                self._frames[t] = torch.where(missing[t - before - 1], moved.clamp(0, 1), self._frames[t])

    def _code(self, before: Any, after: Any) -> Any:
        """One number for a pair of frames, or of tensors of them; not `_NEVER`."""
        return (before + 1) * (len(self._frames) + 1) + after

    def _pairs(self) -> tuple[Tensor, set[tuple[int, int]]]:
        """The frames before and after that each missing pixel is made from.

        Returns:
            int64, the shape of ``observed``: the pair's `_code`, or `_NEVER` for pixels that stay as
            they are; and the pairs ``(before, after)``, -1 and T where there is none.
        """
        T = len(self._frames)
        before, after = (side[0] for side in neighbours((self._observed & self._sound[:, None, None, None])[None]))
        missing = ~self._observed & ((before >= 0) | (after < T))
        pairs = torch.where(missing, self._code(before, after), _NEVER)
        used: set[int] = set()
        for frame in pairs:
            found, count = frame[frame != _NEVER].unique(return_counts=True)
            # Pixels lost here and there have many pairs. A source's own holes are filled well enough for few.
            few = count < _FEW * count.sum()
            for pair in found[few]:
                frame[frame == pair] = found[count.argmax()]
            used.update(found[~few].tolist())
        return pairs, {(pair // (T + 1) - 1, pair % (T + 1)) for pair in used}

    def _moved(self, before: int, after: int, times: list[int], where: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Frames ``(C, H, W)`` at the given times; none where no motion is known.

        Args:
            before, after: the frames they are made from; -1 and T = none.
            times: in order.
            where: bool ``(1, H, W)`` or ``(1, 1, 1)``, the pixels that will be used.
        """
        T = len(self._frames)
        if before >= 0 and after < T:
            forth, back = self._flow(before, after), self._flow(after, before)
            for t in times:
                yield t, self._between(before, after, t, forth, back)
            return
        source, others = (before, range(before - 1, -1, -1)) if before >= 0 else (after, range(after + 1, T))
        other = next((other for other in others if self._shows(other, where)), None)
        if other is None:
            return
        wanted = {abs(t - source): t for t in times}
        back = self._flow(source, other) / abs(source - other)
        for lead, path in enumerate(_paths(back, max(wanted)), start=1):
            if lead in wanted:
                yield wanted[lead], warp(self._source[source][None], path, "border")[0]

    def _shows(self, t: int, where: Tensor) -> bool:
        """Whether a frame is fit for flow, and has been observed where it counts."""
        return bool(self._sound[t] & ((self._observed[t] & where).sum() >= _SOUND * where.sum()))

    def _between(self, before: int, after: int, t: int, forth: Tensor, back: Tensor) -> Tensor:
        """Both ends moved to the time ``t`` between them: ``(C, H, W)``."""
        share = (t - before) / (after - before)
        # Each end's flow is that of its own pixels: their mean at the places of the target frame, which
        # is the motion from the one end, through the target, to the other.
        motion = (_at(forth, share) - _at(back, 1 - share)) / 2
        total, weights = torch.zeros_like(self._source[0]), torch.zeros_like(motion[0, :1])
        for end, way, near in ((before, -share, 1 - share), (after, 1 - share, share)):
            seen = self._observed[end].to(motion.dtype).expand(1, *motion.shape[2:])
            moved = warp(torch.cat([self._source[end], seen])[None], way * motion, "border")[0]
            weight = near * (moved[-1:] + _UNSEEN)
            total, weights = total + weight * moved[:-1], weights + weight
        return total / weights

    def _flow(self, start: int, end: int) -> Tensor:
        """Where the pixels of one frame are in another: ``(1, 2, H, W)``, in pixels, x first.

        DIS takes 8 bits of grey: the mean of the channels, from the lowest to the highest value observed
        in the two frames.
        """
        grey = self._source[[start, end]].mean(dim=1)
        seen = self._observed[[start, end], 0]
        low, high = grey.where(seen, torch.inf).amin(), grey.where(seen, -torch.inf).amax()
        stretched = (grey - low) / (high - low).clamp(min=torch.finfo(grey.dtype).tiny)
        levels = (stretched.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
        return torch.from_numpy(_dis(levels[0], levels[1])).to(grey).movedim(-1, 0)[None]


def _paths(back: Tensor, leads: int) -> Iterator[Tensor]:
    """Where the pixels of frames 1 .. ``leads`` steps on come from in the last frame: ``(1, 2, H, W)``.

    Args:
        back: where the last frame's pixels come from a step before it, of the same shape; each
            place keeps its motion.
    """
    path = torch.zeros_like(back)
    for _ in range(leads):
        # The motion halfway through the step (midpoint rule), so that what turns keeps its distance.
        step = back
        for _ in range(_ROUNDS):
            step = warp(back, path + step / 2, "border")
        path = path + step
        yield path


def _at(flow: Tensor, share: float) -> Tensor:
    """The flow of those pixels that, after a share of their way, are at the places of the grid.

    Solves ``u(x) = flow(x - share * u(x))``.

    Args:
        flow: ``(1, 2, H, W)``, of the pixels at the grid before they set out.
        share: of the way, 0 to 1.
    """
    there = flow
    for _ in range(_ROUNDS):
        there = warp(flow, -share * there, "border")
    return there


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
