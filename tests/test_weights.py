"""Weights: what is saved loads back; what is damaged is named."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from frame_forecast import weights
from frame_forecast.errors import OutputError, WeightsError
from frame_forecast.models import Model, create

NAME = "conv_lstm_autoencoder"
CONTRACT = {"context": 3, "horizon": 2, "channels": 1, "height": 32, "width": 32, "data": {"seed": 1}}


def tiny(**settings: Any) -> Model:
    return create(NAME, **{"hidden": 4, "layers": 1, "patch": 8} | settings)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    weights.save(tmp_path / "w", tiny(), NAME, **CONTRACT)
    return tmp_path / "w"


def edit(folder: Path, change: Callable[[Any], Any]) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(change(json.loads(path.read_text()))))


def replace_tensors(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    """Other tensors with the digest that belongs to them."""
    path = folder / "weights.safetensors"
    save_file(change(load_file(path)), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    edit(folder, lambda fields: fields | {"contract": fields["contract"] | {"weights_sha256": digest}})


def test_what_is_saved_loads_back(tmp_path: Path) -> None:
    model = tiny(form="prediction")
    written = weights.save(tmp_path / "w", model, NAME, **CONTRACT)
    loaded, name, contract = weights.load(tmp_path / "w")
    assert name == NAME
    assert loaded.config == model.config
    torch.testing.assert_close(dict(loaded.state_dict()), dict(model.state_dict()), rtol=0, atol=0)
    assert contract == written
    assert contract.value_range == (0.0, 1.0)
    assert contract.weights_sha256 == hashlib.sha256((tmp_path / "w" / "weights.safetensors").read_bytes()).hexdigest()


def test_loading_into_a_model_of_the_same_config(saved: Path) -> None:
    model = tiny()
    weights.load_into(model, saved)
    torch.testing.assert_close(dict(model.state_dict()), dict(weights.load(saved)[0].state_dict()), rtol=0, atol=0)


def test_loading_into_a_model_of_another_config(saved: Path) -> None:
    with pytest.raises(WeightsError, match="form='prediction'"):
        weights.load_into(tiny(form="prediction"), saved)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [_cut, _flip, Path.unlink, lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize("name", ["weights.safetensors", "config.json"])
def test_a_damaged_file_is_named(name: str, damage: Callable[[Path], Any], saved: Path) -> None:
    damage(saved / name)
    if name == "config.json" and damage is _flip:
        with (saved / name).open("a") as file:  # one flipped bit of the last line end may still be JSON
            file.write("}")
    with pytest.raises(WeightsError) as error:
        weights.load(saved)
    assert str(saved / name) in error.value.given


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields | {"schema": 2},
        lambda fields: {key: value for key, value in fields.items() if key != "schema"},
        lambda fields: fields | {"model": "conv_gru"},
        lambda fields: fields | {"model": "lstm_autoencoder"},
        lambda fields: fields | {"model": ["conv_gru"]},
        lambda fields: fields | {"config": fields["config"] | {"colour": 1}},
        lambda fields: fields | {"config": fields["config"] | {"hidden": "4"}},
        lambda fields: fields | {"config": fields["config"] | {"form": "both"}},
        lambda fields: fields | {"config": [1]},
        lambda fields: fields | {"contract": None},
        lambda fields: fields | {"contract": fields["contract"] | {"speed": 1}},
        lambda fields: fields | {"contract": fields["contract"] | {"value_range": 1}},
        lambda fields: fields | {"contract": {k: v for k, v in fields["contract"].items() if k != "context"}},
        lambda fields: [fields],
        lambda fields: 5,
        lambda fields: None,
    ],
)
def test_a_config_that_cannot_be_right_is_named(change: Callable[[Any], Any], saved: Path) -> None:
    edit(saved, change)
    with pytest.raises(WeightsError) as error:
        weights.load(saved)
    assert str(saved / "config.json") in error.value.given


@pytest.mark.parametrize("digest", ["0" * 64, "", 5, None])
def test_another_digest_is_named(digest: Any, saved: Path) -> None:
    edit(saved, lambda fields: fields | {"contract": fields["contract"] | {"weights_sha256": digest}})
    with pytest.raises(WeightsError) as error:
        weights.load(saved)
    assert str(saved) in error.value.given


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: {name: value.flatten() for name, value in tensors.items()},
        lambda tensors: tensors | {"more": torch.zeros(1)},
        lambda tensors: dict(list(tensors.items())[1:]),
    ],
    ids=["other shapes", "one too many", "one too few"],
)
def test_tensors_that_do_not_fit_are_named(change: Callable[[Any], Any], saved: Path) -> None:
    replace_tensors(saved, change)
    with pytest.raises(WeightsError) as error:
        weights.load(saved)
    assert str(saved / "weights.safetensors") in error.value.given


def test_a_file_that_is_no_safetensors_is_named(saved: Path) -> None:
    (saved / "weights.safetensors").write_bytes(b"text")
    digest = hashlib.sha256(b"text").hexdigest()
    edit(saved, lambda fields: fields | {"contract": fields["contract"] | {"weights_sha256": digest}})
    with pytest.raises(WeightsError) as error:
        weights.load(saved)
    assert str(saved / "weights.safetensors") in error.value.given


def test_a_failed_save_leaves_the_old_weights(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in saved.iterdir()}

    def full(path: Path, text: str) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(OutputError, match="No space left"):
            weights.save(saved, tiny(form="prediction"), NAME, **CONTRACT)
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before
    assert [path.name for path in saved.parent.iterdir()] == ["w"]
    weights.save(saved, tiny(form="prediction"), NAME, **CONTRACT)
    assert weights.load(saved)[0].config.form == "prediction"


def test_weights_are_found_in_their_folder_and_in_a_runs(saved: Path) -> None:
    assert weights.find_folder(saved) == saved
    assert weights.find_folder(str(saved)) == saved
    saved.rename(saved.parent / "weights")
    assert weights.find_folder(saved.parent) == saved.parent / "weights"


@pytest.mark.parametrize("name", ["", "nowhere", "w/weights.safetensors"])
def test_no_weights_is_an_error_that_names_the_path(name: str, saved: Path) -> None:
    with pytest.raises(WeightsError, match="no weights at") as error:
        weights.find_folder(saved.parent / name)
    assert str(saved.parent / name) in error.value.given
