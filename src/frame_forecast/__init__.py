"""Forecasts, recreates and reconstructs sequences of frames with LSTM autoencoders.

Attributes load what they need when they are first used, so that the import itself is
quick: neither torch nor NumPy is loaded by it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from frame_forecast.clip import Batch, Clip
    from frame_forecast.errors import FrameForecastError, FrameForecastWarning
    from frame_forecast.io.clips import read, write
    from frame_forecast.models import create
    from frame_forecast.predict import Forecaster, load
    from frame_forecast.scale import ValueScale

_HOMES = {
    "Batch": "clip",
    "Clip": "clip",
    "ValueScale": "scale",
    "FrameForecastError": "errors",
    "FrameForecastWarning": "errors",
    "create": "models",
    "Forecaster": "predict",
    "load": "predict",
    "read": "io.clips",
    "write": "io.clips",
}

__all__ = [
    "Batch",
    "Clip",
    "Forecaster",
    "FrameForecastError",
    "FrameForecastWarning",
    "ValueScale",
    "create",
    "load",
    "read",
    "write",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
