"""What a run may be made of."""

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from frame_forecast.errors import ConfigError
from frame_forecast.training.config import Budget, TrainConfig
from frame_forecast.training.settings import RunSettings


@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"steps": 1, "seconds": 1.0},
        {"steps": 0},
        {"steps": -1},
        {"seconds": 0.0},
        {"seconds": -0.5},
        {"seconds": math.nan},
        {"seconds": math.inf},
    ],
)
def test_a_budget_is_one_positive_limit(limits: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Budget(**limits)


@pytest.mark.parametrize("limits", [{"steps": 1}, {"seconds": 0.5}])
def test_a_budget_of_either_kind(limits: dict[str, Any]) -> None:
    assert dataclasses.asdict(Budget(**limits)) == {"steps": None, "seconds": None} | limits


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("context", 0),
        ("horizon", -1),
        ("batch_size", 0),
        ("validation_clips", 0),
        ("validations", 0),
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("muon_learning_rate", -0.1),
        ("gradient_clip", 0.0),
        ("weight_decay", -0.1),
        ("warmup", 1.0),
        ("warmup", -0.1),
        ("grow_until", 1.0),
        ("sampling", "backwards"),
        ("sampling_until", 1.0),
        ("ema_decay", 1.0),
        ("ema_decay", math.nan),
        ("loss", "l1"),
        ("precision", "float16"),
        ("seed", -1),
    ],
)
def test_a_setting_that_cannot_work_is_named(name: str, value: Any) -> None:
    with pytest.raises(ConfigError) as error:
        TrainConfig(**{name: value})
    assert error.value.given == f"{name}={value!r}"


@pytest.mark.parametrize(("name", "value"), [("horizon", 0), ("warmup", 0.0), ("grow_until", 0.0), ("ema_decay", 0.0)])
def test_limits_that_are_allowed(name: str, value: float) -> None:
    assert getattr(TrainConfig(**{name: value}), name) == value


SETTINGS = RunSettings("conv_lstm_autoencoder", Budget(steps=3), {"hidden": 4}, TrainConfig(seed=7), start="weights")


def test_settings_of_a_run_come_back(tmp_path: Path) -> None:
    SETTINGS.save(tmp_path)
    assert RunSettings.read(tmp_path) == SETTINGS


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: {key: value for key, value in fields.items() if key != "budget"},
        lambda fields: fields | {"schema": 2},
        lambda fields: fields | {"speed": 1},
        lambda fields: fields | {"train": fields["train"] | {"batch_size": 0}},
        lambda fields: fields | {"train": fields["train"] | {"batches": 1}},
        lambda fields: [fields],
        lambda fields: 5,
        lambda fields: None,
    ],
    ids=["no budget", "schema", "unknown key", "bad value", "unknown setting", "list", "number", "null"],
)
def test_a_damaged_run_file_is_a_config_error(change: Callable[[Any], Any], tmp_path: Path) -> None:
    SETTINGS.save(tmp_path)
    path = tmp_path / "run.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(ConfigError):
        RunSettings.read(tmp_path)


@pytest.mark.parametrize("content", [None, "", "{", b"\xff\xfe"])
def test_an_unreadable_run_file_is_a_config_error(content: str | bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "run.json").write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ConfigError, match=r"run\.json"):
        RunSettings.read(tmp_path)
