"""Weights: what is saved loads back; what is damaged is named."""

import hashlib
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from frame_forecast import weights
from frame_forecast.errors import OutputError, WeightsError
from frame_forecast.models import Model, create
from frame_forecast.models.registry import Entry
from frame_forecast.weights import find

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


def _flip_inside(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
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
        lambda fields: fields | {"contract": fields["contract"] | {"value_range": [0, 255]}},
        lambda fields: fields | {"contract": fields["contract"] | {"context": 0}},
        lambda fields: fields | {"contract": fields["contract"] | {"context": "3"}},
        lambda fields: fields | {"contract": fields["contract"] | {"horizon": -1}},
        lambda fields: fields | {"contract": fields["contract"] | {"height": None}},
        lambda fields: fields | {"contract": fields["contract"] | {"channels": 3}},
        lambda fields: fields | {"contract": fields["contract"] | {"splits": ["train"]}},
        lambda fields: fields | {"contract": fields["contract"] | {"splits": {"train": "abc"}}},
        lambda fields: fields | {"contract": fields["contract"] | {"splits": {"train": 5}}},
        lambda fields: fields | {"contract": fields["contract"] | {"training": {"steps": "many"}}},
        lambda fields: fields | {"contract": fields["contract"] | {"training": ["steps"]}},
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


def test_a_config_that_is_too_deep_is_named(saved: Path) -> None:
    (saved / "config.json").write_text("[" * 10**5)
    with pytest.raises(WeightsError, match="too deep"):
        weights.load(saved)


def test_a_network_larger_than_its_tensors_is_not_built(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(saved, lambda fields: fields | {"config": fields["config"] | {"hidden": 64}})
    monkeypatch.setattr(Entry, "build", lambda *_: pytest.fail("it was built"))
    with pytest.raises(WeightsError, match="bytes"):
        weights.load(saved)


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


def test_half_precision_is_half_the_size_and_loads_as_float32(tmp_path: Path) -> None:
    model = tiny(hidden=16)
    weights.save(tmp_path / "full", model, NAME, **CONTRACT)
    weights.save(tmp_path / "half", model, NAME, half=True, **CONTRACT)
    sizes = [(tmp_path / name / "weights.safetensors").stat().st_size for name in ("half", "full")]
    assert sizes[0] < 0.6 * sizes[1]
    loaded, _, _ = weights.load(tmp_path / "half")
    for key, value in loaded.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, model.state_dict()[key].half().float())
    # Saved once more, the same file: a run is always released as the same weights.
    again = weights.save(tmp_path / "again", loaded, NAME, half=True, **CONTRACT)
    assert again.weights_sha256 == weights.load(tmp_path / "half")[2].weights_sha256


def test_half_precision_leaves_integers_alone(tmp_path: Path) -> None:
    model = tiny()
    model.register_buffer("count", torch.tensor(100_000))
    weights.save(tmp_path / "w", model, NAME, half=True, **CONTRACT)
    assert load_file(tmp_path / "w" / "weights.safetensors")["count"] == 100_000


@pytest.mark.parametrize("value", [7e4, -7e4, float("inf"), float("nan")])
def test_what_half_precision_cannot_hold_is_refused(value: float, tmp_path: Path) -> None:
    model = tiny()
    with torch.no_grad():
        next(model.parameters()).flatten()[0] = value
    with pytest.raises(WeightsError, match="half precision"):
        weights.save(tmp_path / "w", model, NAME, half=True, **CONTRACT)
    assert not (tmp_path / "w").exists()


def test_digests_of_splits_are_kept_and_may_be_absent(saved: Path, tmp_path: Path) -> None:
    assert weights.load(saved)[2].splits == {}
    splits = {"train": "0" * 64, "test": "f" * 64}
    weights.save(tmp_path / "s", tiny(), NAME, splits=splits, **CONTRACT)
    assert weights.load(tmp_path / "s")[2].splits == splits
    edit(saved, lambda fields: fields | {"contract": {k: v for k, v in fields["contract"].items() if k != "splits"}})
    assert weights.load(saved)[2].splits == {}  # as older files are


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with all preferred weights and others; returns the folder of all."""
    root = tmp_path / "released"
    monkeypatch.setattr(find, "_released", lambda: root)
    for tag in ("other.data", *reversed(weights.PREFERRED), "another.moving_mnist"):
        weights.save(root / tag, tiny(), NAME, half=True, **CONTRACT)
        weights.write_golden(root / tag, weights.load(root / tag)[0])
    (root / "no_weights").mkdir()
    monkeypatch.chdir(tmp_path)
    return root


def test_released_weights_are_found_by_tag_and_by_data_set(packaged: Path) -> None:
    best, second, moving, other = weights.PREFERRED
    assert weights.tags() == [best, second, moving, other, "another.moving_mnist", "other.data"]
    assert weights.aliases() == {"moving_mnist": best, "motion": moving}
    assert weights.find_folder("moving_mnist") == packaged / best
    assert weights.find_folder(second) == packaged / second
    assert weights.find_folder(Path("other.data")) == packaged / "other.data"
    (packaged / best / "config.json").unlink()
    assert weights.find_folder("moving_mnist") == packaged / second


def test_a_path_goes_before_a_tag(packaged: Path, tmp_path: Path) -> None:
    (tmp_path / "moving_mnist").mkdir()  # holds no weights
    assert weights.find_folder("moving_mnist").parent == packaged
    weights.save(tmp_path / "moving_mnist", tiny(), NAME, **CONTRACT)
    assert weights.find_folder("moving_mnist") == Path("moving_mnist")


def test_what_is_not_found_is_answered_with_what_there_is(packaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("masked_lstm", "no_weights", "../released/no_weights", "data"):
        with pytest.raises(WeightsError, match=r"moving_mnist, masked_lstm\.moving_mnist, .*other\.data"):
            weights.find_folder(name)
    monkeypatch.setattr(find, "_released", lambda: packaged / "nothing here")
    with pytest.raises(WeightsError, match="none in this package"):
        weights.find_folder("moving_mnist")


def test_released_weights_are_described(packaged: Path) -> None:
    found = weights.describe("other.data")
    assert (found.tag, found.tasks) == ("other.data", ("forecast", "reconstruct"))
    assert found.parameters == sum(p.numel() for p in tiny().parameters())
    assert found.size == sum(path.stat().st_size for path in (packaged / "other.data").iterdir())


class Hub:
    """In the place of huggingface_hub: one repository with weights."""

    class HfHubHTTPError(Exception):
        pass

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[tuple[str, str | None, list[str]]] = []

    def snapshot_download(self, repo_id: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        self.asked.append((repo_id, revision, allow_patterns))
        if repo_id != "user/repo":
            raise self.HfHubHTTPError("404 Client Error.\n\nRepository not found")
        return str(self.folder)


@pytest.mark.parametrize(
    "name", ["hf://user/repo", Path("hf://user/repo"), "hf://user/repo@v1.0", "hf://user/repo@a/b"]
)
def test_the_hub_is_asked_for_the_files_of_weights(
    name: str | Path, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(saved)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    monkeypatch.setitem(sys.modules, "huggingface_hub.utils", hub)
    assert weights.find_folder(name) == saved
    ((repo, revision, patterns),) = hub.asked
    assert repo == "user/repo"
    assert revision == (str(name).partition("@")[2] or None)
    assert {"weights.safetensors", "config.json"} <= set(patterns)
    with pytest.raises(WeightsError, match=r"hf://user/none: 404 Client Error. Repository not found"):
        weights.find_folder("hf://user/none")


@pytest.mark.parametrize("name", ["hf://user", "hf://", "hf://a/b/c", "hf://a/b@", "https://user/repo"])
def test_what_is_no_address_of_the_hub_is_refused(name: str) -> None:
    with pytest.raises(WeightsError, match="hf://user/repo"):
        weights.find_folder(name)


def test_the_hub_without_its_package_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(WeightsError, match=r'pip install "frame-forecast\[hub\]"'):
        weights.find_folder("hf://user/repo")


def test_golden_files_are_small_and_verified(packaged: Path) -> None:
    for tag in weights.tags():
        assert weights.verify(packaged / tag) <= 2.5e-4  # what half precision rounds
        assert (packaged / tag / "golden.npz").stat().st_size < 20_000


@pytest.mark.parametrize("form", ["reconstruction", "prediction", "composite"])
@pytest.mark.parametrize(("context", "horizon"), [(1, 0), (1, 1), (10, 10)])
def test_golden_files_of_any_form_and_length(form: str, context: int, horizon: int, tmp_path: Path) -> None:
    contract = CONTRACT | {"context": context, "horizon": horizon}
    weights.save(tmp_path / "w", tiny(form=form), NAME, **contract)
    weights.write_golden(tmp_path / "w", weights.load(tmp_path / "w")[0])
    assert weights.verify(tmp_path / "w") < weights.TOLERANCE


def test_a_golden_file_of_a_model_that_recreates_has_holes(tmp_path: Path) -> None:
    model = tiny()
    model.tasks = frozenset({"recreate", "forecast"})
    weights.save(tmp_path / "w", model, NAME, **CONTRACT)
    weights.write_golden(tmp_path / "w", model)
    with np.load(tmp_path / "w" / "golden.npz") as golden:
        observed = golden["observed"][0, :, 0]
    assert observed.any(axis=(1, 2)).tolist() == [True, True, False, True, False]
    assert observed[1].mean() == 0.5


def _with_no_end(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("frames.npy", b"\x93NUMPY\x01\x00\x0d\x00{'shape': (20")


def _packed_in_another_way(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("frames.npy", b"")
    data = path.read_bytes()
    path.write_bytes(data.replace(b"\0\0\0\0\x21\0", b"\0\0\x63\0\x21\0"))


@pytest.mark.parametrize(
    "damage",
    [_cut, _flip_inside, _with_no_end, _packed_in_another_way, Path.unlink, lambda path: path.write_bytes(b"")],
)
def test_a_damaged_golden_file_is_named(damage: Callable[[Path], Any], packaged: Path) -> None:
    damage(packaged / "other.data" / "golden.npz")
    with pytest.raises(WeightsError, match=r"golden\.npz"):
        weights.verify(packaged / "other.data")


@pytest.mark.parametrize(
    "arrays",
    [
        {"frames": np.zeros(3, np.uint8)},
        {"frames": np.zeros((1, 5, 1, 32, 32))},
        {"observed": np.ones((1, 5, 1, 32, 32), np.uint8)},
        {"prediction": np.zeros((1, 5, 1, 32, 32), np.float16)},
        {"prediction": np.full((1, 5, 1, 32, 32), np.nan, np.float16)},
        {"prediction": np.zeros(3, np.float16)},
        {"prediction": np.array([None])},
    ],
    ids=lambda arrays: f"{next(iter(arrays))} {next(iter(arrays.values())).dtype}",
)
def test_another_golden_file_is_named(arrays: dict[str, np.ndarray], packaged: Path) -> None:
    path = packaged / "other.data" / "golden.npz"
    with np.load(path) as golden:
        np.savez(path, **(dict(golden) | arrays))
    with pytest.raises(WeightsError, match=r"golden\.npz"):
        weights.verify(packaged / "other.data")


def test_other_weights_do_not_give_the_golden_output(packaged: Path) -> None:
    folder = packaged / "other.data"

    def shift(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {key: value + 0.02 for key, value in tensors.items()}

    replace_tensors(folder, shift)
    with pytest.raises(WeightsError, match=r"golden\.npz: an output that differs"):
        weights.verify(folder)


@pytest.mark.parametrize("tag", weights.PREFERRED)
def test_what_is_in_the_package_is_right(tag: str) -> None:
    if tag not in weights.tags():
        pytest.skip(f"{tag} is not in this package")
    folder = weights.find_folder(tag)
    weights.verify(folder)
    assert (folder / "MODEL_CARD.md").is_file()


def test_only_preferred_weights_are_in_the_package() -> None:
    """So that the test above checks them all, and they are small enough for a wheel."""
    assert set(weights.tags()) <= set(weights.PREFERRED)
    assert sum(weights.describe(tag).size for tag in weights.tags()) <= 32e6


def test_a_network_may_have_grown_a_part(tmp_path: Path) -> None:
    without, grown = (create("masked_lstm_small", width=8, hidden=8, mix=8, motion=motion) for motion in (False, True))
    weights.save(tmp_path / "old", without, "masked_lstm", context=2, horizon=2, channels=1, height=16, width=16)
    motion = {name: value.clone() for name, value in grown.state_dict().items() if name.startswith("motion.")}
    weights.load_into(grown, tmp_path / "old")
    for name, value in grown.state_dict().items():
        assert torch.equal(value, motion[name] if name in motion else without.state_dict()[name])
    weights.save(tmp_path / "new", grown, "masked_lstm", context=2, horizon=2, channels=1, height=16, width=16)
    with pytest.raises(WeightsError, match="motion=True"):  # a part that is lost is no growth
        weights.load_into(without, tmp_path / "new")
    other = create("masked_lstm_small", width=8, hidden=8, mix=8, directions="fbff")
    with pytest.raises(WeightsError, match="fbff"):
        weights.load_into(other, tmp_path / "old")


def test_a_network_that_has_grown_still_needs_all_tensors_of_the_old_one(tmp_path: Path) -> None:
    without, grown = (create("masked_lstm_small", width=8, hidden=8, mix=8, motion=motion) for motion in (False, True))
    weights.save(tmp_path, without, "masked_lstm", context=2, horizon=2, channels=1, height=16, width=16)
    replace_tensors(tmp_path, lambda tensors: {k: v for k, v in tensors.items() if k != "embed.weight"})
    with pytest.raises(WeightsError, match=r"embed\.weight"):
        weights.load_into(grown, tmp_path)


def test_a_config_must_say_everything(tmp_path: Path) -> None:
    """A default in the place of a key that is lost may be another network with the same tensors."""
    model = create("masked_lstm_small", width=8, hidden=8, mix=8, directions="fbff")
    weights.save(tmp_path / "w", model, "masked_lstm", context=2, horizon=2, channels=1, height=16, width=16)
    path = tmp_path / "w" / "config.json"
    fields = json.loads(path.read_text())
    del fields["config"]["directions"]
    path.write_text(json.dumps(fields))
    with pytest.raises(WeightsError, match="lacks directions"):
        weights.load(tmp_path / "w")
