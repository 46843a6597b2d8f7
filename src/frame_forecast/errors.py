"""Errors that a user can act on (what was given, what was expected, the next step), and warnings.

The command line prints either as one line; after an error it exits with code 2, and nothing else
does.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


class FrameForecastError(Exception):
    """Base of every error this package raises on purpose.

    Args:
        given: what was found, with its value.
        expected: what would have been right.
        next_step: what to do now.
    """

    def __init__(self, given: str, expected: str, next_step: str) -> None:
        super().__init__(given, expected, next_step)
        self.given, self.expected, self.next_step = given, expected, next_step

    def __str__(self) -> str:
        return f"{self.given}: expected {self.expected}; {self.next_step}"


class ConfigError(FrameForecastError):
    """A setting that does not exist or has a value that cannot work."""


class DataError(FrameForecastError):
    """Input that cannot be read, or values that are not allowed."""


class ShapeError(FrameForecastError):
    """An array or clip of the wrong number of axes, frames or pixels."""


class TaskError(FrameForecastError):
    """A task that this model cannot do."""


class WeightsError(FrameForecastError):
    """Weights or a checkpoint that are damaged or belong to another model."""


class OutputError(FrameForecastError):
    """Output that cannot be written."""


class ProcessError(FrameForecastError):
    """Another process of the same work that has ended, or cannot be reached, and left its share undone."""


class FrameForecastWarning(UserWarning):
    """An answer that is given but may not be what was hoped for.

    Args:
        found: in the input, with its value.
        meaning: of that for the answer.
        next_step: what would give a better one.
    """

    def __init__(self, found: str, meaning: str, next_step: str) -> None:
        super().__init__(found, meaning, next_step)
        self.found, self.meaning, self.next_step = found, meaning, next_step

    def __str__(self) -> str:
        return f"{self.found}: {self.meaning}; {self.next_step}"


def warn_on_the_way(found: str, meaning: str, next_step: str) -> None:
    """Shows a FrameForecastWarning in the midst of long work, which goes on where it cannot be shown: what stderr
    is written to may be on the very disk that is full."""
    with suppress(OSError):
        warnings.warn(FrameForecastWarning(found, meaning, next_step), stacklevel=2)


@contextmanager
def same_warning_once() -> Iterator[None]:
    """Inside, a warning of this package is shown the first time; frames are read several times, in many windows."""
    with warnings.catch_warnings():
        show, shown = warnings.showwarning, set[str]()

        def show_once(message: Warning | str, *where: Any, **more: Any) -> None:
            if not isinstance(message, FrameForecastWarning) or str(message) not in shown:
                shown.add(str(message))
                show(message, *where, **more)

        warnings.showwarning = show_once
        yield
