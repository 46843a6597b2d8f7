"""How long the frames of an animation are shown."""

from fractions import Fraction

from frame_forecast.header import Header

USUAL_RATE = Fraction(10)
"""Frames a second where none is known, or where they are dated: scans every five minutes are not watched as
they came."""


def is_dated(header: Header) -> bool:
    """Whether the frames have dates rather than seconds."""
    return header.times is not None and header.times.dtype.kind == "M"


def shown_for(header: Header, number: int, per_second: int) -> int:
    """For how many units a frame is shown, 1 at least.

    Args:
        header: of the animation; ``meta["last"]`` says in milliseconds how long its last frame is shown.
        number: of the frame.
        per_second: how many units a second has.
    """
    times, rate = header.times, header.rate or USUAL_RATE
    if times is None or is_dated(header):
        rate = USUAL_RATE if is_dated(header) else rate
        ends = number / rate, (number + 1) / rate
    elif number + 1 < len(times):
        ends = times[number : number + 2] - times[0]
    else:
        ends = 0, Fraction(header.meta.get("last", round(1000 / rate)), 1000)
    start, end = (round(float(end) * per_second) for end in ends)  # rounded as times, so that errors do not add up
    return max(end - start, 1)
