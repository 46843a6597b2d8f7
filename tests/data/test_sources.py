"""Sources by name: which one is opened, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch

from frame_forecast.data import sources
from frame_forecast.data.digits import Digits
from frame_forecast.data.moving_mnist import MovingMnist, MovingMnistConfig
from frame_forecast.data.published import PublishedTestSet
from frame_forecast.data.sources import open_source
from frame_forecast.errors import ConfigError, DataError


@pytest.fixture(autouse=True)
def _offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory and random digits."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FRAME_FORECAST_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    images = np.random.default_rng(0).integers(1, 256, (5, 28, 28), dtype=np.uint8)
    monkeypatch.setattr(sources, "load_digits", lambda split: Digits(images, "fonts", f"random {split} digits"))


@pytest.fixture
def published(tmp_path: Path) -> np.ndarray:
    """A small published file in the working directory."""
    frames = np.random.default_rng(1).integers(0, 256, (20, 3, 64, 64), dtype=np.uint8)
    np.save(tmp_path / "mnist_test_seq.npy", frames)
    return frames


@pytest.mark.parametrize(
    ("name", "split", "given"),
    [("mnist", "test", "data set 'mnist'"), ("moving_mnist", "valid", "split 'valid'"), ("", "test", "data set ''")],
)
def test_unknown_names_are_answered_with_the_known_ones(name: str, split: str, given: str) -> None:
    with pytest.raises(ConfigError) as error:
        open_source(name, split)
    assert error.value.given == given


@pytest.mark.parametrize("split", sources.SPLITS)
def test_clips_are_generated_as_asked(split: str) -> None:
    config = MovingMnistConfig(frames=99, size=32, digits=1)
    source = open_source("moving_mnist", split, frames=7, config=config)
    assert isinstance(source, MovingMnist)
    clips = source.clips(np.arange(2))
    assert clips.shape == (2, 7, 1, 32, 32)
    assert clips.dtype == torch.uint8
    assert (source.name, source.split) == (f"moving_mnist (size=32, digits=1), random {split} digits", split)
    other = open_source("moving_mnist", split, frames=7, config=config, seed=1)
    assert not torch.equal(other.clips(np.arange(2)), clips)


def test_splits_have_clips_of_their_own() -> None:
    train, validation = (open_source("moving_mnist", split).clips(np.arange(2)) for split in ("train", "validation"))
    assert not torch.equal(train, validation)


def test_the_published_file_is_the_test_set(published: np.ndarray) -> None:
    source = open_source("moving_mnist", "test", frames=20)
    assert isinstance(source, PublishedTestSet)
    assert len(source) == 3
    assert np.array_equal(source.clips(np.array([2, 0]))[:, :, 0].numpy(), published[:, [2, 0]].swapaxes(0, 1))


@pytest.mark.parametrize(
    "options",
    [
        {"split": "train"},
        {"split": "validation"},
        {"split": "test", "published": False},
        {"split": "test", "frames": 21},
    ],
)
@pytest.mark.usefixtures("published")
def test_where_the_published_file_is_not_meant_clips_are_generated(options: dict) -> None:
    assert isinstance(open_source("moving_mnist", **options), MovingMnist)


def test_a_damaged_published_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "mnist_test_seq.npy").write_bytes(b"no array")
    with pytest.raises(DataError, match=r"mnist_test_seq\.npy"):
        open_source("moving_mnist", "test")


@pytest.mark.parametrize("settings", [{"frames": 0}, {"config": MovingMnistConfig(size=20)}])
def test_impossible_clips_are_refused(settings: dict) -> None:
    with pytest.raises(ConfigError):
        open_source("moving_mnist", "train", **settings)
