"""Evaluation: known numbers, no leaks, flat memory, results that survive JSON."""

import gzip
import hashlib
import json
import math
import os
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from frame_forecast.data.moving_mnist import MovingMnist
from frame_forecast.errors import ConfigError, DataError, ShapeError, TaskError
from frame_forecast.evaluation import evaluate, with_baselines
from frame_forecast.masks import parse_pattern
from frame_forecast.metrics import BinaryScores, FrameScores, binarise
from frame_forecast.models import Model, create
from frame_forecast.philox import stream_key
from frame_forecast.processes import Processes
from frame_forecast.results import Results

FRAMES, SIZE = 6, 16


class RandomClips:
    """Clip ``i`` is noise seeded with ``i``; frames from ``changed_from`` on are of another seed."""

    name, split, images_sha256 = "random", "test", ""

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

    tasks = frozenset({"forecast", "recreate", "reconstruct"})

    def __init__(self, value: float = 0.5, passes: int = 1) -> None:
        super().__init__()
        self.passes = passes
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


class Steps(RandomClips):
    """Clips of four frames, each of one value: 0, 0.2, 0.8 and 1."""

    def _clip(self, number: int) -> Tensor:
        return torch.tensor([0, 51, 204, 255], dtype=torch.uint8).view(4, 1, 1, 1).expand(4, 1, SIZE, SIZE)


def run(models: dict[str, Model], source: RandomClips, **changes) -> Results:
    settings = {"task": "forecast", "context": 4, "horizon": 2, "clips": 10} | changes
    return evaluate(models, source, **settings)


def recreate(models: dict[str, Model], source: RandomClips, text: str, **changes) -> Results:
    settings = {"task": "recreate", "context": FRAMES, "horizon": 0, "pattern": parse_pattern(text)} | changes
    return run(models, source, **settings)


def holes(text: str, clips: int = 10, seed: int = 0) -> Tensor:
    """What is missing, ``(clips, FRAMES, 1, SIZE, SIZE)``."""
    observed = parse_pattern(text).observed(np.arange(clips), FRAMES, SIZE, SIZE, stream_key(seed, "evaluation", text))
    return ~observed.expand(clips, FRAMES, 1, SIZE, SIZE)


@pytest.mark.parametrize(("task", "horizon", "frames"), [("forecast", 2, slice(4, 6)), ("reconstruct", 0, slice(0, 4))])
def test_rows_are_the_scores_of_the_right_frames(task: str, horizon: int, frames: slice) -> None:
    source = RandomClips()
    results = run(with_baselines("test", Recorder(0.3), task), source, task=task, horizon=horizon)
    clips = source.clips(np.arange(10)).float() / 255
    others = {"forecast": [3, 3], "reconstruct": [1, 0, 1, 2]}[task]  # the frame before, at first the one after
    last = clips[:, others]
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


class Threads(Processes):
    """One thread of several, each as `launch` would have a process."""

    def __init__(self, rank: int, count: int, passed: list[Any], wait: threading.Barrier) -> None:
        super().__init__()
        self.rank, self.count = rank, count
        self.passed, self.wait = passed, wait

    def from_all(self, value: Any) -> list[Any]:
        self.passed[self.rank] = value
        self.wait.wait()
        everything = pickle.loads(pickle.dumps(self.passed))
        self.wait.wait()
        return everything


def shared(count: int, source: Callable[[], RandomClips], models: Callable[[], dict[str, Model]], **changes) -> Any:
    """What each of so many processes has in the end, and which clips it was asked for."""
    passed, wait = [None] * count, threading.Barrier(count)

    def work(rank: int) -> tuple[Results, int]:
        own = source()
        return run(models(), own, processes=Threads(rank, count, passed, wait), **changes), own.largest_request

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, range(count)))


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("clips", [1, 7, 12])
@pytest.mark.parametrize(
    ("task", "changes"),
    [
        ("forecast", {}),
        ("recreate", {"context": FRAMES, "horizon": 0, "pattern": parse_pattern("pixels:0.3")}),
        ("reconstruct", {"horizon": 0}),
    ],
)
def test_any_number_of_processes_gives_the_very_same_results(count: int, clips: int, task: str, changes: dict) -> None:
    def models() -> dict[str, Model]:
        return with_baselines("linear", create("linear"), task)

    options = {"task": task, "clips": clips, "batch_size": 3} | changes
    expected = run(models(), RandomClips(), **options)
    for rank, (results, most) in enumerate(shared(count, RandomClips, models, **options)):
        assert str(results.rows) == str(expected.rows)  # as text, for NaN equals itself there
        assert results.data == expected.data
        assert results.machine.device == f"{count} x cpu"
        assert most == max([min(3, clips - start) for start in range(0, clips, 3)][rank::count], default=0)


def test_an_error_of_one_process_is_an_error_of_all() -> None:
    class Damaged(RandomClips):
        def _clip(self, number: int) -> Tensor:
            if number == 4:  # of the second batch, and so of the second process alone
                raise DataError("a damaged clip", "another", "look")
            return super()._clip(number)

    with pytest.raises(Exception, match="a damaged clip"):
        shared(3, Damaged, lambda: {"test": Recorder()}, batch_size=3)


def test_batch_size_bounds_requests_and_changes_no_result() -> None:
    results = []
    for batch_size in (10, 3):
        source, calls = RandomClips(), []
        results.append(
            run(
                with_baselines("test", Recorder(), "forecast"),
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


def test_recreation_worked_out_by_hand() -> None:
    # A gap of 2 in 4 frames hides 0.2 and 0.8 and shows 0 and 1.
    results = recreate(with_baselines("linear", create("linear"), "recreate"), Steps(), "gap:2", context=4, clips=3)
    squared = {
        "linear": [(1 / 3 - 0.2) ** 2, (2 / 3 - 0.8) ** 2],
        "nearest": [0.2**2, 0.2**2],
        "copy_last": [0.2**2, 0.8**2],
        "black": [0.2**2, 0.8**2],
    }
    assert {row.model for row in results.rows} == set(squared)
    for model, (first, second) in squared.items():
        row = results.row(model, "mse_frame")
        assert row.per_lead_time == pytest.approx([math.nan, 256 * first, 256 * second, math.nan], nan_ok=True)
        assert row.overall == pytest.approx(256 * (first + second) / 2)
        psnr = [-10 * math.log10(first), -10 * math.log10(second)]
        assert results.row(model, "psnr").overall == pytest.approx(sum(psnr) / 2)
    # Binarised: 0 and 1 shown, 0 and 1 hidden; the line gives 1/3 and 2/3, right both times.
    assert results.row("linear", "bin_accuracy").overall == 1
    assert results.row("linear", "bin_mse").overall == pytest.approx(1 / 9)
    assert results.row("copy_last", "bin_accuracy").overall == 0.5
    assert (results.pattern, results.context, results.horizon) == ("gap:2", 4, 0)


def test_reconstruction_from_the_other_frames_worked_out_by_hand() -> None:
    # Two passes: 0 and 0.8 are predicted from 0.2 and 1, then 0.2 and 1 from 0 and 0.8.
    models = {"test": Recorder(0.5, passes=2), "linear": create("linear"), "copy_last": create("copy_last")}
    results = run(models, Steps(), task="reconstruct", horizon=0, clips=3)
    errors = {"test": [0.5, 0.3, 0.3, 0.5], "linear": [0.2, 0.2, 0.2, 0.2], "copy_last": [0.2, 0.2, 0.6, 0.2]}
    for model, expected in errors.items():
        row = results.row(model, "mse_frame")
        assert row.per_lead_time == pytest.approx([256 * error**2 for error in expected])
    assert results.pattern == "interleaved:2"
    assert run({"test": Recorder()}, Steps(), task="reconstruct", horizon=0).pattern is None


@pytest.mark.parametrize("text", ["random:0.5", "gap:1-3", "block:5", "stripes:3", "pixels:0.3"])
def test_what_is_hidden_is_scored_and_nothing_else(text: str) -> None:
    source, model = RandomClips(), Recorder(0.3)
    results = recreate({"test": model}, source, text)
    missing = holes(text)
    observed = model.seen[0][1].expand(missing.shape)  # the second call has the binarised frames
    assert torch.equal(observed, ~missing)
    errors = torch.where(missing, source.clips(np.arange(10)).double() / 255 - 0.3, 0.0)
    frames = missing.flatten(2).any(dim=2)  # (clips, FRAMES)
    sums = errors.square().flatten(2).sum(dim=2)
    assert results.row("test", "mse_frame").overall == pytest.approx((sums.sum() / frames.sum()).item(), rel=1e-5)
    assert results.row("test", "mse").overall == pytest.approx((sums.sum() / missing.sum()).item(), rel=1e-5)
    expected = (sums.sum(dim=0) / frames.sum(dim=0)).tolist()
    assert results.row("test", "mse_frame").per_lead_time == pytest.approx(expected, rel=1e-5, nan_ok=True)


@pytest.mark.parametrize("text", ["random:0.5", "block:5", "pixels:0.3"])
def test_hidden_pixels_cannot_reach_a_model(text: str) -> None:
    class Changed(RandomClips):
        def _clip(self, number: int) -> Tensor:
            clip = super()._clip(number)
            return torch.where(holes(text, clips=number + 1)[number], 255 - clip, clip)

    seen = []
    for source in (RandomClips(), Changed()):
        model = Recorder()
        recreate({"test": model}, source, text)
        seen.append(model.seen)
    for (frames, observed), (other_frames, other_observed) in zip(*seen, strict=True):
        assert torch.equal(frames, other_frames)
        assert torch.equal(observed, other_observed)


def test_each_frame_is_hidden_once_and_then_not_seen() -> None:
    source, model = RandomClips(), Recorder(passes=4)
    run({"test": model}, source, task="reconstruct", context=FRAMES, horizon=0)
    clips = source.clips(np.arange(10)).float() / 255
    grey = model.seen[:4]  # then as many with binarised frames
    assert len(model.seen) == 8
    for turn, (frames, observed) in enumerate(grey):
        shown = torch.tensor([t % 4 != turn for t in range(FRAMES)])
        assert torch.equal(observed[:, :, 0, 0, 0], shown.expand(10, -1))
        assert torch.equal(frames, torch.where(shown.view(1, -1, 1, 1, 1), clips, 0.0))


def test_holes_are_the_same_for_every_model_batch_size_and_run_and_differ_by_seed() -> None:
    observed = []
    for batch_size, seed in ((10, 0), (3, 0), (10, 1)):
        models: dict[str, Model] = {"one": Recorder(), "other": Recorder()}
        results = recreate(models, RandomClips(), "pixels:0.3", batch_size=batch_size, seed=seed)
        assert f"seed {seed}" in results.conventions["pattern"]
        for model in models.values():
            assert isinstance(model, Recorder)
            observed.append(torch.cat([mask for _, mask in model.seen[::2]]))
    for mask in observed[1:4]:
        assert torch.equal(mask, observed[0])
    assert not torch.equal(observed[4], observed[0])
    assert torch.equal(observed[4], ~holes("pixels:0.3", seed=1))


@pytest.mark.parametrize("text", ["gap:1-3", "pixels:0.3"])
def test_batch_size_changes_no_score_of_a_recreation(text: str) -> None:
    models = with_baselines("test", Recorder(), "recreate")
    one, other = (recreate(models, RandomClips(), text, batch_size=size) for size in (10, 3))
    for row, same in zip(one.rows, other.rows, strict=True):
        assert row.overall == pytest.approx(same.overall, rel=1e-9)
        assert row.per_lead_time == pytest.approx(same.per_lead_time, rel=1e-9, nan_ok=True)


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
    results = run(with_baselines("test", Recorder(), "forecast"), RandomClips(), weights_sha256="ab", openstl=True)
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
    model = create("copy_last")
    assert list(with_baselines("copy_last", model, "forecast")) == ["copy_last", "black", "mean_frame"]
    assert list(with_baselines("copy_last", model, "reconstruct")) == ["copy_last", "black", "mean_frame"]
    assert list(with_baselines("copy_last", model, "recreate")) == ["copy_last", "black", "nearest", "linear"]
    linear = ["linear", "black", "copy_last", "nearest"]
    assert list(with_baselines("linear", create("linear"), "reconstruct")) == linear


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"task": "dream"}, TaskError),
        ({"task": "recreate", "horizon": 0}, ConfigError),  # without a pattern
        ({"pattern": parse_pattern("random:0.5")}, ConfigError),
        ({"task": "recreate", "pattern": parse_pattern("random:0.5")}, ConfigError),  # with a horizon
        ({"task": "recreate", "horizon": 0, "pattern": parse_pattern("gap:3")}, ConfigError),  # of 4 frames
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


def test_one_frame_cannot_be_predicted_from_others() -> None:
    settings = {"task": "reconstruct", "context": 1, "horizon": 0}
    assert run({"test": Recorder()}, RandomClips(), **settings).context == 1
    with pytest.raises(ConfigError, match="context=1"):
        run({"test": Recorder(passes=4)}, RandomClips(), **settings)


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
        with_baselines("black", create("black"), "forecast"),
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
