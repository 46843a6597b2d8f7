"""Which models there are to choose from."""

from pathlib import Path

import numpy as np
import pytest

from frame_forecast import weights
from frame_forecast.choose import Candidates
from frame_forecast.errors import ConfigError, DataError, WeightsError
from frame_forecast.models import TASKS, UNTRAINED, create
from frame_forecast.studio.limits import Limits
from frame_forecast.studio.methods import Methods
from frame_forecast.studio.works import Works

CONTRACT = {"context": 5, "horizon": 3, "channels": 1, "height": 16, "width": 16}


def save(folder: Path) -> None:
    model = create("lstm_autoencoder", height=16, width=16)
    weights.save(folder, model, "lstm_autoencoder", data={"name": "moving_scenes, mine"}, **CONTRACT)


def test_every_method_is_described() -> None:
    told = Methods("cpu").describe()
    assert [one["name"] for one in told] == [*weights.tags(), "auto", *UNTRAINED]
    assert [one["kind"] for one in told] == ["weights"] * len(weights.tags()) + ["auto"] + ["baseline"] * len(UNTRAINED)
    for one in told:
        assert one["tasks"] == [task for task in TASKS if task in one["tasks"]]
        assert (one["parameters"] > 0) == (one["kind"] == "weights")
    assert len({one["title"] for one in told}) == len(told)
    for name in ("moving_mnist", "moving_scenes"):
        best = [one["name"] for one in told if name in one["best_for_samples"]]
        assert best == [Methods("cpu").best(name)]


def test_ones_own_come_first_and_when_they_are_there(tmp_path: Path) -> None:
    methods = Methods("cpu", {"mine": tmp_path, "linear": tmp_path})
    assert methods.describe()[0]["name"] == weights.tags()[0]  # a run that has no weights yet
    save(tmp_path / "weights")
    told = {one["name"]: one for one in methods.describe()}
    assert list(told)[:2] == ["mine", "linear"]
    assert (told["mine"]["trained_on"], told["mine"]["horizon"]) == ("Moving scenes", 3)
    assert told["mine"]["title"] == "mine, trained on Moving scenes"
    assert told["linear"]["kind"] == "weights"


def test_a_model_is_loaded_once() -> None:
    methods = Methods("cpu")
    assert methods.get("linear") is methods.get("linear")
    assert isinstance(methods.get("auto"), Candidates)


@pytest.mark.parametrize("name", ["absent", "../weights", "", "hf://user/repo", str(Path.cwd())])
def test_no_path_is_a_model(name: str) -> None:
    with pytest.raises(ConfigError, match="one of auto, "):
        Methods("cpu").get(name)


def test_damaged_weights_are_found_when_they_are_opened(tmp_path: Path) -> None:
    save(tmp_path / "weights")
    tensors = tmp_path / "weights" / weights.TENSORS
    tensors.write_bytes(tensors.read_bytes()[:-1] + b"x")
    works = Works("cpu", Limits(), {"mine": tmp_path})
    with pytest.raises(WeightsError):
        works.check(tmp_path, "mine")


def test_a_device_that_is_not_there_is_found_at_once() -> None:
    with pytest.raises(ConfigError, match="device 'absent'"):
        Works("absent", Limits()).check_device()


def test_clips_of_the_command_line_may_be_larger_than_strangers(tmp_path: Path) -> None:
    works, path = Works("cpu", Limits(pixels=1000)), tmp_path / "clip.npy"
    np.save(path, np.zeros((12, 16, 16), np.uint8))
    with pytest.raises(DataError, match="1000 values"):
        works.read(tmp_path / "theirs", path, "clip.npy")
    told = works.open(tmp_path / "mine", str(path), "clip.npy")
    assert told["frames"] == 12
    job = {"task": "forecast", "model": "copy_last", "start": None, "horizon": 3, "missing": [], "holes": []}
    made = works.do(
        "answer",
        {"source": tmp_path / "mine", "folder": tmp_path / "made", "name": "clip.npy", "title": "clip.npy", "job": job},
        lambda *_: None,
        lambda: False,
    )
    assert made["clip"]["frames"] == 15
