"""Many files through a model: what is done, what is skipped, and one that fails beside others that do not."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from torch import Tensor

from frame_forecast import predict
from frame_forecast.errors import ConfigError, DataError, OutputError, TaskError
from frame_forecast.io.clips import read
from frame_forecast.io.sidecar import read_sidecar, sidecar_of
from frame_forecast.models import TASKS
from frame_forecast.own_files import Outcome, process_all
from frame_forecast.own_request import Request, Task
from frame_forecast.predict import Forecaster
from stand_in import StandIn, forecaster

pytestmark = pytest.mark.filterwarnings("error::frame_forecast.errors.FrameForecastWarning")
T, SIZE = 8, 12
LINEAR = predict.load("linear", "cpu")


def noise(seed: int = 0, count: int = T) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 250, (count, SIZE, SIZE + 1), dtype=np.uint8)


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a folder of four arrays: 1, 2, 10 and 11."""
    monkeypatch.chdir(tmp_path)
    Path("clips").mkdir()
    for number in (1, 2, 10, 11):
        np.save(Path("clips") / f"c{number}.npy", noise(number))
    return Path("clips")


def run(
    *sources: str, out: str = "out", task: Task = "recreate", model: Forecaster = LINEAR, missing: str = "3", **how: Any
) -> list[Outcome]:
    options = {key: how.pop(key) for key in ("suffix", "shard", "force") if key in how}
    request = Request(task, missing=missing or None, **how)
    return process_all(sources, Path(out), request, model, console=Console(quiet=True), **options)


def statuses(outcomes: list[Outcome]) -> dict[str, str]:
    """By the names of the outputs."""
    return {outcome.target.name: outcome.status for outcome in outcomes}


def names(folder: str | Path) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


NAMES = ["c1.npy", "c2.npy", "c10.npy", "c11.npy"]


@pytest.mark.parametrize("sources", [("clips/*.npy",), ("clips",), ("clips/c?.npy", "clips/c??.npy")])
def test_each_of_many_is_done_in_natural_order(sources: tuple[str, ...], clips: Path) -> None:
    outcomes = run(*sources)
    assert [outcome.target for outcome in outcomes] == [Path("out") / name for name in NAMES]
    assert [outcome.source for outcome in outcomes] == [str(clips / name) for name in NAMES]
    assert {outcome.detail for outcome in outcomes} == {"1 of 8 frames made by linear"}
    assert names("out") == sorted(NAMES + [f"{name}.made.json" for name in NAMES])
    for name in NAMES:
        source, got = np.load(clips / name), np.load(Path("out") / name)
        np.testing.assert_array_equal(np.delete(got, 3, axis=0), np.delete(source, 3, axis=0))
        np.testing.assert_allclose(got[3], (source[2].astype(float) + source[4]) / 2, atol=0.51)


@pytest.mark.parametrize("task", ["forecast", "recreate", "reconstruct"])
def test_what_was_done_before_is_skipped(task: Task, clips: Path) -> None:
    how: dict[str, Any] = {"task": task, "horizon": 2 if task == "forecast" else 0}
    assert set(statuses(run("clips/*.npy", **how)).values()) == {"done"}
    Path("out/c2.npy").unlink()
    Path("out/c2.npy.made.json").unlink()
    times = {name: Path("out", name).stat().st_mtime_ns for name in names("out")}
    outcomes = run("clips/*.npy", **how)
    assert statuses(outcomes) == {"c1.npy": "skipped", "c2.npy": "done", "c10.npy": "skipped", "c11.npy": "skipped"}
    assert outcomes[0].detail == "done before"
    assert {name: Path("out", name).stat().st_mtime_ns for name in times} == times
    assert set(statuses(run("clips/*.npy", force=True, **how)).values()) == {"done"}
    assert all(Path("out", name).stat().st_mtime_ns > time for name, time in times.items())


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"missing": "4"}, "other request"),
        ({"mask": "mask.npy"}, "other request"),
        ({"detect": True}, "other request"),
        ({"task": "reconstruct"}, "other task"),
        ({"task": "forecast", "horizon": 2}, "other task and request"),
        ({"model": predict.load("nearest", "cpu")}, "other model"),
        ({"model": forecaster()}, "other model and weights_sha256"),
    ],
)
def test_what_was_made_otherwise_is_a_failure_and_stays(change: dict[str, Any], word: str, clips: Path) -> None:
    np.save("mask.npy", np.ones((SIZE, SIZE + 1)))
    run("clips/*.npy")
    before = {name: Path("out", name).read_bytes() for name in names("out")}
    outcomes = run("clips/*.npy", **change)
    assert {outcome.status for outcome in outcomes} == {"failed"}
    assert all(f"made with {word}" in outcome.detail for outcome in outcomes)
    assert all("--force" in outcome.detail for outcome in outcomes)
    assert {name: Path("out", name).read_bytes() for name in names("out")} == before


def test_what_was_made_of_another_file_of_the_same_name_is_not_done_before(clips: Path) -> None:
    Path("others").mkdir()
    np.save("others/c2.npy", noise(3))
    run("clips/*.npy")
    before = Path("out/c2.npy").read_bytes()
    (outcome,) = run("others/*.npy")
    assert outcome.status == "failed"
    assert "made with other source" in outcome.detail
    assert Path("out/c2.npy").read_bytes() == before
    assert {one.status for one in run(str(clips.resolve() / "*.npy"))} == {"skipped"}  # however its path is written


def test_the_same_model_with_other_weights_is_another(clips: Path) -> None:
    run("clips/*.npy")
    for name in NAMES:
        path = sidecar_of(Path("out") / name)
        path.write_text(json.dumps(read_sidecar(path) | {"weights_sha256": "0" * 64}))
    assert all("other weights_sha256" in outcome.detail for outcome in run("clips/*.npy"))


@pytest.mark.parametrize("gone", ["c1.npy", "c1.npy.made.json"])
def test_half_of_what_was_done_is_not_skipped(gone: str, clips: Path) -> None:
    run("clips/*.npy")
    Path("out", gone).unlink()
    outcomes = run("clips/*.npy")
    assert statuses(outcomes) == {"c1.npy": "failed", "c2.npy": "skipped", "c10.npy": "skipped", "c11.npy": "skipped"}
    assert "there already" in outcomes[0].detail


def test_a_damaged_sidecar_is_a_failure(clips: Path) -> None:
    run("clips/*.npy")
    Path("out/c10.npy.made.json").write_text("{")
    outcomes = run("clips/*.npy")
    assert statuses(outcomes)["c10.npy"] == "failed"
    assert "c10.npy.made.json" in outcomes[2].detail
    assert {outcomes[i].status for i in (0, 1, 3)} == {"skipped"}


def test_bad_ones_do_not_keep_others_from_being_done(clips: Path) -> None:
    (clips / "c1.npy").write_bytes(b"")
    (clips / "c10.npy").write_bytes((clips / "c10.npy").read_bytes()[:-9])
    np.save(clips / "c3.npy", np.full((T, SIZE, SIZE + 1), np.nan))
    np.save(clips / "c4.npy", noise(count=3))  # has no frame 3
    np.save(clips / "c5.npy", noise(count=1))
    outcomes = run("clips/*.npy", "clips/none.npy")
    assert statuses(outcomes) == {
        "c1.npy": "failed",
        "c2.npy": "done",
        "c3.npy": "failed",
        "c4.npy": "failed",
        "c5.npy": "failed",
        "c10.npy": "failed",
        "c11.npy": "done",
        "none.npy": "failed",
    }
    for outcome in outcomes:
        if outcome.status == "failed":
            assert "\n" not in outcome.detail
            assert ": expected " in outcome.detail
    assert names("out") == ["c11.npy", "c11.npy.made.json", "c2.npy", "c2.npy.made.json"]


def test_if_all_fail_no_folder_is_left(clips: Path) -> None:
    assert {outcome.status for outcome in run("clips/*.npy", missing="99")} == {"failed"}
    assert names(".") == ["clips"]


@pytest.mark.skipif(os.name != "posix", reason="names of other lengths")
def test_a_name_for_which_there_is_no_room_is_a_failure_of_one(clips: Path) -> None:
    long = f"{'n' * 245}.npy"
    np.save(clips / long, noise())
    outcomes = run("clips/*.npy")
    assert statuses(outcomes) == dict.fromkeys(NAMES, "done") | {long: "failed"}


def test_those_of_which_nothing_is_missing_are_skipped(clips: Path) -> None:
    values = noise(2)
    values[4] = 0
    np.save(clips / "c2.npy", values)
    outcomes = run("clips/*.npy", missing="", detect=True)
    assert [outcome.detail for outcome in outcomes] == [
        "nothing is missing",
        "1 of 8 frames made by linear",
        "nothing is missing",
        "nothing is missing",
    ]
    assert statuses(outcomes) == {"c1.npy": "skipped", "c2.npy": "done", "c10.npy": "skipped", "c11.npy": "skipped"}
    with pytest.raises(DataError, match="nothing is missing"):
        run("clips/c1.npy", out="c1.npy", missing="")


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_the_shares_are_all_that_there_is_each_once(count: int, clips: Path) -> None:
    shares = [run("clips/*.npy", shard=f"{number}/{count}") for number in range(1, count + 1)]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert sorted(outcome.target.name for share in shares for outcome in share) == sorted(NAMES)
    assert {outcome.status for share in shares for outcome in share} == {"done"}


@pytest.mark.parametrize("shard", ["", "2", "0/3", "4/3", "1/0", "a/b", "-1/3", "1/3/5", "1.0/2"])
def test_shares_that_cannot_be_are_refused(shard: str, clips: Path) -> None:
    with pytest.raises(ConfigError, match="shard"):
        run("clips/*.npy", shard=shard)
    assert names(".") == ["clips"]


@pytest.mark.parametrize("suffix", [".mkv", "mkv", "tif", "npz"])
def test_the_suffix_says_the_format_of_all(suffix: str, clips: Path) -> None:
    outcomes = run("clips/*.npy", suffix=suffix)
    plain = suffix.removeprefix(".")
    assert [outcome.target.name for outcome in outcomes] == [f"c{number}.{plain}" for number in (1, 2, 10, 11)]
    got = read(f"out/c10.{plain}").values[:, 0]
    np.testing.assert_array_equal(np.delete(got, 3, axis=0), np.delete(noise(10), 3, axis=0))


@pytest.mark.parametrize("suffix", ["xyz", "", ".mkv.gz"])
def test_a_suffix_that_no_format_has_is_said_once(suffix: str, clips: Path) -> None:
    with pytest.raises(OutputError, match="expected"):
        run("clips/*.npy", suffix=suffix)
    assert names(".") == ["clips"]


def test_two_outputs_of_one_name_are_refused(clips: Path) -> None:
    Path("more").mkdir()
    np.save("more/c1.npy", noise())
    with pytest.raises(OutputError, match=r"c1\.npy"):
        run("clips/*.npy", "more/*.npy")
    np.savez("clips/c1.npz", noise())
    with pytest.raises(OutputError, match=r"c1\.tif"):
        run("clips/c1.*", suffix="tif")
    assert not Path("out").exists()


@pytest.mark.parametrize("out", ["out.npy", "there"])
def test_many_do_not_go_into_a_file(out: str, clips: Path) -> None:
    Path("there").write_text("mine")
    with pytest.raises(OutputError, match="for 4 inputs"):
        run("clips/*.npy", out=out, force=True)
    assert names(".") == ["clips", "there"]


def test_the_inputs_are_not_replaced(clips: Path) -> None:
    before = {name: (clips / name).read_bytes() for name in names(clips)}
    outcomes = run("clips/*.npy", out="clips", force=True)
    assert {outcome.status for outcome in outcomes} == {"failed"}
    assert {name: (clips / name).read_bytes() for name in names(clips)} == before


def test_one_file_that_a_glob_matches_is_one_of_many(clips: Path) -> None:
    assert [outcome.target for outcome in run("clips/c10*.npy")] == [Path("out/c10.npy")]
    assert statuses(run("clips/c10*.npy")) == {"c10.npy": "skipped"}
    assert [outcome.target for outcome in run("clips/c2.npy", shard="1/2")] == [Path("out/c2.npy")]
    assert run("clips/c2.npy", shard="2/2") == []
    assert [outcome.target for outcome in run("clips/c2.npy", suffix="mkv")] == [Path("out/c2.mkv")]
    assert [outcome.target for outcome in run("clips/c10*.npy", out="one.npy")] == [Path("one.npy")]
    assert np.load("one.npy").shape == (T, SIZE, SIZE + 1)


def pictures(folder: str, first: int = 0, count: int = T) -> None:
    Path(folder).mkdir()
    for t, frame in enumerate(noise(count=count)):
        Image.fromarray(frame).save(Path(folder) / f"f{t + first}.png")


@pytest.mark.parametrize("sources", [("frames",), ("frames/*.png",), ("frames/f[0-4].png", "frames/f[5-9].png")])
@pytest.mark.parametrize("out", ["out", "out.npy"])
def test_files_with_a_frame_each_are_one_input(sources: tuple[str, ...], out: str, clips: Path) -> None:
    pictures("frames")
    outcomes = run(*sources, out=out)
    assert statuses(outcomes) == {out: "done"}
    got = read(out).values[:, 0]
    np.testing.assert_array_equal(np.delete(got, 3, axis=0), np.delete(noise(), 3, axis=0))
    for option in ({"shard": "1/2"}, {"suffix": "png"}):
        with pytest.raises(ConfigError, match=f"--{next(iter(option))} with one input"):
            run(*sources, out="other", **option)


@pytest.mark.parametrize(
    "sources", [("events/*",), ("events/b", "events/a"), ("events/a/", "events/b", "clips/c2.npy")]
)
def test_each_of_several_folders_is_an_input(sources: tuple[str, ...], clips: Path) -> None:
    Path("events").mkdir()
    pictures("events/a")
    pictures("events/b", count=5)
    outcomes = run(*sources)
    expected = [Path(place).name for source in sources for place in (["a", "b"] if "*" in source else [source])]
    assert [outcome.target for outcome in outcomes] == [Path("out") / name for name in expected]
    assert {outcome.status for outcome in outcomes} == {"done"}
    assert names("out") == sorted([*expected, *(f"{name}.made.json" for name in expected)])
    for name, count in (("a", T), ("b", 5)):
        assert names(Path("out") / name) == [f"f{t}.png" for t in range(count)]
        got = read(Path("out") / name).values[:, 0]
        np.testing.assert_array_equal(np.delete(got, 3, axis=0), np.delete(noise(count=count), 3, axis=0))
    assert {outcome.status for outcome in run(*sources)} == {"skipped"}
    assert len(run(*sources, out="half", shard="1/2")) == len(expected) - len(expected) // 2


def test_a_bad_folder_does_not_keep_others_from_being_done(clips: Path) -> None:
    Path("events").mkdir()
    for name in ("2020.05", "bad", "empty"):
        pictures(f"events/{name}", count=0 if name == "empty" else T)
    for path in Path("events/bad").iterdir():
        path.write_bytes(b"")
    outcomes = run("events/*", suffix=".mkv")
    assert statuses(outcomes) == {"2020.05.mkv": "done", "bad.mkv": "failed", "empty.mkv": "failed"}
    assert "none of the 8 files can be read" in outcomes[1].detail
    assert names("out") == ["2020.05.mkv", "2020.05.mkv.made.json"]


def test_a_series_beside_folders_has_no_name(clips: Path) -> None:
    pictures("frames")
    pictures("frames/out")
    with pytest.raises(DataError, match=r"frames/\*\.png"):
        run("frames/*")
    assert not Path("out").exists()


def test_a_glob_of_files_at_any_depth_means_no_folders(clips: Path) -> None:
    Path("deep").mkdir()
    pictures("deep/frames")
    assert statuses(run("deep/**", out="all")) == {"all": "done"}


def test_clips_in_several_folders_are_inputs_each(clips: Path) -> None:
    Path("more").mkdir()
    np.save("more/c3.npy", noise(3))
    outcomes = run("clips", "more")
    assert statuses(outcomes) == dict.fromkeys([*NAMES, "c3.npy"], "done")


@pytest.mark.parametrize("source", ["frames", "frames/*.png"])
@pytest.mark.parametrize("cut", [0, 60])
def test_a_series_of_which_nothing_can_be_read_is_said_once(source: str, cut: int, clips: Path) -> None:
    pictures("frames")
    for path in Path("frames").iterdir():
        path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"frames/f0\.png: .*none of the 8 files can be read"):
        run(source)
    assert not Path("out").exists()


def test_a_file_goes_into_a_folder_under_its_own_name(clips: Path) -> None:
    Path("there").mkdir()
    Path("there/mine.txt").write_text("mine")
    (outcome,) = run("clips/c1.npy", out="there")
    assert (outcome.target, outcome.status) == (Path("there/c1.npy"), "done")
    assert names("there") == ["c1.npy", "c1.npy.made.json", "mine.txt"]
    with pytest.raises(OutputError, match=r"there/c1\.npy, which is there already"):
        run("clips/c1.npy", out="there")
    (outcome,) = run(str((clips / "c2.npy").resolve()), out=".")
    assert np.load("c2.npy").shape == (T, SIZE, SIZE + 1)


def test_a_folder_that_is_an_output_takes_no_file(clips: Path) -> None:
    run("clips/c1.npy", out="frames")
    assert names("frames") == [f"{t:05d}.png" for t in range(T)]
    with pytest.raises(OutputError, match="frames, which is there already"):
        run("clips/c1.npy", out="frames")
    run("clips/c2.npy", out="frames", force=True)
    assert names("frames") == [f"{t:05d}.png" for t in range(T)]


@pytest.mark.parametrize("out", ["clips", "clips/../clips/"])
def test_many_do_not_go_into_the_folder_that_is_read(out: str, clips: Path) -> None:
    before = names(clips)
    with pytest.raises(OutputError, match="the folder that is read"):
        run("clips", out=out, suffix="mkv", force=True)
    assert names(clips) == before


@pytest.mark.parametrize(
    ("option", "value"), [("missing", "3-"), ("mask", "none.png"), ("mask", "cut.npy"), ("mask", "text.made.json")]
)
def test_what_is_wrong_for_all_is_said_once(option: str, value: str, clips: Path) -> None:
    Path("cut.npy").write_bytes(Path("clips/c1.npy").read_bytes()[:90])
    Path("text.made.json").write_text("{}")
    how: dict[str, Any] = {option: value}
    with pytest.raises((ConfigError, DataError), match=value):
        run("clips/*.npy", **how)
    assert not Path("out").exists()


def test_a_mask_that_fits_some_of_many_is_no_reason_to_do_none(clips: Path) -> None:
    np.save("clips/c3.npy", np.zeros((T, 5, 5), np.uint8))
    np.save("mask.npy", np.ones((SIZE, SIZE + 1)))
    outcomes = run("clips/*.npy", mask="mask.npy")
    assert statuses(outcomes) == dict.fromkeys(NAMES, "done") | {"c3.npy": "failed"}


def test_a_folder_that_cannot_be_made_is_said_once(clips: Path) -> None:
    Path("file").write_text("mine")
    with pytest.raises(OutputError, match="file/out"):
        run("clips/*.npy", out="file/out")


def test_the_same_weights_by_another_name_are_the_same_model(clips: Path) -> None:
    model = forecaster()
    model.title = "runs/mine"
    assert {outcome.detail for outcome in run("clips/*.npy", model=model)} == {"1 of 8 frames made by runs/mine"}
    model.title = "elsewhere"
    assert {outcome.status for outcome in run("clips/*.npy", model=model)} == {"skipped"}


def test_arrays_with_a_frame_each_are_one_input(clips: Path) -> None:
    Path("frames").mkdir()
    for t, frame in enumerate(noise()):
        np.save(f"frames/f{t}.npy", frame)
    assert statuses(run("frames/*.npy", out="out.npy")) == {"out.npy": "done"}
    assert np.load("out.npy").shape == (T, SIZE, SIZE + 1)


def test_a_layout_is_used_to_tell_what_the_files_hold(clips: Path) -> None:
    Path("frames").mkdir()
    for t, frame in enumerate(np.random.default_rng(0).integers(0, 255, (T, 9, 9, 9), dtype=np.uint8)):
        np.save(f"frames/f{t}.npy", frame)  # nine channels, or nine frames?
    assert statuses(run("frames/*.npy", out="out.npz", layout="HWC")) == {"out.npz": "done"}
    assert read("out.npz").values.shape == (T, 9, 9, 9)
    assert len(run("frames/*.npy", layout="THW")) == T
    pictures("pngs")
    with pytest.raises(ConfigError, match="layout"):
        run("pngs/*.png", layout="THW")


class Interrupted(StandIn):
    """Ctrl-C in its second clip."""

    tasks = frozenset(TASKS)
    runs = 0

    def _predict(self, frames: Tensor, observed: Tensor, valid: Tensor) -> Tensor:
        self.runs += 1
        if self.runs == 2:
            raise KeyboardInterrupt
        return super()._predict(frames, observed, valid)


def test_an_interruption_leaves_what_was_done_and_nothing_else(clips: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run("clips/*.npy", model=Forecaster(Interrupted(), "linear", None, "cpu", "float32"))
    assert names("out") == ["c1.npy", "c1.npy.made.json"]
    assert statuses(run("clips/*.npy"))["c1.npy"] == "skipped"


def test_a_task_that_the_model_lacks_is_said_once(clips: Path) -> None:
    model = StandIn()
    model.tasks = frozenset({"forecast"})
    with pytest.raises(TaskError, match="'recreate'"):
        run("clips/*.npy", model=Forecaster(model, "other", None, "cpu", "float32"))
    assert not Path("out").exists()


def test_no_input_is_refused(clips: Path) -> None:
    with pytest.raises(DataError, match="matches"):
        run("clips/*.png")


def test_what_changed_since_is_not_done_before(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    values = np.random.default_rng(0).integers(0, 256, (6, 8, 8)).astype(np.uint8)
    for name in ("a.npy", "b.npy"):
        np.save(tmp_path / "in" / name, values)
    sources, request = [str(tmp_path / "in" / "*.npy")], Request("recreate", missing="2")
    told: list[Outcome] = []

    def statuses() -> list[str]:
        told.clear()
        outcomes = process_all(
            sources, tmp_path / "out", request, LINEAR, console=Console(quiet=True), tell=told.append
        )
        assert told == outcomes
        return [one.status for one in outcomes]

    assert statuses() == ["done", "done"]
    assert statuses() == ["skipped", "skipped"]
    np.save(tmp_path / "in" / "b.npy", values[:5])
    assert statuses() == ["skipped", "failed"]
    assert "made with other inputs" in told[1].detail
