"""Recipes: what they say is what is trained; what they cannot say is refused."""

from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file

from frame_forecast import workflows
from frame_forecast.data.moving_mnist import MovingMnistConfig
from frame_forecast.data.moving_scenes import MovingScenesConfig
from frame_forecast.errors import ConfigError, OutputError
from frame_forecast.training.config import Budget, TrainConfig
from frame_forecast.training.recipe import read_recipe, seconds
from frame_forecast.training.settings import RunSettings

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))
RECIPE = """
preset = "conv_lstm_autoencoder"
steps = 7
[model]
hidden = 8
[train]
batch_size = 4
learning_rate = 0.002
[frames]
digits = 1
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    return path


def test_a_recipe_is_a_runs_settings(tmp_path: Path) -> None:
    settings = read_recipe(written(tmp_path, RECIPE))
    assert settings == RunSettings(
        "conv_lstm_autoencoder",
        Budget(steps=7),
        model={"hidden": 8},
        train=TrainConfig(batch_size=4, learning_rate=0.002),
        frames=MovingMnistConfig(digits=1),
    )


def test_options_change_a_recipe(tmp_path: Path) -> None:
    settings = workflows.run_settings(
        str(written(tmp_path, RECIPE)),
        ["layers=3", "batch_size=2", "size=40"],
        steps=None,
        max_time="00:01:30",
        data=None,
        seed=5,
        start=None,
    )
    assert settings.budget == Budget(seconds=90)
    assert settings.model == {"hidden": 8, "layers": 3}
    assert (settings.train.batch_size, settings.train.learning_rate, settings.train.seed) == (2, 0.002, 5)
    assert settings.frames == MovingMnistConfig(digits=1, size=40)


def test_the_settings_of_clips_are_those_of_the_data(tmp_path: Path) -> None:
    text = 'data = "moving_scenes"\n' + RECIPE.replace("digits = 1", "channels = 3")
    options = {"steps": None, "max_time": None, "seed": None, "start": None}
    path = str(written(tmp_path, text))
    settings = workflows.run_settings(path, ["radar=1"], data=None, **options)
    assert (settings.data, settings.frames) == ("moving_scenes", MovingScenesConfig(channels=3, radar=1.0))
    settings.save(tmp_path)
    assert RunSettings.read(tmp_path) == settings
    changed = workflows.run_settings(path, ["digits=3"], data="moving_mnist", **options)
    assert (changed.data, changed.frames) == ("moving_mnist", MovingMnistConfig(digits=3))
    with pytest.raises(ConfigError, match="digits"):
        workflows.run_settings(path, ["digits=3"], data=None, **options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("preset = ", "recipe.toml"),
        (RECIPE.replace("steps = 7", "stepps = 7"), "stepps"),
        (RECIPE.replace("steps = 7", ""), "exactly one"),
        (RECIPE.replace("steps = 7", 'steps = "7"'), "whole number"),
        (RECIPE.replace("steps = 7", "max_time = 3"), "text in quotes"),
        (RECIPE.replace("steps = 7", 'max_time = "3 min"'), "HH:MM:SS"),
        (RECIPE.replace("hidden = 8", "hiden = 8"), "hiden"),
        (RECIPE.replace("hidden = 8", 'hidden = "8"'), "type int"),
        (RECIPE.replace("batch_size = 4", "batchsize = 4"), "batchsize"),
        (RECIPE.replace("conv_lstm_autoencoder", "no_such_model"), "no_such_model"),
        (RECIPE + "frames = 5", "whose sum it is"),
        ('data = "nope"' + RECIPE, "data set 'nope'"),
        ('data = "moving_scenes"' + RECIPE, "digits"),
        ("a = " + "[" * 5000, "recursion"),
        ("a = " + "9" * 5000, "digits"),
        (RECIPE.replace("steps = 7", "steps = 0x" + "f" * 5000), "too long"),
        (RECIPE.replace("hidden = 8", "hidden = [0x" + "f" * 5000 + "]"), "too long"),
        ('frames = 3\npreset = "conv_lstm_autoencoder"\nsteps = 1', "a table"),
    ],
)
def test_what_a_recipe_cannot_say_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_recipe(written(tmp_path, text))


def test_a_recipe_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_recipe(tmp_path / "none.toml")


def test_a_recipe_trains_the_one_before_it_first(tmp_path: Path) -> None:
    tiny = "steps = 2\n[model]\nhidden = 4\nwidth = 4\nmix = 4\nmotion = {}\n"
    tiny += "[train]\nbatch_size = 1\nvalidation_clips = 1\n"
    tiny += "context = 3\nhorizon = 2\nlearning_rate = {}\n[frames]\nsize = 32\n"
    (tmp_path / "first.toml").write_text('preset = "masked_lstm_small"\n' + tiny.format("false", 0.001))
    second = tmp_path / "second.toml"
    second.write_text('preset = "masked_lstm_small"\nafter = "first.toml"\n' + tiny.format("true", 1e-12))
    settings = workflows.run_settings(str(second), [], steps=None, max_time=None, data=None, seed=None, start=None)
    run = workflows.train_recipe(second, settings, tmp_path / "run", device="cpu", console=Console(quiet=True))
    before, after = (load_file(folder / "weights" / "weights.safetensors") for folder in (tmp_path / "run-before", run))
    grown = {name for name in after if name not in before}
    assert grown
    assert all(name.startswith("motion.") for name in grown)
    assert torch.allclose(before["head.bias"], after["head.bias"], atol=1e-6)  # AdamW at 1e-12 moves nothing
    with pytest.raises(OutputError, match="holds a run"):  # before anything is trained
        workflows.train_recipe(second, settings, run, device="cpu", console=Console(quiet=True))


@pytest.mark.parametrize(("text", "expected"), [("00:00:07", 7), ("00:03:00", 180), ("26:00:01", 93601)])
def test_seconds_of_a_time(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_the_recipes_here_can_be_read(path: Path) -> None:
    assert path.stem.startswith(read_recipe(path).preset)
