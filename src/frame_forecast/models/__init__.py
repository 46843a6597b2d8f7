"""Models: one a file, found by name."""

# Importing a model registers it.
from frame_forecast.models import (  # noqa: F401
    baselines,
    conv_lstm,
    conv_lstm_autoencoder,
    lstm_autoencoder,
    masked_lstm,
    mau,
    mim,
    optical_flow,
    phydnet,
    predrnn,
    predrnn_pp,
    simvp,
    swin_lstm,
)
from frame_forecast.models.base import TASKS, Model
from frame_forecast.models.baselines import BASELINES
from frame_forecast.models.registry import Entry, create, entries, entry_of, find, override, presets, register

UNTRAINED = (*BASELINES, "optical_flow")
"""Models that have nothing to learn."""

__all__ = [
    "BASELINES",
    "TASKS",
    "UNTRAINED",
    "Entry",
    "Model",
    "create",
    "entries",
    "entry_of",
    "find",
    "override",
    "presets",
    "register",
]
