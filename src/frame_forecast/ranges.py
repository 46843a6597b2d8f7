"""Lists of frames as people write them: ``101-102,200-204``, counted from 0, both ends included."""

import re
from collections.abc import Iterable, Iterator
from itertools import groupby

from frame_forecast.errors import ConfigError

_PART = re.compile(r"\s*(\d{1,18})(?:\s*-\s*(\d{1,18}))?\s*", re.ASCII)
_EXAMPLE = "numbers and ranges such as 101-102,200-204, counted from 0"


def frame_ranges(text: str, frames: int) -> list[int]:
    """The frames that a list names, sorted, each once.

    Args:
        text: numbers and ranges with commas between them; both ends of a range belong to it.
        frames: how many there are.

    Raises:
        ConfigError: a part that is neither a number nor a range, a range that runs backwards, or a frame that is
            not there.
    """
    named: set[int] = set()
    for part, first, last in _parts(text):
        if last >= frames:  # before the set is made: it might be a large one
            raise ConfigError(
                f"frames {text!r}, of which {part!r} is not there",
                f"0 to {frames - 1}: frames are counted from 0",
                "check the numbers",
            )
        named.update(range(first, last + 1))
    return sorted(named)


def check_ranges(text: str) -> None:
    """Raises ConfigError for a list that `frame_ranges` takes for no number of frames."""
    for _ in _parts(text):
        pass


def _parts(text: str) -> Iterator[tuple[str, int, int]]:
    """Each part of a list, with the first and the last frame that it names."""
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ConfigError(f"frames {text!r}, of which {part!r} is none", _EXAMPLE, "write them so")
        first = int(match[1])
        last = first if match[2] is None else int(match[2])
        if last < first:
            raise ConfigError(f"frames {text!r}, of which {part!r} runs backwards", _EXAMPLE, f"write {last}-{first}")
        yield part, first, last


def format_ranges(numbers: Iterable[int]) -> str:
    """Frames as `frame_ranges` takes them, in any order; empty for none."""
    parts = []
    # Within a run of consecutive numbers, number less place is the same.
    for _, run in groupby(enumerate(sorted(set(numbers))), key=lambda pair: pair[1] - pair[0]):
        members = [number for _, number in run]
        parts.append(f"{members[0]}-{members[-1]}" if len(members) > 1 else f"{members[0]}")
    return ",".join(parts)
