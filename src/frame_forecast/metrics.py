"""Scores that stream: update with a batch, merge with another process's, compute at the end.

Every score is a ratio of two sums, kept in float64 for each step (lead time), so memory does
not grow with the number of clips. Sums are made on the CPU whatever the device: float64 is
missing on some, and TF32 convolutions would spoil the variances of SSIM on others.
"""

import abc
from dataclasses import dataclass
from typing import Any, Self, final

import torch
from torch import Tensor

from frame_forecast.errors import DataError, ShapeError

THRESHOLD = 0.5
_PROBABILITY_MARGIN = 1e-7
PSNR_CAP = 100.0  # dB; an exact frame would have infinitely many
_SSIM_WINDOW = 11  # what torchmetrics makes of sigma 1.5
_OPENSTL_WINDOW = 7
_SSIM_FRAMES = 16  # at a time; see `_ssim_map`

DEFINITIONS = {
    "mse": "squared error, mean over clips, frames and pixels",
    "mse_frame": "squared error summed over a frame's pixels, mean over clips and frames",
    "mae_frame": "absolute error summed over a frame's pixels, mean over clips and frames",
    "ssim": "structural similarity of each frame, mean over clips and frames: 11x11 Gaussian window, "
    "sigma 1.5, data range 1, borders reflected; of a frame that is scored in part, its mean over the scored "
    "pixels, where windows see the truth around them; left out for frames smaller than the window",
    "psnr": "10 log10(1 / mse) of each frame in dB, capped at 100, mean over clips and frames",
    "ssim_openstl": "structural similarity as published tables have it (scikit-image's defaults: 7x7 uniform "
    "window, sample covariance, borders cropped) with data range 2: not comparable to ssim; left out for "
    "frames smaller than the window",
    "bin_accuracy": "binarised: share of pixels where prediction and target are on the same side of 0.5",
    "bin_cross_entropy": "binarised: cross-entropy in nats, mean over clips, frames and pixels, with "
    "probabilities clipped to [1e-7, 1 - 1e-7]",
    "bin_mse": "binarised: squared error of the probability, mean over clips, frames and pixels",
    "bin_f1": "binarised: F1 of lit pixels, from counts over all clips; null where nothing is lit in either",
    "bin_iou": "binarised: intersection over union of lit pixels, from counts over all clips; null where "
    "nothing is lit in either",
}


@dataclass(frozen=True)
class Score:
    """One metric.

    Args:
        overall: over every step.
        per_lead_time: for each step alone.
    """

    overall: float
    per_lead_time: list[float]


def binarise(frames: Tensor) -> Tensor:
    """1 where strictly above 0.5, else 0, in the frames' dtype; NaN stays NaN."""
    return torch.where(frames.isnan(), frames, (frames > THRESHOLD).to(frames.dtype))


class StreamingScores(abc.ABC):
    """The sums of several metrics; subclasses say what is summed (`_terms`).

    A score is NaN where its ratio is 0/0 (nothing to score), and where a scored pixel of a
    prediction is not finite: a broken model does not get a number.
    """

    def __init__(self) -> None:
        self._shape: tuple[int, ...] = ()  # (K, C, H, W) of what was scored; () before the first
        self._sums: dict[str, Tensor] = {}  # float64 (2, K): numerators and denominators

    @final
    def update(self, prediction: Tensor, target: Tensor, scored: Tensor | None = None) -> None:
        """Adds a batch.

        Args:
            prediction: ``(B, K, C, H, W)`` in [0, 1], K steps.
            target: the truth, of the same shape.
            scored: bool ``(B, K, 1, H, W)``, or ``(B, K, 1, 1, 1)`` for whole frames. The rest of
                the prediction may hold anything; the rest of the target, black where it is not
                finite, is what a window of SSIM sees around scored pixels, and counts nowhere
                else. Frames without a scored pixel do not count. None = everything.

        Raises:
            ShapeError: shapes disagree with each other or with an earlier batch.
        """
        if prediction.ndim != 5 or prediction.shape != target.shape:
            raise ShapeError(
                f"a prediction of shape {tuple(prediction.shape)} and a target of {tuple(target.shape)}",
                "(B, K, C, H, W) for both",
                "score the same frames",
            )
        B, K, C, H, W = prediction.shape
        if scored is None:
            scored = torch.ones((B, K, 1, 1, 1), dtype=torch.bool)
        if tuple(scored.shape) not in ((B, K, 1, H, W), (B, K, 1, 1, 1)):
            raise ShapeError(
                f"scored of shape {tuple(scored.shape)}",
                f"{(B, K, 1, H, W)} or {(B, K, 1, 1, 1)}",
                "give a mask for every frame",
            )
        scored = scored.cpu().expand(B, K, 1, H, W)
        zero, nan = torch.zeros(()), torch.tensor(torch.nan)
        target = target.to("cpu", torch.float32)
        target = torch.where(scored | target.isfinite(), target, zero)
        prediction = torch.where(scored, prediction.to("cpu", torch.float32), target)
        prediction = torch.where(prediction.isfinite(), prediction, nan)  # thresholds would hide inf
        terms = self._terms(prediction, target, scored)
        sums = {name: torch.stack([n.sum(dim=0), d.sum(dim=0)]) for name, (n, d) in terms.items()}
        self._add((K, C, H, W), sums)

    @final
    def merge(self, other: Self) -> None:
        """Adds what another process has summed.

        Raises:
            ShapeError: it scored other metrics or frames of another shape.
        """
        if other._shape:
            self._add(other._shape, other._sums)

    @final
    def compute(self) -> dict[str, Score]:
        """The scores so far, by metric.

        Raises:
            DataError: there was no batch yet.
        """
        if not self._shape:
            raise DataError("scores of nothing", "one batch at least", "call update first")
        scores = {}
        for name, (numerator, denominator) in self._sums.items():
            overall = (numerator.sum() / denominator.sum()).item()
            scores[name] = Score(overall, (numerator / denominator).tolist())
        return scores

    def _add(self, shape: tuple[int, ...], sums: dict[str, Tensor]) -> None:
        if not self._shape:
            self._shape, self._sums = shape, sums
        elif shape != self._shape or sums.keys() != self._sums.keys():
            raise ShapeError(
                f"{', '.join(sums)} of frames (K, C, H, W) = {shape}",
                f"{', '.join(self._sums)} of {self._shape}, as before",
                "keep scores of their own for each kind of frames",
            )
        else:
            self._sums = {name: self._sums[name] + sums[name] for name in sums}

    @abc.abstractmethod
    def _terms(self, prediction: Tensor, target: Tensor, scored: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """Numerator and denominator ``(B, K)`` of each metric.

        Args:
            prediction: float32 ``(B, K, C, H, W)`` on the CPU, never infinite, the target where not
                scored.
            target: likewise float32, finite where not scored.
            scored: bool ``(B, K, 1, H, W)``.
        """


class FrameScores(StreamingScores):
    """``mse``, ``mse_frame``, ``mae_frame``, ``ssim`` and ``psnr``; see `DEFINITIONS`.

    ``mse`` is a mean over scored pixels, ``mse_frame`` a mean over frames of sums over a frame's
    scored pixels, ``psnr`` a mean over frames of the decibels of a frame's scored pixels.

    Args:
        openstl: also ``ssim_openstl``.
    """

    def __init__(self, openstl: bool = False) -> None:
        super().__init__()
        self.openstl = openstl

    def _terms(self, prediction: Tensor, target: Tensor, scored: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        error = prediction - target
        squared, absolute = frame_sum(error.square()), frame_sum(error.abs())
        values = _values(scored, channels=prediction.shape[2])
        frames = (values > 0).double()
        psnr = (-10 * torch.log10(squared / values.clamp(min=1))).clamp(max=PSNR_CAP)
        terms = {"mse": (squared, values), "mse_frame": (squared, frames), "mae_frame": (absolute, frames)}
        smaller_side = min(prediction.shape[-2:])
        if smaller_side >= _SSIM_WINDOW:
            terms["ssim"] = _frame_mean(_ssim_map(prediction, target, data_range=1.0), scored)
        terms["psnr"] = (psnr * frames, frames)
        if self.openstl and smaller_side >= _OPENSTL_WINDOW:
            terms["ssim_openstl"] = _ssim_openstl(prediction, target, scored)
        return terms


class BinaryScores(StreamingScores):
    """``bin_accuracy``, ``bin_cross_entropy``, ``bin_mse``, ``bin_f1`` and ``bin_iou``; see `DEFINITIONS`.

    Predictions are probabilities of a lit pixel; targets are binarised here.
    """

    def _terms(self, prediction: Tensor, target: Tensor, scored: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        values = _values(scored, channels=prediction.shape[2])
        zero = torch.zeros(())
        prediction, target = torch.where(scored, prediction, zero), torch.where(scored, target, zero)
        truth, guess = binarise(target), binarise(prediction)
        wrong = frame_sum((guess - truth).abs())
        both, lit = frame_sum(guess * truth), frame_sum(guess + truth)
        # Clipping the likelihood is clipping the probability: the interval is symmetric.
        likelihood = truth * prediction + (1 - truth) * (1 - prediction)
        surprise = -likelihood.clamp(_PROBABILITY_MARGIN, 1 - _PROBABILITY_MARGIN).log()
        return {
            "bin_accuracy": (values - wrong, values),
            "bin_cross_entropy": (frame_sum(torch.where(scored, surprise, zero)), values),
            "bin_mse": (frame_sum((prediction - truth).square()), values),
            "bin_f1": (2 * both, lit),
            "bin_iou": (both, lit - both),
        }


def frame_sum(values: Tensor) -> Tensor:
    """``(B, K, C, H, W)`` -> float64 ``(B, K)``."""
    return values.sum(dim=(2, 3, 4), dtype=torch.float64)


def _values(scored: Tensor, channels: int) -> Tensor:
    """How many values of each frame are scored: ``(B, K, 1, H, W)`` -> float64 ``(B, K)``."""
    return frame_sum(scored) * channels


def _frame_mean(values: Tensor, scored: Tensor) -> tuple[Tensor, Tensor]:
    """Terms ``(B, K)`` of a mean over frames of means over a frame's scored pixels."""
    count = _values(scored, channels=values.shape[2])
    mean = frame_sum(torch.where(scored, values, torch.zeros(()))) / count.clamp(min=1)
    return mean, (count > 0).double()


def _ssim_map(prediction: Tensor, target: Tensor, **options: Any) -> Tensor:
    """The similarity at each pixel, ``(B, K, C, H, W)``, by torchmetrics and its options."""
    from torchmetrics.functional.image import structural_similarity_index_measure  # slow to import

    # Frames go in as the channels of one image: that depthwise convolution is the same
    # arithmetic, six times as fast on a CPU, and no faster with more than 16 of them.
    chunks = zip(prediction.flatten(0, 2).split(_SSIM_FRAMES), target.flatten(0, 2).split(_SSIM_FRAMES), strict=True)
    maps = [
        structural_similarity_index_measure(p[None], t[None], return_full_image=True, **options)[1][0]
        for p, t in chunks
    ]
    return torch.cat(maps).view(prediction.shape)


def _ssim_openstl(prediction: Tensor, target: Tensor, scored: Tensor) -> tuple[Tensor, Tensor]:
    """Terms ``(B, K)`` of scikit-image's ``structural_similarity(..., data_range=2)``."""
    pixels = _OPENSTL_WINDOW**2
    # scikit-image multiplies variances and covariances by n / (n - 1). Both stand in one
    # fraction, (2 cov + C2) / (var + var + C2), so dividing C2, which is k2 squared, does the same.
    k2 = 0.03 * ((pixels - 1) / pixels) ** 0.5
    similarity = _ssim_map(
        prediction, target, gaussian_kernel=False, kernel_size=_OPENSTL_WINDOW, data_range=2.0, k2=k2
    )
    border = _OPENSTL_WINDOW // 2
    inner = (..., slice(border, -border), slice(border, -border))
    return _frame_mean(similarity[inner], scored[inner])
