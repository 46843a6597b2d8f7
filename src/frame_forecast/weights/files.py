"""A folder of weights, ``weights.safetensors`` and ``config.json``, written and read."""

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from frame_forecast.errors import ConfigError, ShapeError, WeightsError
from frame_forecast.files import flush, replacing
from frame_forecast.models import Model, entry_of, override
from frame_forecast.records import check_types, read_json

TENSORS = "weights.safetensors"
CONFIG = "config.json"
CARD = "MODEL_CARD.md"
_SCHEMA = 1


@dataclass(frozen=True)
class Contract:
    """What weights may be relied on for.

    Args:
        weights_sha256: digest of the tensors' file.
        context, horizon: frames the weights were trained with.
        channels, height, width: of the frames they were trained with.
        value_range: of input and output.
        data: name of the data, their seed and the settings of their generator.
        training: what the training was: steps, clips, seconds, validation loss.
        splits: SHA-256 of the images that the clips of each split were made of.
    """

    weights_sha256: str
    context: int
    horizon: int
    channels: int
    height: int
    width: int
    value_range: tuple[float, float] = (0.0, 1.0)
    data: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)


def save(folder: Path, model: Model, name: str, *, half: bool = False, **contract: Any) -> Contract:
    """Writes weights; the folder appears whole or not at all.

    Args:
        folder: to write, or to replace.
        model: whose parameters are saved, with the config it was built from.
        name: under which the model is registered.
        half: stores half-precision numbers, half the size; they are loaded back into float32.
        contract: fields of `Contract`, but for the digest.

    Raises:
        WeightsError: numbers that half precision cannot hold.
        OutputError: the disk is full or read-only.
    """
    state = {key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()}
    tensors = save_tensors({key: _halved(key, value) for key, value in state.items()} if half else state)
    made = Contract(weights_sha256=hashlib.sha256(tensors).hexdigest(), **contract)
    text = json.dumps(
        {
            "schema": _SCHEMA,
            "model": name,
            "config": dataclasses.asdict(model.config),
            "contract": dataclasses.asdict(made),
        },
        indent=2,
    )
    with replacing(folder) as temporary:
        temporary.mkdir()
        (temporary / TENSORS).write_bytes(tensors)
        (temporary / CONFIG).write_text(text + "\n")
        for path in (temporary / TENSORS, temporary / CONFIG, temporary):
            flush(path)
    flush(folder.parent)
    return made


def load(folder: Path) -> tuple[Model, str, Contract]:
    """Builds the model that a folder of weights holds.

    Returns:
        The model, the name it is registered under, and the contract.

    Raises:
        WeightsError: files are missing, damaged, of another schema or of another model.
    """
    name, config, contract = read_config(folder)
    data = _read_tensors(folder, contract)
    least = entry_of(name).parameter_bytes(config) // 2  # in half precision
    if len(data) < least:  # else a config of a few bytes would have gigabytes taken
        raise WeightsError(
            f"{folder / TENSORS} of {len(data)} bytes", f"{least} at least for its {CONFIG}", "copy the folder again"
        )
    model = entry_of(name).build(config)
    try:
        model.check_frames(contract.channels, contract.height, contract.width)
    except ShapeError as error:
        raise WeightsError(
            f"{folder / CONFIG}: trained on {error.given}", error.expected, "copy the folder again"
        ) from error
    _fill(model, data, folder, {})
    return model, name, contract


def load_into(model: Model, folder: Path) -> None:
    """Copies a folder's weights into a model of the same config.

    The model may have parts that the weights' config switches off, such as ``motion``; those
    stay as they are, so that training can go on with a network that has grown.

    Raises:
        WeightsError: as for `load`, or the tensors do not fit the model.
    """
    grown: dict[str, Tensor] = {}
    _, config, contract = read_config(folder)
    added: list[str] = []
    if type(config) is type(model.config):
        before, now = dataclasses.asdict(config), dataclasses.asdict(model.config)
        added = [key for key in now if before[key] is False and now[key] is True]
    if dataclasses.replace(config, **dict.fromkeys(added, True)) != model.config:
        raise WeightsError(f"weights of {config}", f"{model.config}", "build the model with the config of the weights")
    if added:
        with torch.device("meta"):  # names alone
            own = type(model)(config).state_dict()
        # Not the whole state: what the file lacks of its own network would be taken from it without a word.
        grown = {key: value for key, value in model.state_dict().items() if key not in own}
    _fill(model, _read_tensors(folder, contract), folder, grown)


def _read_tensors(folder: Path, contract: Contract) -> bytes:
    """The file of tensors, which is the one that the contract names."""
    path = folder / TENSORS
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"{path}: {error.strerror}", f"a folder with {TENSORS} and {CONFIG}", "check the path"
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if found != contract.weights_sha256:
        raise WeightsError(
            f"{path} with SHA-256 {found[:12]}...",
            f"{contract.weights_sha256!s:.12}..., which its {CONFIG} names",
            "the file is damaged or from another model: copy both files again",
        )
    return data


def _fill(model: Model, data: bytes, folder: Path, grown: dict[str, Tensor]) -> None:
    """Copies tensors, and those that they lack by right, into a model."""
    try:
        model.load_state_dict(load_tensors(data) | grown)
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[-1].strip()  # the first line of torch's names no tensor
        raise WeightsError(
            f"{folder / TENSORS}: {reason}", "the tensors of the model in its config", "train it again"
        ) from error


def read_config(folder: Path) -> tuple[str, Any, Contract]:
    """The model's name, its config and the contract.

    Raises:
        WeightsError: the file is missing, damaged, of another schema or of no known model.
    """
    path = folder / CONFIG
    try:
        fields = read_json(path)
        if fields["schema"] != _SCHEMA:
            raise WeightsError(f"{path} of schema {fields['schema']}", f"schema {_SCHEMA}", "update frame-forecast")
        entry = entry_of(fields["model"])
        config = override(entry.config(), fields["config"])
        absent = dataclasses.asdict(config).keys() - fields["config"].keys()
        if absent:  # a default in its place may be another network with tensors of the same shapes
            raise ValueError(f"its config lacks {', '.join(sorted(absent))}")
        described = dict(fields["contract"])
        described["value_range"] = tuple(described["value_range"])
        described["data"] = dict(described["data"])
        contract = Contract(**described)
        _check(contract)
        return fields["model"], config, contract
    except OSError as error:
        raise WeightsError(
            f"{path}: {error.strerror}", f"a folder with {TENSORS} and {CONFIG}", "check the path"
        ) from error
    except ConfigError as error:
        raise WeightsError(f"{path}: {error.given}", error.expected, error.next_step) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path}: {error}", "the JSON that `train` writes", "copy the folder again") from error


def _check(contract: Contract) -> None:
    """Raises ValueError or TypeError for what no training writes."""
    check_types(contract)
    for name, least in (("context", 1), ("horizon", 0), ("channels", 1), ("height", 1), ("width", 1)):
        value = getattr(contract, name)
        if value < least:
            raise ValueError(f"{name}={value!r}")
    if contract.value_range != (0.0, 1.0):
        raise ValueError(f"value_range={contract.value_range}, where models work in [0, 1]")
    for name in ("steps", "clips", "seconds"):
        if type(contract.training.get(name, 0)) not in (int, float):
            raise ValueError(f"training of {name}={contract.training[name]!r}")
    for split, digest in contract.splits.items():
        if not re.fullmatch("[0-9a-f]{64}", digest):
            raise ValueError(f"a SHA-256 of {split} of {digest!r}")


def _halved(key: str, tensor: Tensor) -> Tensor:
    """A tensor in half precision, unless it is of integers."""
    if not tensor.is_floating_point():
        return tensor
    halved = tensor.half()
    if not halved.isfinite().all():
        largest = torch.finfo(torch.float16).max
        raise WeightsError(
            f"{key} with values up to {tensor.abs().max():g}",
            f"at most {largest:g}, the largest in half precision",
            "save without half",
        )
    return halved
