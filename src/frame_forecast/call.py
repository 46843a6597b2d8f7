"""One call of a `Forecaster`: its hooks, and what its canvases lack."""

import warnings
from collections.abc import Callable

from torch import Tensor

from frame_forecast.errors import FrameForecastWarning
from frame_forecast.windows import frames_seen, one_value

Progress = Callable[[int, int], None]
"""Called with canvases done and canvases in all; a clip of no more than the trained length is one."""
Cancel = Callable[[], bool]


class Cancelled(Exception):
    """The ``cancel`` hook said so."""


class Call:
    """The hooks of one call, and what its canvases lack.

    Args:
        name: of the model.
        progress, cancel: as for `Forecaster`.
        total: canvases there will be.
    """

    def __init__(self, name: str, progress: Progress | None, cancel: Cancel | None, total: int) -> None:
        self._name = name
        self._progress, self._cancel = progress, cancel
        self._done, self._total = 0, total
        self._empty: dict[str, None] = {}  # sources, in order and each once
        self._single: dict[str, None] = {}
        self._constant: dict[str, None] = {}

    def ask(self) -> None:
        """Raises `Cancelled` if the hook says so."""
        if self._cancel is not None and self._cancel():
            raise Cancelled

    def tell(self, canvases: int) -> None:
        """So many more are done."""
        self._done += canvases
        if self._progress is not None:
            self._progress(self._done, self._total)

    def look_at(self, frames: Tensor, observed: Tensor, sources: list[str]) -> None:
        """Notes which canvases ``(B, T, C, H, W)`` show too little, by the clips they are of."""
        seen = frames_seen(observed)
        found = (self._empty, seen == 0), (self._single, seen == 1), (self._constant, one_value(frames, observed))
        for noted, rows in found:
            noted.update(dict.fromkeys(source for source, row in zip(sources, rows.tolist(), strict=True) if row))

    def warn(self) -> None:
        """Warns once of each thing that was noted, at the line that called the `Forecaster`."""
        for noted, what, meaning, next_step in (
            (
                self._empty,
                "nothing observed",
                f"the answer there is what {self._name} gives for an empty canvas",
                "give some observed frames, or expect no more than a typical clip",
            ),
            (
                self._single,
                "one observed frame",
                "how things move is unknown, so the answer shows them where they may be",
                "give two frames or more",
            ),
            (
                self._constant,
                "observed pixels of one value alone",
                "there is nothing to follow, so the answer means little",
                "check the frames and their scale",
            ),
        ):
            if noted:
                first, *others = noted
                where = f"a canvas of {first}" + (f" and of {len(others)} more" if others else "")
                warnings.warn(FrameForecastWarning(f"{what} in {where}", meaning, next_step), stacklevel=3)
