"""What amounts of rain mean to a model: the scale that all readers of rain share, and rates in a source's units."""

import math

import numpy as np

from frame_forecast.scale import ValueScale

_FAINT, _HEAVIEST = 0.1, 200.0
"""mm/h: less is not counted as rain, and more falls for minutes only."""

_SPAN = _HEAVIEST / _FAINT  # which makes a scale known again as `rain_scale`'s
_MARSHALL_PALMER, _EXPONENT = 200.0, 1.6

_AMOUNTS = {"mm": 1.0, "kg m-2": 1.0, "kg/m2": 1.0, "kg m^-2": 1.0, "cm": 0.1, "m": 1e-3}
_RATES = {
    "mm/h": 1.0,
    "mm h-1": 1.0,
    "mm/hr": 1.0,
    "mm hr-1": 1.0,
    "kg m-2 s-1": 1 / 3600,
    "kg/m2/s": 1 / 3600,
    "mm/s": 1 / 3600,
    "mm s-1": 1 / 3600,
    "m s-1": 1e-3 / 3600,
    "mm/day": 24.0,
    "mm day-1": 24.0,
}
"""How much of each unit 1 mm, or 1 mm/h, is."""

_NAMES = ("rain", "precip")


def rain_scale(units: str, hours: float | None) -> ValueScale | None:
    """Logarithmic, with 0 at 0: 0.1 mm/h, which is usually counted as the least rain, is about a tenth of the
    way to 200 mm/h, and 4 mm/h is half.

    Args:
        units: of a rate, or of what fell in ``hours``.
        hours: the time in which it fell; None if nobody knows.

    Returns:
        None for other units, or an amount that fell in nobody knows how long.
    """
    if units in _RATES:
        one = _RATES[units]
    elif units in _AMOUNTS and hours is not None and np.isfinite(hours) and hours > 0:
        one = _AMOUNTS[units] * hours
    else:
        return None
    return ValueScale(_FAINT * one, _HEAVIEST * one, "log1p")


def value_of_rate(rate: float, units: str, scale: ValueScale | None) -> float | None:
    """What a rate of rain is in a source's units.

    Reflectivity is by Z = 200 R^1.6 (Marshall and Palmer, "The distribution of raindrops with size", Journal of
    Meteorology 1948), which is meant for steady rain.

    Args:
        rate: in mm/h.
        units: of the source.
        scale: of the source; that of `rain_scale` tells in which time an amount fell.

    Returns:
        None where the values are neither rain nor dBZ.
    """
    if units.lower() == "dbz":
        return 10.0 * math.log10(_MARSHALL_PALMER * rate**_EXPONENT)
    known = units in _RATES or units in _AMOUNTS
    if not known or scale is None or scale.kind != "log1p" or not math.isclose(scale.high / scale.low, _SPAN):
        return None
    return rate * scale.low / _FAINT


def is_rain(*names: str) -> bool:
    """Whether one of a variable's names says that its values are rain."""
    return any(part in name.lower() for name in names for part in _NAMES)
