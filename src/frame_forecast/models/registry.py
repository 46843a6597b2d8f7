"""Models by name. A model registers its presets; names are what users type."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from frame_forecast.devices import check_memory
from frame_forecast.errors import ConfigError
from frame_forecast.models.base import Model

_ModelClass = TypeVar("_ModelClass", bound=type[Model])


@dataclass(frozen=True)
class Entry:
    """One registered model.

    Args:
        name: of the model.
        model: its class, built as ``model(config)``.
        config: its frozen dataclass, which describes the network and nothing else.
        presets: configs by the name a user types.
        tiny: a config for 16x16 frames that runs in seconds: what the tests build.
    """

    name: str
    model: Callable[[Any], Model]
    config: type
    presets: Mapping[str, Any]
    tiny: Any

    def build(self, config: Any) -> Model:
        """The model, untrained.

        Raises:
            ConfigError: its parameters do not fit into memory.
        """
        check_memory(self.parameter_bytes(config), f"a {self.name} of {config}", "make the network smaller")
        return self.model(config)

    def parameter_bytes(self, config: Any) -> int:
        """What the model's parameters take, for which nothing is built."""
        try:
            with torch.device("meta"):  # tensors without numbers, to be counted
                return sum(parameter.nbytes for parameter in self.model(config).parameters())
        except RuntimeError as error:
            if "overflow" not in str(error).lower():
                raise
            return 2**63


_EXACT_IN_FLOAT = 2**53
_ENTRIES: dict[str, Entry] = {}


def register(name: str, config: type, presets: Mapping[str, Any], tiny: Any) -> Callable[[_ModelClass], _ModelClass]:
    """Class decorator: makes a model known by its presets' names."""

    def add(model: _ModelClass) -> _ModelClass:
        _ENTRIES[name] = Entry(name, model, config, presets, tiny)
        return model

    return add


def entries() -> list[Entry]:
    """Every registered model, by name."""
    return [_ENTRIES[name] for name in sorted(_ENTRIES)]


def presets() -> list[str]:
    """The names that `create` takes."""
    return sorted(preset for entry in entries() for preset in entry.presets)


def find(preset: str) -> tuple[Entry, Any]:
    """The model and the config of a preset.

    Raises:
        ConfigError: no such preset.
    """
    for entry in entries():
        if preset in entry.presets:
            return entry, entry.presets[preset]
    raise ConfigError(f"model {preset!r}", "one of " + ", ".join(presets()), "see `frame-forecast models`")


def entry_of(name: str) -> Entry:
    """The model registered under ``name``.

    Raises:
        ConfigError: no such model.
    """
    if name not in _ENTRIES:
        raise ConfigError(f"model {name!r}", "one of " + ", ".join(sorted(_ENTRIES)), "update frame-forecast")
    return _ENTRIES[name]


def override(config: Any, settings: Mapping[str, Any]) -> Any:
    """A config (a frozen dataclass) with some values changed; a whole number will do for a float.

    Raises:
        ConfigError: a key that the config does not have, or a value of another type.
    """
    fields = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    changed: dict[str, Any] = {}
    for key, value in settings.items():
        if key not in fields:
            raise ConfigError(f"setting {key!r}", "one of " + ", ".join(fields), "check the spelling")
        if type(value) is int and type(fields[key]) is float and abs(value) <= _EXACT_IN_FLOAT:
            changed[key] = float(value)
        elif type(value) is type(fields[key]):
            changed[key] = value
        else:
            raise ConfigError(
                f"{key}={value!r}",
                f"a value of type {type(fields[key]).__name__}",
                f"write for example {key}={fields[key]}",
            )
    return dataclasses.replace(config, **changed)


def parse_settings(assignments: Sequence[str], *configs: Any) -> list[dict[str, Any]]:
    """``KEY=VALUE`` texts, each for the first config that has the key, as values of its type.

    Args:
        assignments: what a user typed.
        configs: frozen dataclasses whose values are of simple types.

    Returns:
        For each config, the settings meant for it, ready for `override`.

    Raises:
        ConfigError: no ``=``, a key that no config has, or a value that is not of its type.
    """
    settings: list[dict[str, Any]] = [{} for _ in configs]
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigError(f"setting {assignment!r}", "KEY=VALUE", "write for example batch_size=16")
        for config, chosen in zip(configs, settings, strict=True):
            if key in {field.name for field in dataclasses.fields(config)}:
                chosen[key] = _parse(key, text, getattr(config, key))
                break
        else:
            keys = [field.name for config in configs for field in dataclasses.fields(config)]
            raise ConfigError(f"setting {key!r}", "one of " + ", ".join(keys), "check the spelling")
    return settings


def _parse(key: str, text: str, default: Any) -> Any:
    """``text`` as a value of the type of ``default``."""
    kind = type(default)
    try:
        return {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError):
        raise ConfigError(
            f"{key}={text}", f"a value of type {kind.__name__}", f"write for example {key}={default}"
        ) from None


def create(preset: str, **settings: Any) -> Model:
    """Builds an untrained model.

    Args:
        preset: one of `presets`.
        settings: values of its config that should differ.

    Raises:
        ConfigError: no such preset, key or value, or a network too large for memory.
    """
    entry, config = find(preset)
    return entry.build(override(config, settings))
