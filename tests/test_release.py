"""Released weights: what is written, what the card says, what is refused."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from frame_forecast import weights
from frame_forecast.errors import ConfigError, DataError, FrameForecastError, OutputError, WeightsError
from frame_forecast.models import create
from frame_forecast.release import release
from frame_forecast.results import EvaluatedClips, Machine, Results, Row

NAME = "conv_lstm_autoencoder"
SPLITS = {"train": "1" * 64, "test": "2" * 64}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run's folder with weights and nothing else."""
    torch.manual_seed(0)
    model = create(NAME, hidden=4, layers=1, patch=8)
    contract = {"context": 3, "horizon": 2, "channels": 1, "height": 32, "width": 32}
    data, training = {"name": "moving_mnist, 2 digits", "seed": 7}, {"steps": 1234}
    weights.save(
        tmp_path / "run" / "weights", model, NAME, data=data, training=training, splits=SPLITS, half=False, **contract
    )
    return tmp_path / "run"


def scores(path: Path, digest: str, *tasks: str) -> Path:
    """A file of results of weights with this digest; a list, as a report writes, of several tasks."""
    results = [
        Results(
            model=NAME,
            weights_sha256=digest,
            task=task,
            data=EvaluatedClips("moving_mnist", "test", 100, "3" * 64),
            context=3,
            horizon=2 if task == "forecast" else 0,
            pattern=None,
            conventions={"mse_frame": "a sum over the pixels"},
            rows=[Row(NAME, "mse_frame", 61.25, [60.0, 62.5]), Row("black", "mse_frame", 173.0, [172.0, 174.0])],
            machine=Machine("a processor", 2, "2.13", "cpu"),
            seconds=1.0,
        ).to_json_dict()
        for task in tasks
    ]
    path.write_text(json.dumps(results if len(results) > 1 else results[0]))
    return path


def digest(folder: Path) -> str:
    return weights.load(folder)[2].weights_sha256


def test_a_release_is_half_as_large_and_verified(run: Path, tmp_path: Path) -> None:
    folder = release(run, tmp_path / "released" / "tiny.moving_mnist")
    assert {path.name for path in folder.iterdir()} == {
        "weights.safetensors",
        "config.json",
        "golden.npz",
        "MODEL_CARD.md",
    }
    assert weights.verify(folder) < weights.TOLERANCE
    (model, name, contract), (_, _, before) = weights.load(folder), weights.load(run / "weights")
    assert name == NAME
    assert dataclasses.replace(contract, weights_sha256=before.weights_sha256) == before
    for key, value in weights.load(run / "weights")[0].state_dict().items():
        torch.testing.assert_close(model.state_dict()[key], value.half().float(), rtol=0, atol=0)


def test_the_card_says_what_it_is_and_how_good(run: Path, tmp_path: Path) -> None:
    files = [scores(tmp_path / "a.json", digest(run / "weights"), "forecast", "reconstruct")]
    card = (release(run, tmp_path / "tiny.data", files) / "MODEL_CARD.md").read_text()
    for words in (
        "# tiny.data",
        'ff.load("tiny.data")',
        "moving_mnist, 2 digits",
        "3 frames given and 2 to forecast",
        "forecast and reconstruct",
        "Forecast by conv_lstm_autoencoder: 3 frames given",
        "Reconstruction by conv_lstm_autoencoder: 3 frames given",
        "**61.2**",
        "173.0",
        "hidden = 4",
        "steps = 1234",
        SPLITS["test"],
        digest(tmp_path / "tiny.data"),
        "before rounding",
    ):
        assert words in card


def test_scores_of_the_released_weights_are_taken_too(run: Path, tmp_path: Path) -> None:
    folder = release(run, tmp_path / "tiny.data")
    assert "61.2" not in (folder / "MODEL_CARD.md").read_text()
    release(run, folder, [scores(tmp_path / "a.json", digest(folder), "forecast")])
    card = (folder / "MODEL_CARD.md").read_text()
    assert "61.2" in card
    assert "before rounding" not in card


def test_scores_of_other_weights_are_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="forecast of weights with SHA-256 000000000000"):
        release(run, tmp_path / "tiny.data", [scores(tmp_path / "a.json", "0" * 64, "forecast")])
    assert not (tmp_path / "tiny.data").exists()


@pytest.mark.parametrize("text", [None, "", "[5]", "5", "null", "[{}]", '{"schema": 1}'])
def test_scores_that_cannot_be_read_are_named(text: str | None, run: Path, tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match=r"scores\.json"):
        release(run, tmp_path / "tiny.data", [path])


def test_nothing_but_a_release_is_replaced(run: Path, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "notes", tmp_path / "file", tmp_path, run, run / "weights"):
        before = sorted(str(path) for path in tmp_path.rglob("*"))
        with pytest.raises(OutputError):
            release(run, folder)
        assert sorted(str(path) for path in tmp_path.rglob("*")) == before
    released = release(run, tmp_path / "tiny.data")
    with pytest.raises(OutputError, match="the weights to release"):
        release(released, released)


def test_what_cannot_be_released_leaves_nothing(run: Path, tmp_path: Path) -> None:
    model, name, contract = weights.load(run / "weights")
    with torch.no_grad():
        next(model.parameters()).fill_(1e6)
    terms = dataclasses.asdict(contract)
    del terms["weights_sha256"]
    weights.save(run / "weights", model, name, **terms)
    with pytest.raises(WeightsError, match="half precision"):
        release(run, tmp_path / "tiny.data")
    with pytest.raises(FrameForecastError, match="no weights"):
        release(tmp_path / "nowhere", tmp_path / "tiny.data")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
