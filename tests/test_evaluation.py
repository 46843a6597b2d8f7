"""Evaluation: known numbers, no leaks, flat memory, results that survive JSON."""

import gzip
import hashlib
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from frame_forecast.data.moving_mnist import MovingMnist
from frame_forecast.errors import ConfigError, DataError, ShapeError, TaskError
from frame_forecast.evaluation import Results, evaluate, with_baselines
from frame_forecast.metrics import BinaryScores, FrameScores, binarise
from frame_forecast.models import Model, create

FRAMES, SIZE = 6, 16


class RandomClips:
    """Clip ``i`` is noise seeded with ``i``; frames from ``changed_from`` on are of another seed."""

    name, split = "random", "test"

    def __init__(self, count: int = 12, changed_from: int = FRAMES) -> None:
        self.count, self.changed_from = count, changed_from
        self.largest_request = 0

    def __len__(self) -> int:
        return self.count

    def clips(self, index: np.ndarray) -> Tensor:
        self.largest_request = max(self.largest_request, len(index))
        return torch.stack([self._clip(int(i)) for i in index])

    def _clip(self, number: int) -> Tensor:
        first, second = (
            np.random.default_rng((number, seed)).integers(0, 256, (FRAMES, 1, SIZE, SIZE), dtype=np.uint8)
            for seed in (0, 1)
        )
        second[: self.changed_from] = first[: self.changed_from]
        return torch.from_numpy(second)


class Recorder(Model):
    """Gives grey frames and remembers what it was given."""

    tasks = frozenset({"forecast", "reconstruct"})

    def __init__(self, value: float = 0.5) -> None:
        super().__init__()
        self.value = value
        self.dropout = nn.Dropout()
        self.seen: list[tuple[Tensor, Tensor]] = []
        self.modes: set[bool] = set()

    def given(self, observed: Tensor, valid: Tensor) -> Tensor:
        return valid

    def output_layers(self) -> list[nn.Linear | nn.Conv2d]:
        return []

    def _predict(self, frames: Tensor, observed: Tensor, valid: Tensor) -> Tensor:
        self.seen.append((frames.clone(), observed.clone()))
        self.modes |= {module.training for module in self.modules()}
        return torch.full_like(frames, self.value)


def run(models: dict[str, Model], source: RandomClips, **changes) -> Results:
    settings = {"task": "forecast", "context": 4, "horizon": 2, "clips": 10} | changes
    return evaluate(models, source, **settings)


@pytest.mark.parametrize(("task", "horizon", "frames"), [("forecast", 2, slice(4, 6)), ("reconstruct", 0, slice(0, 4))])
def test_rows_are_the_scores_of_the_right_frames(task: str, horizon: int, frames: slice) -> None:
    source = RandomClips()
    results = run(with_baselines("test", Recorder(0.3)), source, task=task, horizon=horizon)
    clips = source.clips(np.arange(10)).float() / 255
    last = clips[:, 3:4].expand(-1, frames.stop - frames.start, -1, -1, -1)
    for model, prediction in (("test", torch.full_like(last, 0.3)), ("copy_last", last)):
        grey, binary = FrameScores(), BinaryScores()
        grey.update(prediction, clips[:, frames])
        binary.update(prediction if model == "test" else binarise(last), clips[:, frames])
        for metric, score in (grey.compute() | binary.compute()).items():
            row = results.row(model, metric)
            assert row.overall == pytest.approx(score.overall, rel=1e-6)
            assert row.per_lead_time == pytest.approx(score.per_lead_time, rel=1e-6)
    assert list(dict.fromkeys(row.model for row in results.rows)) == ["test", "black", "mean_frame", "copy_last"]


@pytest.mark.parametrize(("task", "horizon"), [("forecast", 2), ("reconstruct", 0)])
def test_models_are_given_context_only(task: str, horizon: int) -> None:
    seen = []
    for changed_from in (FRAMES, 4):  # the same context, another future
        model = Recorder()
        run({"test": model}, RandomClips(changed_from=changed_from), task=task, horizon=horizon)
        seen.append(model.seen)
    for (frames, observed), (other_frames, other_observed) in zip(*seen, strict=True):
        assert torch.equal(frames, other_frames)
        assert torch.equal(observed, other_observed)
        assert frames.shape[1] == 4 + horizon
        assert observed[:, :4].all()
        assert not observed[:, 4:].any()
    grey, binarised = seen[0][0][0], seen[0][1][0]
    assert torch.equal(binarised[:, :4], (grey[:, :4] > 0.5).float())


def test_batch_size_bounds_requests_and_changes_no_result() -> None:
    results = []
    for batch_size in (10, 3):
        source, calls = RandomClips(), []
        results.append(
            run(
                with_baselines("test", Recorder()),
                source,
                batch_size=batch_size,
                progress=lambda *call, calls=calls: calls.append(call),
            )
        )
        assert source.largest_request == batch_size
        assert calls[-1] == (10, 10)
    assert calls == [(3, 10), (6, 10), (9, 10), (10, 10)]
    assert results[0].data == results[1].data
    for one, other in zip(results[0].rows, results[1].rows, strict=True):
        assert (one.model, one.metric) == (other.model, other.metric)
        assert one.overall == pytest.approx(other.overall, rel=1e-9)


def test_digest_is_of_the_frames_used() -> None:
    source = RandomClips()
    expected = hashlib.sha256(source.clips(np.arange(10))[:, :5].numpy().tobytes()).hexdigest()
    assert run({"test": Recorder()}, source, horizon=1, batch_size=4).data.sha256 == expected


def test_models_come_back_in_the_mode_they_were_in() -> None:
    model = Recorder()
    model.dropout.eval()  # frozen on purpose while the rest trains
    run({"test": model}, RandomClips())
    assert model.modes == {False}
    assert (model.training, model.dropout.training) == (True, False)


def test_results_survive_json() -> None:
    results = run(with_baselines("test", Recorder()), RandomClips(), weights_sha256="ab", openstl=True)
    text = json.dumps(results.to_json_dict(), allow_nan=False)
    assert Results.from_json_dict(json.loads(text)) == results
    assert {row.metric for row in results.rows} < set(results.conventions)
    assert results.row("test", "ssim_openstl").metric == "ssim_openstl"
    assert list(json.loads(text)) == [
        "schema",
        "model",
        "weights_sha256",
        "task",
        "data",
        "context",
        "horizon",
        "pattern",
        "conventions",
        "rows",
        "machine",
        "seconds",
    ]


def test_a_broken_model_gets_null_not_a_number() -> None:
    results = run({"broken": Recorder(math.nan)}, RandomClips())
    record = json.loads(json.dumps(results.to_json_dict(), allow_nan=False))
    assert {row["overall"] for row in record["rows"]} == {None}
    back = Results.from_json_dict(record)
    assert math.isnan(back.row("broken", "mse").overall)
    assert math.isnan(back.row("broken", "bin_accuracy").per_lead_time[0])


def test_results_that_cannot_be_read() -> None:
    record = run({"test": Recorder()}, RandomClips()).to_json_dict()
    with pytest.raises(DataError, match="schema 2"):
        Results.from_json_dict(record | {"schema": 2})
    with pytest.raises(DataError, match="do not fit"):
        Results.from_json_dict(record | {"extra": 1})
    with pytest.raises(DataError, match="do not fit"):
        Results.from_json_dict({"schema": 1})


def test_with_baselines_of_a_baseline() -> None:
    assert list(with_baselines("copy_last", create("copy_last"))) == ["copy_last", "black", "mean_frame"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"task": "recreate"}, TaskError),
        ({"context": 0}, ConfigError),
        ({"horizon": 0}, ConfigError),
        ({"task": "reconstruct"}, ConfigError),  # with a horizon
        ({"clips": 0}, ConfigError),
        ({"clips": 13}, ConfigError),
        ({"batch_size": 0}, ConfigError),
        ({"horizon": 3}, ShapeError),
    ],
)
def test_settings_that_cannot_work(changes: dict, error: type[Exception]) -> None:
    with pytest.raises(error):
        run({"test": Recorder()}, RandomClips(), **changes)


def test_other_errors() -> None:
    model = Recorder()
    model.tasks = frozenset({"forecast"})
    with pytest.raises(TaskError, match="'reconstruct' for model 'test'"):
        run({"test": model}, RandomClips(), task="reconstruct", horizon=0)
    with pytest.raises(ConfigError, match="models=0"):
        run({}, RandomClips())
    with pytest.raises(ConfigError, match="a row for test fid"):
        run({"test": model}, RandomClips()).row("test", "fid")


def test_known_numbers_on_moving_mnist() -> None:
    images = Path(os.environ.get("FRAME_FORECAST_DATA", "")) / "mnist" / "t10k-images-idx3-ubyte.gz"
    if not images.exists():
        pytest.skip("needs MNIST in $FRAME_FORECAST_DATA/mnist")
    digits = np.frombuffer(gzip.decompress(images.read_bytes()), np.uint8, offset=16).reshape(-1, 28, 28)
    results = evaluate(
        with_baselines("black", create("black")),
        MovingMnist(digits, "test"),
        task="forecast",
        context=10,
        horizon=10,
        clips=300,
    )
    # Known: 173 and 284. With 300 clips the standard errors are near 2.5 and 4.
    assert results.row("black", "mse_frame").overall == pytest.approx(173, abs=8)
    assert results.row("copy_last", "mse_frame").overall == pytest.approx(284, abs=12)
    assert results.row("black", "bin_accuracy").overall == pytest.approx(0.950, abs=0.002)
    assert results.row("black", "bin_mse").overall == pytest.approx(0.050, abs=0.002)
    lead_times = results.row("copy_last", "mse_frame").per_lead_time
    assert len(lead_times) == 10
    assert lead_times[0] < lead_times[-1]
