"""Forecasts, recreates and reconstructs sequences of frames with LSTM autoencoders.

Attributes load what they need when they are first used, so that the import itself is
quick: neither torch nor NumPy is loaded by it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from frame_forecast.clip import Batch, Clip, ValueScale
    from frame_forecast.errors import FrameForecastError, FrameForecastWarning
    from frame_forecast.models import create
    from frame_forecast.predict import Forecaster, load

_HOMES = {
    "Batch": "clip",
    "Clip": "clip",
    "ValueScale": "clip",
    "FrameForecastError": "errors",
    "FrameForecastWarning": "errors",
    "create": "models",
    "Forecaster": "predict",
    "load": "predict",
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
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
