"""The random numbers of a clip, one after the other."""

import math

import numpy as np


class Draws:
    """Reads a clip's row of uniform numbers as what they are drawn for.

    Args:
        row: float64 ``(N,)`` in [0, 1), from `philox.uniform`; each number is used once.
    """

    def __init__(self, row: np.ndarray) -> None:
        self._rest = iter(row.tolist())

    def unit(self) -> float:
        """Of [0, 1)."""
        return next(self._rest)

    def between(self, low: float, high: float) -> float:
        """Even between two numbers."""
        return low + (high - low) * self.unit()

    def ratio(self, low: float, high: float) -> float:
        """Even in its logarithm between two positive numbers."""
        return low * (high / low) ** self.unit()

    def chance(self, share: float) -> bool:
        """True that often."""
        return self.unit() < share

    def pick(self, count: int) -> int:
        """One of 0 .. count - 1."""
        return int(self.unit() * count)

    def sign(self) -> float:
        """-1 or 1."""
        return math.copysign(1.0, self.unit() - 0.5)

    def direction(self) -> np.ndarray:
        """A unit vector ``(2,)``, x first."""
        angle = self.between(0, 2 * math.pi)
        return np.array([math.cos(angle), math.sin(angle)])
