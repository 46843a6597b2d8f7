"""What the names of a series' files say: their order, their times, and how to name more of them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product

import numpy as np

from frame_forecast.io.base import Time

_DATES = ("%Y%m%d", "%Y-%m-%d")
_CLOCKS = ("%H%M%S", "%H-%M-%S", "%H:%M:%S", "%H.%M.%S", "%H%M", "%H-%M", "%H:%M", "%H.%M")
_PATTERNS = (
    "%Y%m%d%H%M%S",
    "%Y%m%d%H%M",
    *(date + between + clock for date, between, clock in product(_DATES, "_T- ", _CLOCKS)),
    "%y%j%H%M",  # MeteoSwiss: AQC151351855F is 18:55 of day 135 of 2015
    *_DATES,
)
_YEARS = range(1900, 2101)  # other "years" are counters with leading zeros


@dataclass(frozen=True)
class Naming:
    """Names of files that differ in one place, by a time or a number.

    Args:
        prefix, suffix: before and after that place.
        pattern: of the time, as strftime has it; empty if files are numbered.
        width: digits of the number, with leading zeros.
        first, step: the numbers are ``first``, ``first + step``, ...
    """

    prefix: str
    suffix: str
    pattern: str = ""
    width: int = 5
    first: int = 0
    step: int = 1

    def name(self, number: int, time: Time | None) -> str:
        """Of frame ``number``, counted from 0. One without a date is numbered whatever the others were."""
        if self.pattern and isinstance(time, np.datetime64):
            middle = time.astype("datetime64[s]").item().strftime(self.pattern)
        else:
            middle = f"{self.first + number * self.step:0{self.width}d}"
        return f"{self.prefix}{middle}{self.suffix}"


def natural_key(name: str) -> list[tuple[int, str]]:
    """Sorts names as people do: numbers by their value."""
    return [(int(part), part) if part.isdecimal() else (0, part.lower()) for part in re.split(r"(\d+)", name)]


def times_in(names: Sequence[str]) -> tuple[np.ndarray, Naming | None] | None:
    """Dates in file names.

    Args:
        names: of the files, without their folders.

    Returns:
        datetime64[s] ``(files,)`` and how they are named, None where that differs in other places too.
        Nothing at all unless every name has a date of its own in the same form.
    """
    for pattern in _PATTERNS:
        expression = _expression(pattern)
        found = [expression.search(name) for name in names]
        dates = [_date(match[0], pattern) for match in found if match is not None]
        if len(dates) < len(names) or None in dates or len(set(dates)) < len(names):
            continue  # dates that several files share are not what tells them apart
        times = np.array(dates, dtype="datetime64[s]")
        around = {(match.string[: match.start()], match.string[match.end() :]) for match in found if match}
        return times, Naming(*around.pop(), pattern) if len(around) == 1 else None
    return None


def numbers_in(names: Sequence[str]) -> tuple[np.ndarray, Naming] | None:
    """The number in which alone file names differ.

    Returns:
        int64 ``(files,)`` and how they are named; nothing if there is no such number.
    """
    parts = [re.split(r"(\d+)", name) for name in names]
    if len({len(one) for one in parts}) > 1:
        return None
    differing = [i for i, column in enumerate(zip(*parts, strict=True)) if len(set(column)) > 1]
    if len(differing) != 1 or differing[0] % 2 == 0:  # even places are the text between numbers
        return None
    (place,) = differing
    digits = [one[place] for one in parts]
    if max(map(len, digits)) > 18:  # no number of frames, and more than 64 bits hold
        return None
    numbers = np.array([int(text) for text in digits])
    step = int(np.diff(np.sort(numbers)).min()) if len(numbers) > 1 else 1
    prefix, suffix = "".join(parts[0][:place]), "".join(parts[0][place + 1 :])
    return numbers, Naming(prefix, suffix, "", min(map(len, digits)), int(numbers.min()), max(step, 1))


def _expression(pattern: str) -> re.Pattern[str]:
    """What a time in this pattern looks like, with no digit before or after it."""
    widths = {"%Y": r"\d{4}", "%j": r"\d{3}"}
    body = "".join(
        widths.get(part, r"\d{2}") if part.startswith("%") else re.escape(part) for part in re.split(r"(%\w)", pattern)
    )
    before = r"(?<=[A-Za-z]{3})" if pattern.startswith("%y") else r"(?<!\d)"  # nine digits alone are a number
    return re.compile(before + body + r"(?!\d)")


def _date(text: str, pattern: str) -> datetime | None:
    try:
        date = datetime.strptime(text, pattern)
    except ValueError:
        return None
    return date if date.year in _YEARS else None
