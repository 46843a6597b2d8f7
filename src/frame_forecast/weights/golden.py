"""A golden input and output beside released weights: whether this machine gives what the maker's did."""

import zipfile
from pathlib import Path

import numpy as np
import torch
from numpy.lib import format as npy

from frame_forecast.errors import WeightsError
from frame_forecast.files import replacing
from frame_forecast.io.formats.npy import read_header
from frame_forecast.models import Model
from frame_forecast.weights.files import Contract, load, read_config

GOLDEN = "golden.npz"
TOLERANCE = 2e-3
"""Largest allowed difference of an output pixel in [0, 1].

The file holds half precision, which rounds by up to 0.00024, and other processors and versions of
torch add numbers in another order, which through many steps and layers may come to about as much
again. Eight times the first is room for both, and less than a step of an 8-bit pixel (0.0039):
a difference that passes is one nobody sees.
"""

_FRAMES, _SIZE = 8, 32  # enough for a context, a gap and a horizon, in a few kilobytes


def write_golden(folder: Path, model: Model) -> None:
    """Writes the golden file of a folder of weights.

    Args:
        folder: of weights, with its config.
        model: what `load` makes of that folder, on the CPU; in evaluation mode afterwards.

    Raises:
        WeightsError: the folder's config is damaged.
        OutputError: the disk is full or read-only.
    """
    _, _, contract = read_config(folder)
    frames, observed = _canvas(model, contract)
    prediction = _predict(model, frames, observed).astype(np.float16)
    with replacing(folder / GOLDEN) as temporary:
        np.savez_compressed(temporary, frames=frames, observed=observed, prediction=prediction)


def verify(folder: Path) -> float:
    """Checks released weights: the tensors' digest, the config, the contract, and the golden output.

    Returns:
        The largest difference to the golden output, at most `TOLERANCE`.

    Raises:
        WeightsError: something is missing or damaged, or the output is another.
    """
    model, _, contract = load(folder)
    path = folder / GOLDEN
    try:
        frames, observed, expected = _read(path, _shape(model, contract))
    except Exception as error:  # zip's and NumPy's readers meet damage with errors of many kinds
        raise WeightsError(f"{path}: {error}", "the file that `release` writes", "copy the folder again") from error
    found = _predict(model, frames, observed)
    difference = float(np.abs(found - expected.astype(np.float32)).max())
    if not difference <= TOLERANCE:  # NaN is not
        raise WeightsError(
            f"{path}: an output that differs by {difference:.3g}",
            f"at most {TOLERANCE:g}",
            "copy the folder again; if that does not help, the model's code has changed since",
        )
    return difference


def _read(path: Path, shape: tuple[int, ...]) -> list[np.ndarray]:
    """The arrays of a golden file, of which none is unpacked that is not as it should be."""
    wanted = {"frames": (shape, "u1"), "observed": ((*shape[:2], 1, *shape[3:]), "?"), "prediction": (shape, "f2")}
    arrays = []
    with zipfile.ZipFile(path) as archive:
        for name, (own, dtype) in wanted.items():
            with archive.open(f"{name}.npy") as file:
                found, _, kind = read_header(file, path)
                if found != own or kind != np.dtype(dtype):
                    raise ValueError(f"{name} of {kind} and shape {found} instead of {own}")
            with archive.open(f"{name}.npy") as file:
                arrays.append(npy.read_array(file, allow_pickle=False))
    return arrays


def _shape(model: Model, contract: Contract) -> tuple[int, ...]:
    """``(1, T, C, H, W)`` of the golden input."""
    size = model.frame_size or (_SIZE, _SIZE)
    return 1, min(_FRAMES, contract.context + contract.horizon), contract.channels, *size


def _canvas(model: Model, contract: Contract) -> tuple[np.ndarray, np.ndarray]:
    """A bright disc on its way over dark frames, uint8 ``(1, T, C, H, W)``, and what is observed of it."""
    _, T, C, H, W = _shape(model, contract)
    t, y, x = np.ogrid[:T, :H, :W]
    distance = np.hypot(y - H * (0.3 + 0.05 * t), x - W * (0.25 + 0.07 * t))
    disc = np.clip(1 + min(H, W) / 6 - distance, 0, 1)  # its edge is a pixel wide
    frames = np.rint(255 * disc).astype(np.uint8)[None, :, None].repeat(C, axis=2)
    observed = np.ones((1, T, 1, H, W), bool)
    observed[:, T - T // 3 :] = False
    if "recreate" in model.tasks:  # slices, because T may be 1
        observed[:, 1:2, :, : H // 2] = False
        observed[:, 2:3] = False
    return frames, observed


@torch.inference_mode()
def _predict(model: Model, frames: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """float32, of the shape of the frames."""
    return model.eval()(torch.from_numpy(frames) / 255, torch.from_numpy(observed)).float().numpy()
