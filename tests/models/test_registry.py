"""Models by name, and settings from what a user typed."""

from dataclasses import dataclass

import pytest
import torch

from frame_forecast import devices
from frame_forecast.errors import ConfigError
from frame_forecast.models import create, entries, entry_of, find, override, presets
from frame_forecast.models.registry import parse_settings


@dataclass(frozen=True)
class First:
    """Settings of every type in use."""

    size: int = 4
    rate: float = 0.5
    name: str = "a"
    flag: bool = False


@dataclass(frozen=True)
class Second:
    """Has one name in common with `First`."""

    size: int = 9
    depth: int = 1


def test_every_preset_is_found_under_its_model() -> None:
    assert presets() == sorted(name for entry in entries() for name in entry.presets)
    assert {"conv_lstm_autoencoder", "lstm_autoencoder", "black", "mean_frame", "copy_last"} <= set(presets())
    for preset in presets():
        entry, config = find(preset)
        assert entry_of(entry.name) is entry
        assert type(config) is entry.config


@pytest.mark.parametrize("search", [find, entry_of, create])
def test_an_unknown_name_is_answered_with_the_known_ones(search) -> None:
    with pytest.raises(ConfigError, match="'gru'") as error:
        search("gru")
    assert "conv_lstm_autoencoder" in error.value.expected


def test_override_changes_what_is_named() -> None:
    assert override(First(), {}) == First()
    assert override(First(), {"size": 5, "flag": True}) == First(size=5, flag=True)


@pytest.mark.parametrize(
    ("key", "value"),
    [("sise", 4), ("size", 4.0), ("size", "4"), ("size", True), ("rate", "1"), ("flag", 1), ("name", None)],
)
def test_override_takes_values_of_the_type_only(key: str, value: object) -> None:
    with pytest.raises(ConfigError, match=key):
        override(First(), {key: value})


def test_settings_go_to_the_first_config_that_has_the_key() -> None:
    texts = ["depth=3", "size=5", "rate=1", "name=b=c", "flag=TRUE"]
    assert parse_settings(texts, First(), Second()) == [
        {"size": 5, "rate": 1.0, "name": "b=c", "flag": True},
        {"depth": 3},
    ]
    assert parse_settings(["size=5"], Second(), First()) == [{"size": 5}, {}]
    assert parse_settings(["size=5", "size=6"], First()) == [{"size": 6}]


@pytest.mark.parametrize(
    "text", ["size", "", "=5", "sise=5", "size=", "size=5.5", "size=five", "flag=1", "flag=", "rate=fast"]
)
def test_settings_that_cannot_be_read_are_named(text: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_settings([text], First(), Second())
    assert text.partition("=")[0] in error.value.given
    assert error.value.next_step


def test_counting_parameters_first_changes_no_weights() -> None:
    entry, config = find("conv_lstm_autoencoder")
    torch.manual_seed(0)
    direct = entry.model(config).state_dict()
    torch.manual_seed(0)
    torch.testing.assert_close(entry.build(config).state_dict(), direct, rtol=0, atol=0)


def test_a_network_must_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    size = sum(parameter.nbytes for parameter in create("lstm_autoencoder", hidden=4).parameters())
    monkeypatch.setattr(devices, "free_memory", lambda device: size)
    create("lstm_autoencoder", hidden=4)
    with pytest.raises(ConfigError, match="hidden=5"):
        create("lstm_autoencoder", hidden=5)


def test_a_whole_number_will_do_for_a_float() -> None:
    changed = override(First(), {"rate": 2})
    assert changed == First(rate=2.0)
    assert type(changed.rate) is float
    for settings in ({"rate": 10**400}, {"rate": True}):
        with pytest.raises(ConfigError):
            override(First(), settings)
