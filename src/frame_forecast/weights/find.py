"""From what a user types to a folder of weights: a path, released weights, or the Hugging Face Hub."""

import re
from dataclasses import dataclass
from importlib import import_module, resources
from pathlib import Path

from frame_forecast.errors import WeightsError
from frame_forecast.models import entry_of
from frame_forecast.weights.files import CARD, CONFIG, TENSORS, read_config
from frame_forecast.weights.golden import GOLDEN

PREFERRED = (
    *("masked_lstm.moving_mnist", "masked_lstm_small.moving_mnist"),
    *("masked_lstm.motion", "masked_lstm_small.motion"),
)
"""Released weights ``preset.data_set``, of each data set the best first."""

# A Path has lost one of the slashes.
_HUB = re.compile(r"hf:/{1,2}(?P<repo>[^/@]+/[^/@]+)(?:@(?P<revision>.+))?")
_HUB_FILES = [CONFIG, TENSORS, GOLDEN, CARD]


@dataclass(frozen=True)
class Released:
    """Weights in this package.

    Args:
        tag: what a user types.
        tasks: what the model can do.
        parameters: how many.
        size: of the folder, in bytes.
    """

    tag: str
    tasks: tuple[str, ...]
    parameters: int
    size: int


def tags() -> list[str]:
    """The released weights that are in this package, preferred ones first."""
    found = [path.parent.name for path in _released().glob(f"*/{CONFIG}")]
    rank = {tag: place for place, tag in enumerate(PREFERRED)}
    return sorted(found, key=lambda tag: (rank.get(tag, len(rank)), tag))


def aliases() -> dict[str, str]:
    """The best released weights of each data set, by the name of the data set."""
    here = set(tags())
    return {tag.partition(".")[2]: tag for tag in reversed(PREFERRED) if tag in here}


def describe(tag: str) -> Released:
    """What one of `tags` is.

    Raises:
        WeightsError: its config is damaged.
    """
    folder = _released() / tag
    name, config, _ = read_config(folder)
    model = entry_of(name).build(config)
    return Released(
        tag,
        tuple(sorted(model.tasks)),
        sum(parameter.numel() for parameter in model.parameters()),
        sum(path.stat().st_size for path in folder.iterdir()),
    )


def tag_of(folder: Path) -> str | None:
    """The tag of a released folder, wherever it lies; None for one that is no release or has another name."""
    name = folder.resolve().name
    return name if "." in name and (folder / GOLDEN).is_file() else None


def find_folder(name_or_path: str | Path) -> Path:
    """The folder of weights that a user means.

    Args:
        name_or_path: in this order: the folder itself, or a run's folder that holds it as
            ``weights``; one of `tags`; a data set, for the best released weights of it; or
            ``hf://user/repo`` with ``@revision`` if need be, which is downloaded once.

    Raises:
        WeightsError: none of these, or the download failed.
    """
    path, name = Path(name_or_path), str(name_or_path)
    for folder in (path, path / "weights"):
        if (folder / CONFIG).is_file():
            return folder
    tag = aliases().get(name, name)
    if tag in tags():
        return _released() / tag
    if match := _HUB.fullmatch(name):
        return _download(match["repo"], match["revision"])
    here = ", ".join([*aliases(), *tags()]) or "none in this package"
    raise WeightsError(
        f"no weights at {name!r}",
        f"a folder with {CONFIG} and {TENSORS}, released weights ({here}) or hf://user/repo",
        "give a run's folder, or train one",
    )


def _released() -> Path:
    """The folder of released weights; there is none while nothing is released."""
    return Path(str(resources.files("frame_forecast") / "released"))


def _download(repo: str, revision: str | None) -> Path:
    """The folder of a repository's weights in the hub's cache."""
    try:
        hub, utils = import_module("huggingface_hub"), import_module("huggingface_hub.utils")
    except ImportError as error:
        raise WeightsError(
            f"hf://{repo} without the package huggingface_hub",
            "the extra that brings it",
            'run: pip install "frame-forecast[hub]"',
        ) from error
    try:
        return Path(hub.snapshot_download(repo, revision=revision, allow_patterns=_HUB_FILES))
    except (utils.HfHubHTTPError, OSError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise WeightsError(
            f"hf://{repo}{f'@{revision}' if revision else ''}: {reason}",
            "a public repository with weights, and a network",
            "check the name, the revision and the network",
        ) from error
