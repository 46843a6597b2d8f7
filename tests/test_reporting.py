"""Reports of runs, of weights, and of both: which tasks, clips and holes they are of, and where they go."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from frame_forecast import evaluation, report, reporting, scoring, workflows
from frame_forecast.data import digits, sources
from frame_forecast.data.digits import Digits
from frame_forecast.data.moving_mnist import MovingMnistConfig
from frame_forecast.errors import OutputError, WeightsError
from frame_forecast.masks import parse_pattern
from frame_forecast.release import release
from frame_forecast.results import Results
from frame_forecast.training import run
from frame_forecast.training.config import Budget, TrainConfig
from frame_forecast.training.settings import RunSettings
from frame_forecast.weights import find

TAG = "masked_lstm_small.moving_mnist"
MODELS = {
    "masked_lstm_small": {"patch": 8, "width": 8, "hidden": 8, "mix": 8, "directions": "bf"},
    "conv_lstm_autoencoder": {"patch": 8, "hidden": 4, "layers": 1},
}
TRAIN = TrainConfig(context=3, horizon=2, batch_size=2, validation_clips=2, validations=1, seed=3)
QUIET = Console(quiet=True)
HOLES = [
    ("forecast", 3, 2, None),
    ("recreate", 5, 0, "random:0.5"),
    ("recreate", 5, 0, "gap:3"),  # of 5 frames, with one before and one after
    ("reconstruct", 3, 0, "interleaved:4"),
]
NO_HOLES = [("forecast", 3, 2, None), ("reconstruct", 3, 0, None)]


@pytest.fixture(scope="module", autouse=True)
def _offline() -> Iterator[None]:
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)

    def random_digits(split: str, **_: object) -> Digits:
        return Digits(images, "fonts", f"random {split} digits", "a test")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "load_digits", random_digits)
        patch.setattr(sources, "find_published", lambda: None)
        patch.setattr(digits, "load_digits", random_digits)
        yield


@pytest.fixture(scope="module")
def runs(_offline: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with finished runs, by preset."""
    folder = tmp_path_factory.mktemp("runs")
    for preset, model in MODELS.items():
        settings = RunSettings(preset, Budget(steps=2), model, TRAIN, frames=MovingMnistConfig(size=32))
        run.train(settings, folder / preset, device="cpu")
    return folder


@pytest.fixture
def released(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights in the package, for a while; the working directory is empty but for them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(find, "_released", lambda: tmp_path / "released")
    return release(runs / "masked_lstm_small", tmp_path / "released" / TAG)


def results(page: Path) -> list[Results]:
    return [Results.from_json_dict(record) for record in json.loads((page.parent / "results.json").read_text())]


def cases(page: Path, model: str) -> list[tuple[str, int, int, str | None]]:
    return [(r.task, r.context, r.horizon, r.pattern) for r in results(page) if r.model == model]


def test_a_run_is_tried_on_every_task_of_its_model(runs: Path, tmp_path: Path) -> None:
    for preset, expected in (("masked_lstm_small", HOLES), ("conv_lstm_autoencoder", NO_HOLES)):
        page = reporting.report_on(str(runs / preset), tmp_path / preset, clips=3, device="cpu", console=QUIET)
        assert page == tmp_path / preset / "report.html"
        assert cases(page, preset) == expected
        assert {r.data.clips for r in results(page)} == {3}
        assert (page.parent / "plots" / "training_loss.svg").exists()
        stems = {path.stem.partition(f"_{preset}_clip_")[0] for path in (page.parent / "gifs").iterdir()}
        assert len(stems) == len(expected)
        assert not (runs / preset / "report.html").exists()


def test_pictures_show_the_holes_that_were_scored(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[report.Sample] = []
    monkeypatch.setattr(reporting.report, "write_report", lambda folder, samples, **_: shown.extend(samples))
    reporting.report_run(runs / "masked_lstm_small", tmp_path, clips=2, device="cpu", console=QUIET)
    for pattern in ("random:0.5", "gap:3"):
        scored = evaluation.holes(parse_pattern(pattern), np.arange(2), 5, 32, 32, TRAIN.seed)
        drawn = [sample for sample in shown if sample.pattern == pattern]
        assert [sample.clip for sample in drawn] == [0, 1]
        for sample, observed in zip(drawn, scored, strict=True):
            assert sample.observed is not None
            np.testing.assert_array_equal(sample.observed, np.broadcast_to(observed, sample.observed.shape))
            np.testing.assert_array_equal(sample.prediction[sample.observed], sample.target[sample.observed])


@pytest.mark.parametrize("name", [TAG, "moving_mnist", f"released/{TAG}"])
def test_weights_go_to_a_new_folder_under_their_tag(released: Path, name: str) -> None:
    page = reporting.report_on(name, None, clips=2, device="cpu", console=QUIET)
    assert page.parent.parent == Path("runs")
    assert page.parent.name.endswith(f"-{TAG}")
    assert cases(page, TAG) == HOLES
    assert len(results(page)) == len(HOLES)
    assert not (page.parent / "plots" / "training_loss.svg").exists()
    assert "2 steps" in (page.parent / "report.md").read_text()


def test_weights_are_scored_as_evaluate_does(released: Path, tmp_path: Path) -> None:
    page = reporting.report_weights(TAG, tmp_path / "out", clips=2, device="cpu", console=QUIET)
    for made in results(page):
        again = scoring.evaluate(
            TAG,
            task=made.task,
            clips=2,
            context=made.context,
            horizon=made.horizon,
            pattern=made.pattern if made.task == "recreate" else None,
            data="moving_mnist",
            split="test",
            published=True,
            openstl=False,
            seed=0,
            device="cpu",
            json_file=None,
            console=QUIET,
        )
        assert again.row(TAG, "mse").overall == made.row(TAG, "mse").overall
        assert again.weights_sha256 == made.weights_sha256


def test_released_weights_beside_a_run(runs: Path, released: Path, tmp_path: Path) -> None:
    page = reporting.report_run(
        runs / "conv_lstm_autoencoder",
        tmp_path / "out",
        clips=3,
        device="cpu",
        console=QUIET,
        beside="moving_mnist",
        beside_clips=1,
    )
    assert cases(page, "conv_lstm_autoencoder") == NO_HOLES
    assert cases(page, TAG) == HOLES
    assert [r.data.clips for r in results(page)] == [3, 3, 1, 1, 1, 1]
    assert {path.stem for path in (page.parent / "gifs").iterdir()} == {
        "forecast_conv_lstm_autoencoder_clip_0",
        "forecast_conv_lstm_autoencoder_clip_1",
        "reconstruct_conv_lstm_autoencoder_clip_0",
        "reconstruct_conv_lstm_autoencoder_clip_1",
        f"forecast_{TAG}_clip_0",
        f"recreate_random_0.5_{TAG}_clip_0",
        f"recreate_gap_3_{TAG}_clip_0",
        f"reconstruct_interleaved_4_{TAG}_clip_0",
    }
    text = page.read_text()
    assert f"<h1>conv_lstm_autoencoder and {TAG} on Moving MNIST</h1>" in text


def test_the_demo_ends_with_the_released_weights(
    runs: Path, released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str | None] = []

    def trained(*_: object, beside: str | None, **__: object) -> Path:
        asked.append(beside)
        return runs / "conv_lstm_autoencoder"

    said = Console(record=True, width=500, file=io.StringIO())
    options = {"minutes": 3, "preset": "conv_lstm_autoencoder", "seed": 0, "device": "cpu", "console": said}
    monkeypatch.setattr(workflows, "train", trained)
    monkeypatch.setattr(workflows, "_DEMO_CLIPS", 3)
    monkeypatch.setattr(workflows, "_MOST_CLIPS", 2)
    page = workflows.demo(None, **options)
    assert cases(page, TAG) == HOLES
    assert [r.data.clips for r in results(page)] == [3, 3, 2, 2, 2, 2]
    assert "no released weights" not in said.export_text()
    monkeypatch.setattr(find, "_released", lambda: tmp_path / "nothing here")
    page = workflows.demo(None, **options)
    assert {r.model for r in results(page)} == {"conv_lstm_autoencoder"}
    assert said.export_text().count("no released weights of moving_mnist") == 1
    assert asked == [TAG, None]


@pytest.mark.parametrize(("gmac", "clips"), [(1.28, 156), (18.5, 20), (1e-6, 200)])
def test_larger_weights_get_fewer_clips_in_the_demo(
    released: Path, monkeypatch: pytest.MonkeyPatch, gmac: float, clips: int
) -> None:
    class Cost:
        def __init__(self, *_: object) -> None:
            self.gmac = gmac

    monkeypatch.setattr(workflows, "summarise", Cost)
    assert workflows._affordable(TAG) == clips


def test_the_rehearsal_finds_damaged_weights_beside_it(
    runs: Path, released: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (released / "weights.safetensors").write_bytes(b"damaged")
    with pytest.raises(WeightsError, match="SHA-256"):
        workflows.rehearse(RunSettings.read(runs / "conv_lstm_autoencoder"), device="cpu", beside=TAG)


def test_a_report_never_replaces_that_of_another_run(
    runs: Path, released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting.evaluation, "evaluate", lambda *_, **__: pytest.fail("scored"))
    (tmp_path / "file").touch()
    before = sorted(runs.rglob("*"))
    for name in (TAG, str(runs / "masked_lstm_small")):
        for folder, words in ((runs / "conv_lstm_autoencoder", "holds a run"), (tmp_path / "file", "writing")):
            with pytest.raises(OutputError, match=words):
                reporting.report_on(name, folder, clips=1, device="cpu", console=QUIET)
    assert sorted(runs.rglob("*")) == before


def test_what_is_neither_run_nor_weights(released: Path) -> None:
    with pytest.raises(WeightsError, match="no weights at 'nowhere'"):
        reporting.report_on("nowhere", None, clips=1, device="cpu", console=QUIET)
    assert not Path("runs").exists()
