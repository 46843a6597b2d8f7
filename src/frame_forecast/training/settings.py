"""What a run is told: all that decides it, kept as ``run.json``."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from frame_forecast.data.moving_mnist import MovingMnistConfig
from frame_forecast.data.sources import ClipSource
from frame_forecast.errors import ConfigError
from frame_forecast.files import replacing
from frame_forecast.training.config import Budget, TrainConfig

_RECORDED_CLIPS = 16


@dataclass(frozen=True)
class RunClips:
    """What a run was begun on.

    Args:
        name: of the clips to train on.
        sha256: of the bytes of the first clips to train and to validate on.
    """

    name: str
    sha256: str

    @classmethod
    def of(cls, *sources: ClipSource) -> "RunClips":
        """The record of these sources, the one to train on first."""
        digest = hashlib.sha256()
        for source in sources:
            digest.update(source.clips(np.arange(_RECORDED_CLIPS)).cpu().numpy().tobytes())
        return cls(sources[0].name, digest.hexdigest())


@dataclass(frozen=True)
class RunSettings:
    """All that decides a run; kept as ``run.json``.

    Args:
        preset: name of the model's preset.
        model: values of its config that differ from the preset's.
        train: optimiser, loss, data seed.
        budget: steps or seconds.
        data: name of the data set.
        frames: size and number of digits of generated clips; their length follows from ``train``.
        start: folder of weights to start from, None = at random.
        clips: recorded as the run begins; None = it has not, or an earlier version began it.
    """

    preset: str
    budget: Budget
    model: dict[str, Any] = dataclasses.field(default_factory=dict)
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    data: str = "moving_mnist"
    frames: MovingMnistConfig = dataclasses.field(default_factory=MovingMnistConfig)
    start: str | None = None
    clips: RunClips | None = None

    def save(self, folder: Path) -> None:
        """Writes ``folder/run.json``."""
        with replacing(folder / "run.json") as temporary:
            temporary.write_text(json.dumps({"schema": 1, **dataclasses.asdict(self)}, indent=2) + "\n")

    @classmethod
    def read(cls, folder: Path) -> "RunSettings":
        """The settings of an earlier run.

        Raises:
            ConfigError: the folder holds no run, or one of another version.
        """
        path = folder / "run.json"
        try:
            fields = json.loads(path.read_text())
            clips = fields.get("clips")
            if fields.pop("schema") != 1:
                raise ValueError("its schema is not 1")
            return cls(
                **{
                    **fields,
                    "budget": Budget(**fields["budget"]),
                    "train": TrainConfig(**fields["train"]),
                    "frames": MovingMnistConfig(**fields["frames"]),
                    "clips": None if clips is None else RunClips(**clips),
                }
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{path}: {error}", "the folder of a run that `frame-forecast train` began", "check the path"
            ) from error
