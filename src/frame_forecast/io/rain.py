"""What amounts of rain mean to a model: the scale that all readers of rain share."""

import numpy as np

from frame_forecast.scale import ValueScale

_FAINT, _HEAVIEST = 0.1, 200.0
"""mm/h: less is not counted as rain, and more falls for minutes only."""

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


def is_rain(*names: str) -> bool:
    """Whether one of a variable's names says that its values are rain."""
    return any(part in name.lower() for name in names for part in _NAMES)
