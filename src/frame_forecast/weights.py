"""Released weights: a folder with ``weights.safetensors`` and ``config.json``.

The JSON holds the model's name and config and a contract: what the weights were trained
for, and the digest of the tensors, checked when they are loaded.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from frame_forecast.errors import ConfigError, WeightsError
from frame_forecast.files import replacing
from frame_forecast.models import Model, entry_of, override

TENSORS = "weights.safetensors"
CONFIG = "config.json"
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


def save(folder: Path, model: Model, name: str, **contract: Any) -> Contract:
    """Writes weights; the folder appears whole or not at all.

    Args:
        folder: to write, or to replace.
        model: whose parameters are saved, with the config it was built from.
        name: under which the model is registered.
        contract: fields of `Contract`, but for the digest.

    Raises:
        OutputError: the disk is full or read-only.
    """
    tensors = save_tensors({key: value.detach().cpu().contiguous() for key, value in model.state_dict().items()})
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
    return made


def find_folder(name_or_path: str | Path) -> Path:
    """The folder of weights that a user means: itself, or ``weights`` inside a run's folder.

    Raises:
        WeightsError: neither holds weights.
    """
    path = Path(name_or_path)
    for folder in (path, path / "weights"):
        if (folder / CONFIG).is_file():
            return folder
    raise WeightsError(
        f"no weights at {str(path)!r}",
        f"a folder with {CONFIG} and {TENSORS}",
        "give a run's folder, or train one",
    )


def load(folder: Path) -> tuple[Model, str, Contract]:
    """Builds the model that a folder of weights holds.

    Returns:
        The model, the name it is registered under, and the contract.

    Raises:
        WeightsError: files are missing, damaged, of another schema or of another model.
    """
    name, config, contract = _read_config(folder)
    entry = entry_of(name)
    model = entry.model(config)
    load_into(model, folder, contract)
    return model, name, contract


def load_into(model: Model, folder: Path, contract: Contract | None = None) -> None:
    """Copies a folder's weights into a model of the same config.

    Raises:
        WeightsError: as for `load`, or the tensors do not fit the model.
    """
    if contract is None:
        _, config, contract = _read_config(folder)
        if config != model.config:
            raise WeightsError(
                f"weights of {config}", f"{model.config}", "build the model with the config of the weights"
            )
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
    try:
        tensors = load_tensors(data)
        model.load_state_dict(tensors)
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[-1].strip()  # the first line of torch's names no tensor
        raise WeightsError(f"{path}: {reason}", "the tensors of the model in its config", "train it again") from error


def _read_config(folder: Path) -> tuple[str, Any, Contract]:
    path = folder / CONFIG
    try:
        fields = json.loads(path.read_text())
        if fields["schema"] != _SCHEMA:
            raise WeightsError(f"{path} of schema {fields['schema']}", f"schema {_SCHEMA}", "update frame-forecast")
        entry = entry_of(fields["model"])
        config = override(entry.config(), fields["config"])
        described = dict(fields["contract"])
        described["value_range"] = tuple(described["value_range"])
        described["data"] = dict(described["data"])
        return fields["model"], config, Contract(**described)
    except OSError as error:
        raise WeightsError(
            f"{path}: {error.strerror}", f"a folder with {TENSORS} and {CONFIG}", "check the path"
        ) from error
    except ConfigError as error:
        raise WeightsError(f"{path}: {error.given}", error.expected, error.next_step) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path}: {error}", "the JSON that `train` writes", "copy the folder again") from error
