"""How much frames change across what is missing of them: `Changes`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from frame_forecast.clip import Clip
from frame_forecast.io.base import Frame

_NEVER = -1


@dataclass(frozen=True)
class _Seen:
    """Each pixel's last observed value ``(C, H, W)``, and the number of the frame that showed it, int64 ``(H, W)`` or
    one for all."""

    values: np.ndarray
    at: np.ndarray


class Changes:
    """Watches frames go by, and compares what each gap lies between, pixel by pixel."""

    def __init__(self) -> None:
        self._sums: dict[int, np.ndarray] = {}  # by frame: of squared differences, and how many
        self._before: _Seen | None = None
        self._last: _Seen | None = None
        self._count = 0

    @classmethod
    def of(cls, clip: Clip) -> Changes:
        """Those of a clip."""
        changes = cls()
        for values, observed in zip(clip.values, clip.observed, strict=True):
            changes.add(values, observed)
        return changes

    def watch(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """The same frames, each added as it goes by."""
        for frame in frames:
            self.add(frame.values, frame.observed)
            yield frame

    def add(self, values: np.ndarray, observed: np.ndarray) -> None:
        """The next frame: ``(C, H, W)``, and which of its pixels are observed, bool ``(1, H, W)``."""
        t, seen = self._count, np.broadcast_to(observed, (1, *values.shape[1:]))[0]
        self._count += 1
        if not seen.any():
            return
        last = self._last or _Seen(np.zeros_like(values), np.array(_NEVER))
        whole = bool(seen.all())
        if not (whole and last.at.ndim == 0 and last.at == t - 1):  # most frames end no gap
            self._end_gaps(t, seen & (last.at != _NEVER) & (last.at < t - 1), values, last)
        self._before = last
        self._last = _Seen(
            values if whole else np.where(seen, values, last.values),
            np.array(t) if whole else np.where(seen, t, last.at),
        )

    def _end_gaps(self, t: int, where: np.ndarray, values: np.ndarray, last: _Seen) -> None:
        """Pixels bool ``(H, W)`` that frame ``t`` shows and the frame before it does not."""
        since = np.broadcast_to(last.at, where.shape)[where]
        squares = _squares(values, last.values, where)
        for before in np.unique(since).tolist():
            those = squares[since == before]
            for missing in range(before + 1, t):
                self._sums[missing] = self._sums.get(missing, 0) + np.array([those.sum(), len(those)])

    def across(self) -> dict[int, tuple[float, int]]:
        """For each frame with missing pixels that frames before and after show: their mean squared difference, in
        squared units, and how many they are."""
        return {t: (float(total / count), int(count)) for t, (total, count) in self._sums.items()}

    def latest(self) -> float | None:
        """Mean squared difference between the last observed frame and the one before it, in squared units, for each
        frame that they are apart; over the pixels that both show. None where there are no two."""
        if self._last is None or self._before is None:
            return None
        now, before = (np.broadcast_to(seen.at, seen.values.shape[1:]) for seen in (self._last, self._before))
        both = (now == now.max()) & (before != _NEVER)
        if not both.any():
            return None
        return float((_squares(self._last.values, self._before.values, both) / (now - before)[both]).mean())


def _squares(values: np.ndarray, others: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Squared differences of some pixels, mean of their channels: float64 ``(N,)``."""
    return np.square(values[:, where].astype(np.float64) - others[:, where]).mean(axis=0)
