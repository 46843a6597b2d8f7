"""Recipes: TOML files that say how released weights were trained.

::

    preset = "masked_lstm_small"
    max_time = "01:30:00"   # or steps = 10000
    data = "moving_mnist"   # the default; or "moving_scenes"
    after = "other.toml"    # the recipe, beside this one, whose weights it starts from; none by default

    [model]                 # settings that differ from the preset's
    [train]                 # from `TrainConfig`'s
    [frames]                # from those of the data's `usual_config`
"""

import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

from frame_forecast.data.sources import usual_config
from frame_forecast.errors import ConfigError
from frame_forecast.models import find, override
from frame_forecast.training.config import Budget, TrainConfig
from frame_forecast.training.settings import RunSettings

SUFFIX = ".toml"
_TABLES = ("model", "train", "frames")


def read_recipe(path: Path) -> RunSettings:
    """The settings of the run that a recipe describes.

    Raises:
        ConfigError: no such file, no TOML, or a key or value that does not exist.
    """
    try:
        return _settings(path, _read(path))
    except (ValueError, RecursionError) as error:
        found = "a value too long or too deep to be shown"
        raise ConfigError(f"{path}: {found}", "numbers, text and tables of them", "check its values") from error


def _settings(path: Path, fields: dict[str, Any]) -> RunSettings:
    """The settings that a recipe's fields say."""
    _text(path, fields, "after", "")
    model, train, frames = (_table(path, fields, name) for name in _TABLES)
    preset, data = (_text(path, fields, key, default) for key, default in (("preset", ""), ("data", "moving_mnist")))
    steps, max_time = fields.pop("steps", None), _text(path, fields, "max_time", "") or None
    if fields:
        raise ConfigError(
            f"{path}: {', '.join(map(repr, fields))}",
            f"preset, data, after, steps or max_time, and tables {', '.join(_TABLES)}",
            "check the spelling",
        )
    if "frames" in frames:
        raise ConfigError(f"{path}: frames={frames['frames']!r}", "context and horizon, whose sum it is", "set those")
    if steps is not None and type(steps) is not int:
        raise ConfigError(f"{path}: steps={steps!r}", "a whole number", "write for example steps = 10000")
    override(find(preset)[1], model)  # raises what is wrong now, not when the model is built
    return RunSettings(
        preset=preset,
        budget=Budget(steps, None if max_time is None else seconds(max_time)),
        model=model,
        train=override(TrainConfig(), train),
        data=data,
        frames=override(usual_config(data), frames),
    )


def predecessor(path: Path) -> Path | None:
    """The recipe whose weights this one starts from; None where it starts from none.

    Raises:
        ConfigError: as for `read_recipe`.
    """
    name = _text(path, _read(path), "after", "")
    return path.parent / name if name else None


def seconds(text: str) -> float:
    """``HH:MM:SS`` in seconds.

    Raises:
        ConfigError: written in another way.
    """
    try:
        hours, minutes, rest = (int(part) for part in text.split(":"))
        return timedelta(hours=hours, minutes=minutes, seconds=rest).total_seconds()
    except (ValueError, OverflowError):
        raise ConfigError(f"a time of {text!r}", "HH:MM:SS", "write for example 00:03:00") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # a number of thousands of digits is a plain ValueError
        raise ConfigError(f"{path}: {error}", "a recipe, such as those under recipes/", "check the path") from error


def _table(path: Path, fields: dict[str, Any], name: str) -> dict[str, Any]:
    table = fields.pop(name, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: {name}={table!r}", "a table", f"write [{name}] above its settings")
    return table


def _text(path: Path, fields: dict[str, Any], key: str, default: str) -> str:
    value = fields.pop(key, default)
    if not isinstance(value, str):
        raise ConfigError(f"{path}: {key}={value!r}", "text in quotes", f'write {key} = "..."')
    return value
