"""What a run is told: all that decides it, kept as ``run.json``."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from frame_forecast.data.moving_mnist import MovingMnistConfig
from frame_forecast.data.sources import ClipConfig, ClipSource, usual_config
from frame_forecast.errors import ConfigError
from frame_forecast.files import flush, replacing
from frame_forecast.models import override
from frame_forecast.records import read_json
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
        frames: size and more of generated clips, as `usual_config` has it for these data; their length
            follows from ``train``.
        start: folder of weights to start from, None = at random.
        clips: recorded as the run begins; None = it has not, or an earlier version began it.
    """

    preset: str
    budget: Budget
    model: dict[str, Any] = dataclasses.field(default_factory=dict)
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    data: str = "moving_mnist"
    frames: ClipConfig = dataclasses.field(default_factory=MovingMnistConfig)
    start: str | None = None
    clips: RunClips | None = None

    def save(self, folder: Path) -> None:
        """Writes ``folder/run.json``."""
        with replacing(folder / "run.json") as temporary:
            temporary.write_text(json.dumps({"schema": 1, **dataclasses.asdict(self)}, indent=2) + "\n")
            flush(temporary)
        flush(folder)

    def lasting(self, config: Any) -> dict[str, Any]:
        """What may not change while a run goes on, which its checkpoints keep: all but how long it is, and what it
        began with.

        Args:
            config: of the model, complete.
        """
        fields = dataclasses.asdict(self)
        return {
            "preset": self.preset,
            "model": dataclasses.asdict(config),
            **{name: fields[name] for name in ("train", "data", "frames")},
        }

    @classmethod
    def read(cls, folder: Path) -> "RunSettings":
        """The settings of an earlier run.

        Raises:
            ConfigError: the folder holds no run, or one of another version.
        """
        path = folder / "run.json"
        try:
            fields = read_json(path)
            if fields.pop("schema") != 1:
                raise ValueError("its schema is not 1")
            _check_kinds(fields, {"preset": str, "data": str, "start": str | None, "clips": dict | None})
            _check_kinds(fields, dict.fromkeys(("model", "budget", "train", "frames"), dict))
            clips = fields.get("clips")
            _check_kinds(fields["budget"], {"steps": int | None, "seconds": float | int | None})
            if clips is not None:
                _check_kinds(clips, {"name": str, "sha256": str})
            return cls(
                **{
                    **fields,
                    "budget": Budget(**fields["budget"]),
                    "train": override(TrainConfig(), fields["train"]),
                    "frames": override(usual_config(fields["data"]), fields["frames"]),
                    "clips": None if clips is None else RunClips(**clips),
                }
            )
        except ConfigError as error:
            raise ConfigError(f"{path}: {error.given}", error.expected, error.next_step) from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{path}: {error}", "the folder of a run that `frame-forecast train` began", "check the path"
            ) from error


def _check_kinds(fields: dict[str, Any], kinds: dict[str, Any]) -> None:
    """Raises TypeError unless these fields, where they are given, are of these types."""
    for key, kind in kinds.items():
        if key in fields and (not isinstance(fields[key], kind) or isinstance(fields[key], bool)):
            raise TypeError(f"{key}={fields[key]!r}")
