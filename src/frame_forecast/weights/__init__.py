"""Weights: a folder with ``weights.safetensors`` and ``config.json``; where to find one, and its check.

The JSON holds the model's name and config and a contract: what the weights were trained for, and
the digest of the tensors, checked when they are loaded. Released weights add ``golden.npz``, an
input with the output that belongs to it, and ``MODEL_CARD.md``.
"""

from frame_forecast.weights.files import CARD, CONFIG, TENSORS, Contract, load, load_into, save
from frame_forecast.weights.find import PREFERRED, Released, aliases, describe, find_folder, tag_of, tags
from frame_forecast.weights.golden import GOLDEN, TOLERANCE, verify, write_golden

__all__ = [
    "CARD",
    "CONFIG",
    "GOLDEN",
    "PREFERRED",
    "TENSORS",
    "TOLERANCE",
    "Contract",
    "Released",
    "aliases",
    "describe",
    "find_folder",
    "load",
    "load_into",
    "save",
    "tag_of",
    "tags",
    "verify",
    "write_golden",
]
