"""Faults that are put into made clips are found, and nothing else; what a stream holds is told."""

import gzip
import json
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from frame_forecast import __main__
from frame_forecast.clip import Clip
from frame_forecast.errors import DataError, FrameForecastWarning
from frame_forecast.findings import Findings, examine
from frame_forecast.io.clips import write
from frame_forecast.io.streams import open_reader
from frame_forecast.ranges import format_ranges, frame_ranges
from frame_forecast.scale import ValueScale

DATA = Path(os.environ.get("FRAME_FORECAST_DATA", "nowhere"))
T, H, W = 40, 24, 32


def texture(seed: int) -> np.ndarray:
    """``(H, W)``, smooth, from about 50 to 200."""
    rough = np.random.default_rng(seed).normal(size=(H, W))
    smooth = sum(np.roll(rough, (i, j), (0, 1)) for i in range(-2, 3) for j in range(-2, 3))
    return 125 + 75 * np.asarray(smooth) / np.abs(smooth).max()


def footage(frames: int = T, speed: float = 1.0, noise: float = 1.0) -> np.ndarray:
    """``(T, H, W)`` uint8, a texture that moves by whole pixels."""
    random = np.random.default_rng(1)
    moving = np.stack([np.roll(texture(0), int(t * speed), axis=1) for t in range(frames)])
    return np.clip(np.rint(moving + random.normal(0, noise, moving.shape)), 0, 255).astype(np.uint8)


def held(clip: np.ndarray, first: int, last: int, residue: float = 0.0) -> np.ndarray:
    """The clip with these frames like the one before them, with what a coder adds."""
    clip = clip.copy()
    added = np.random.default_rng(2).normal(0, residue, clip[first : last + 1].shape)
    clip[first : last + 1] = np.clip(np.rint(clip[first - 1] + added), 0, 255)
    return clip


def found_in(array: np.ndarray) -> Findings:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a layout that is guessed
        path = Path(folder) / "clip.npy"
        np.save(path, array)
        with open_reader(path) as stream:
            return examine(stream)


def kinds(found: Findings) -> dict[str, str]:
    """What was found of which frames."""
    return {finding.kind: format_ranges(finding.frames) for finding in found.findings}


def broken(found: Findings) -> str:
    return format_ranges(np.flatnonzero(found.broken()).tolist())


@pytest.mark.parametrize("noise", [0.0, 1.0, 20.0])
def test_nothing_is_wrong_with_footage(noise: float) -> None:
    found = found_in(footage(noise=noise))
    assert found.findings == ()
    assert not found.broken().any()
    assert found.broken().shape == (T,)


@pytest.mark.parametrize("value", [0, 90, 255])
@pytest.mark.parametrize("frames", ["7", "7-12", "0-1,20,38-39"])
def test_blank_frames(value: int, frames: str) -> None:
    clip = footage()
    clip[frame_ranges(frames, T)] = value
    assert kinds(found_in(clip)) == {"blank": frames}
    assert broken(found_in(clip)) == frames


def test_black_frames_with_a_sensors_noise() -> None:
    clip = footage()
    clip[5:8] = np.random.default_rng(0).integers(0, 3, (3, H, W))
    assert kinds(found_in(clip)) == {"blank": "5-7"}


def test_a_blue_screen_is_blank_and_grey_noise_in_colour_is_not() -> None:
    clip = np.stack([footage(), footage(), footage()], axis=1)
    clip[9] = np.array([0, 0, 255])[:, None, None]
    assert kinds(found_in(clip)) == {"blank": "9"}


def test_what_fades_to_black_is_not_blank() -> None:
    light = np.concatenate([np.ones(10), np.linspace(1, 0, 11), np.zeros(3), np.linspace(0, 1, 16)])
    found = found_in((footage(noise=0) * light[:, None, None]).astype(np.uint8))
    assert broken(found) == ""
    assert kinds(found)["flat"] == "20-24"


@pytest.mark.parametrize("frames", ["9", "9-15", "1-2", "36-39", "5,7-8,10-12,31"])
@pytest.mark.parametrize("noise", [0.0, 20.0])
def test_frozen_frames(frames: str, noise: float) -> None:
    clip = footage(noise=noise)
    for frame in frame_ranges(frames, T):
        clip[frame] = clip[frame - 1]
    assert kinds(found_in(clip)) == {"frozen": frames}
    assert broken(found_in(clip)) == frames


def test_frozen_frames_as_a_coder_leaves_them() -> None:
    found = found_in(held(held(footage(), 10, 15, residue=0.3), 30, 30, residue=0.3))
    assert kinds(found) == {"frozen": "10-15,30"}


def test_a_frame_after_missing_ones_that_is_like_the_one_before_them_is_frozen() -> None:
    clip = footage().astype(np.float32)
    clip[12] = clip[9]
    clip[10:12] = np.nan
    assert kinds(found_in(clip)) == {"missing": "10-11", "frozen": "12"}


def test_a_still_scene_is_said_to_be_still() -> None:
    found = found_in(np.repeat(footage(1), 100, axis=0))
    assert kinds(found) == {"still": "1-99"}
    assert "not taken for faults" in found.findings[0].meaning
    assert broken(found) == ""
    assert kinds(found_in(footage(speed=0))) == {}  # with a sensor's noise


@pytest.mark.parametrize("each", [2, 3, 20])
def test_drawings_that_are_held_are_no_faults(each: int) -> None:
    found = found_in(np.repeat(footage(120 // each, noise=0), each, axis=0))
    assert broken(found) == ""
    assert len(found.findings[0].frames) == 120 - 120 // each


@pytest.mark.parametrize(("speed", "residue"), [(0.5, 0.0), (0.5, 0.2), (3, 0.2)])
def test_a_still_picture_between_two_cuts_is_no_fault(speed: float, residue: float) -> None:
    clip = footage(speed=speed)
    clip[12:20] = held(np.repeat(texture(5)[None].astype(np.uint8), 8, axis=0), 1, 7, residue)
    clip[20:] = np.roll(clip[20:], 11, axis=1)
    assert broken(found_in(clip)) == ""


def test_what_slows_down_and_stops_is_no_fault() -> None:
    speed = np.concatenate([np.full(15, 4.0), 4 * 0.5 ** np.arange(10), np.zeros(8), 4 * 0.5 ** np.arange(7)[::-1]])
    place = np.cumsum(speed)
    column = np.arange(W)
    clip = np.stack([np.stack([np.interp((column + x) % W, column, row) for row in texture(0)]) for x in place])
    found = found_in(clip)
    assert broken(found) == ""
    assert kinds(found) == {"still": "25-32"}


def rain(frames: int, dry: int) -> np.ndarray:
    """``(T, H, W)`` float32 in mm/h: a shower that comes up after some dry scans, without noise."""
    row, column = np.mgrid[:H, :W]
    amount = np.maximum(np.arange(frames) - dry + 1, 0) / 10
    distance = np.stack([(row - 12) ** 2 + (column - 0.5 * t) ** 2 for t in range(frames)])
    return np.where(distance < 60, amount[:, None, None], 0).astype(np.float32)


def test_dry_scans_are_no_faults() -> None:
    found = found_in(rain(T, dry=10))
    assert kinds(found) == {"flat": "0-9"}
    assert broken(found) == ""
    always = found_in(np.zeros((T, H, W), np.float32))
    assert kinds(always) == {"flat": f"0-{T - 1}"}
    assert broken(always) == ""


def test_a_scan_lost_to_zeros_in_the_middle_of_rain_is_blank() -> None:
    clip = rain(T, dry=10)
    clip[[25, 30]] = 0
    assert kinds(found_in(clip)) == {"blank": "25,30", "flat": "0-9"}


@pytest.mark.parametrize("damage", ["torn", "scrambled", "another"])
def test_a_damaged_frame(damage: str) -> None:
    clip = footage(speed=0.2)
    match damage:
        case "torn":
            clip[17, H // 2 :] = 128
        case "scrambled":
            clip[17] = clip[17].T.reshape(H, W)
        case _:
            clip[17] = texture(9)
    assert kinds(found_in(clip)) == {"corrupt": "17"}
    assert broken(found_in(clip)) == "17"


def test_a_flickering_light_is_no_fault() -> None:
    clip = footage()
    clip[::2] //= 2
    assert broken(found_in(clip)) == ""


def test_what_is_missing() -> None:
    clip = footage().astype(np.float64)
    clip[3:5] = np.nan
    clip[7, :12] = np.nan
    clip[:, 0, 0] = np.inf
    found = found_in(clip)
    assert kinds(found) == {"missing": "3-4", "missing pixels": f"0-2,5-{T - 1}"}
    assert broken(found) == ""  # they are missing already
    assert found.missing == pytest.approx((2 * H * W + 12 * W + T - 3) / (T * H * W))
    assert "less than 0.1 % or" not in found.findings[1].meaning
    assert "none in any frame" in found.findings[1].meaning


def test_hidden_values_say_nothing() -> None:
    clip = footage().astype(np.float32)
    clip[:, :, :8] = np.nan
    before = found_in(clip)
    clip[::3, :, :8] = np.inf
    after = found_in(clip)
    assert (before.low, before.high, before.findings) == (after.low, after.high, after.findings)


def test_what_a_clip_holds() -> None:
    clip = footage().astype(np.int16) * 7 - 300
    found = found_in(clip)
    assert (found.frames, found.header.shape, found.header.dtype) == (T, (1, H, W), np.int16)
    assert (found.low, found.high, found.missing) == (clip.min(), clip.max(), 0)
    assert found.step is None
    facts = dict(found.facts())
    assert facts["frames"] == f"{T} of 1x{H}x{W} (C, H, W), int16"
    assert facts["values"] == f"{clip.min()} to {clip.max()}"
    assert facts["scale"] == "from the lowest to the highest value"
    assert facts["missing"] == "0 %" + " of the pixels"
    assert "times" not in facts


def test_the_scale_is_the_one_that_models_get() -> None:
    assert dict(found_in(footage()).facts())["scale"] == "linear, 0 to 255"
    assert (
        dict(found_in(footage().astype(np.float32) / 300).facts())["scale"] == "none: values in [0, 1] stay as they are"
    )


@pytest.mark.parametrize("dtype", [np.uint16, np.int8, np.int64, np.float16, np.float32, np.float64])
def test_any_dtype(dtype: type) -> None:
    clip = (footage() // 2).astype(dtype)
    clip[5] = 0
    clip[9] = clip[8]
    assert kinds(found_in(clip)) == {"blank": "5", "frozen": "9"}


def test_values_beyond_all_bounds_break_nothing() -> None:
    clip = np.random.default_rng(0).choice([-1.7e308, 0, 1.7e308], (10, 8, 8))
    clip[5] = clip[4]
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        assert broken(found_in(clip)) in ("", "5")


def test_scans_that_a_series_lacks(tmp_path: Path) -> None:
    for number in (0, 1, 2, 5, 6, 7, 8):
        Image.fromarray(footage()[number]).save(tmp_path / f"scan_20240101{12 + number // 12:02d}{number * 5:02d}.png")
    with open_reader(tmp_path) as stream:
        found = examine(stream)
    assert kinds(found) == {"missing": "3-4"}
    assert found.step == 300
    assert dict(found.facts())["times"] == "2024-01-01T12:00:00 to 2024-01-01T12:40:00 UTC"
    assert dict(found.facts())["rate"] == "a frame every 300 s"
    assert found.next_command(str(tmp_path)) == f"frame-forecast recreate {tmp_path} -o OUT"


def test_steps_that_are_too_long_are_told(tmp_path: Path) -> None:
    pictures = [Image.fromarray(frame) for frame in footage(8)]
    durations = [100, 100, 400, 100, 100, 100, 200, 100]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=durations)
    with open_reader(tmp_path / "a.gif") as stream:
        found = examine(stream)
    assert kinds(found) == {"time gap": "3,7"}
    assert "0.4 s" in found.findings[0].meaning
    assert (found.first, found.last, found.step) == (0, 1.1, 0.1)
    assert broken(found) == ""


def recording(path: Path, steps: list[float]) -> Findings:
    """What is found in a video whose frames come so many seconds after one another."""
    values = footage(len(steps) + 1)[:, None]
    times = np.concatenate([[0], np.cumsum(steps)])
    write(Clip(values, np.ones((len(values), 1, H, W), bool), ValueScale(0, 255), times), path, force=True)
    with warnings.catch_warnings(action="ignore"), open_reader(path) as stream:  # no regular series
        return examine(stream)


def test_what_time_gaps_of_a_recording_have_lost(tmp_path: Path) -> None:
    steps = [0.1, 0.1, 0.1, 0.14, 0.1, 0.2, 0.1, 0.1, 0.16, 0.1, 0.34, 0.1, 0.1]
    found = recording(tmp_path / "a.mkv", steps)
    assert [(one.kind, one.frames) for one in found.findings] == [("time gap", (6, 11)), ("time gap", (9,))]
    assert [one.option for one in found.findings] == ["recreate --detect", "none: taken as they come"]
    assert "frames lost there: 3" in found.findings[0].meaning
    assert found.grid is not None
    assert found.grid.positions.tolist() == [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 14, 15, 16]
    assert not found.broken().any()  # no frame that is there is to be hidden
    assert "--detect" in found.next_command("a.mkv")


def test_a_recording_without_a_usual_step_is_taken_as_it_comes(tmp_path: Path) -> None:
    found = recording(tmp_path / "a.mkv", [0.1, 0.23, 0.05, 0.31, 0.17, 0.4, 0.08, 0.26])
    assert found.grid is None
    assert [one.option for one in found.findings] == ["none: taken as they come"]
    assert "too uneven" in found.findings[0].meaning
    assert "--detect" not in found.next_command("a.mkv")


def test_files_that_cannot_be_read_are_corrupt_frames(tmp_path: Path) -> None:
    for number, frame in enumerate(footage(8)):
        if number != 6:
            Image.fromarray(frame).save(tmp_path / f"{number}.png")
    (tmp_path / "3.png").write_bytes((tmp_path / "3.png").read_bytes()[:80])
    with pytest.warns(FrameForecastWarning, match=r"3\.png"), open_reader(tmp_path) as stream:
        found = examine(stream)
    assert kinds(found) == {"missing": "6", "corrupt": "3"}
    assert [one.option for one in found.findings] == ["recreate", "recreate"]
    assert broken(found) == ""  # it is missing already
    assert found.next_command("in") == "frame-forecast recreate in -o OUT"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda clip: clip, ["forecast", "'a b.npy'", "--layout THW", "--horizon 12"]),
        (lambda clip: held(clip, 5, 6), ["recreate", "'a b.npy'", "--layout THW", "--detect"]),
    ],
)
def test_what_to_do_next(change, words: list[str]) -> None:
    assert "--variable rain" in found_in(change(footage())).next_command("a.nc", variable="rain")
    command = found_in(change(footage())).next_command("a b.npy", "THW")
    assert command == f"frame-forecast {' '.join(words)} -o OUT"


@settings(max_examples=40)
@given(st.data())
def test_any_few_faults_are_found_and_no_others(data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=4, unique=True))
    clip, expected = footage(), {}
    for place in places:
        first = 3 * place
        fault = data.draw(st.sampled_from(["blank", "frozen", "missing"]))
        expected[first] = fault
    clip = clip.astype(np.float32)
    for first, fault in sorted(expected.items()):
        clip[first] = {"blank": 7.0, "frozen": clip[first - 1], "missing": np.nan}[fault]
    found = found_in(clip)
    by_frame = {frame: finding.kind for finding in found.findings for frame in finding.frames}
    assert by_frame == expected
    assert broken(found) == format_ranges(frame for frame, fault in expected.items() if fault != "missing")


@settings(max_examples=40)
@given(
    shape=st.tuples(st.integers(2, 6), st.integers(1, 3), st.integers(1, 5), st.integers(5, 6)),
    dtype=st.sampled_from(["u1", ">u2", "i4", "f2", "f8"]),
    seed=st.integers(0, 99),
)
def test_any_shape_and_dtype(shape: tuple[int, ...], dtype: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    array = random.integers(0, 3, shape).astype(dtype)
    if array.dtype.kind == "f":
        array[random.random(shape) < 0.3] = np.nan
        array[0, :, 0, 0] = 1
    found = found_in(array)
    known = np.isfinite(array).all(axis=1)
    values = np.moveaxis(array, 1, -1)[known]
    assert (found.low, found.high) == (values.min(), values.max())
    assert found.missing == pytest.approx(1 - known.mean())
    assert found.broken().shape == (shape[0],)
    json.dumps(found.to_json_dict(), allow_nan=False)


EXAMINE = """
import re, sys
from pathlib import Path
from frame_forecast.findings import examine
from frame_forecast.io.streams import open_reader
with open_reader(sys.argv[1]) as stream:
    examine(stream)
assert "torch" not in sys.modules
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_memory_is_flat_in_the_length(tmp_path: Path) -> None:
    peaks = []
    frame = np.random.default_rng(0).integers(0, 256, (400, 400)).astype(np.uint8)
    for length in (20, 200):
        np.save(tmp_path / "clip.npy", np.stack([np.roll(frame, t) for t in range(length)]))
        done = subprocess.run(
            [sys.executable, "-c", EXAMINE, tmp_path / "clip.npy"], capture_output=True, text=True, check=True
        )
        peaks.append(int(done.stdout))
    assert peaks[1] < 1.1 * peaks[0]


needs_data = pytest.mark.skipif(not (DATA / "video").is_dir(), reason="needs real files: set FRAME_FORECAST_DATA")


@needs_data
@pytest.mark.parametrize("name", ["video/calcium_imaging.tif", "radar/fmi/pgm/20160928", "radar/mch/20160711"])
def test_real_files_are_whole(name: str) -> None:
    with open_reader(DATA / name) as stream:
        assert broken(examine(stream)) == ""


@needs_data
def test_faults_in_real_microscopy() -> None:
    with open_reader(DATA / "video" / "calcium_imaging.tif") as stream:
        clip = np.stack([frame.values[0] for frame in stream])[:300]
    clip[40] = clip[39]
    clip[90:95] = clip[89]
    clip[[7, 150, 151]] = 0
    clip[200, 15:] = 60_000
    assert kinds(found_in(clip)) == {"blank": "7,150-151", "frozen": "40,90-94", "corrupt": "200"}


@needs_data
def test_faults_in_real_radar(tmp_path: Path) -> None:
    files = sorted((DATA / "radar" / "fmi" / "pgm" / "20160928").iterdir())
    scans = [gzip.decompress(file.read_bytes()) for file in files]
    pixels = 1226 * 760
    for number, (file, scan) in enumerate(zip(files, scans, strict=True)):
        shown = bytes(pixels) if number == 30 else scans[10 if number in (11, 12) else number][-pixels:]
        if number not in (5, 20, 21):
            (tmp_path / file.name).write_bytes(gzip.compress(scan[:-pixels] + shown, 1))
    with open_reader(tmp_path) as stream:
        found = examine(stream)
    assert kinds(found) == {
        "missing": "5,20-21",
        "missing pixels": "0-4,6-19,22-29,31-39",  # out of the radars' reach
        "blank": "30",
        "frozen": "11-12",
    }


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Runs ``frame-forecast data check`` in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int | str | None, str, str]:
        monkeypatch.setattr(sys, "argv", ["frame-forecast", "data", "check", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            __main__.main()
        printed = capsys.readouterr()
        return end.value.code, printed.out, printed.err

    return run


def test_the_command_tells_what_it_found_and_what_to_run_next(check) -> None:
    np.save("clip [1].npy", held(footage(), 9, 11))
    code, out, err = check("clip [1].npy", "--layout", "THW", "--json", "found.json")
    assert (code, err) == (0, "")
    for text in ("clip [1].npy", f"{T} of 1x{H}x{W}", "frozen", "9-11", "--detect", "numbered from 0"):
        assert text in out
    assert out.splitlines()[-1] == "next: frame-forecast recreate 'clip [1].npy' --layout THW --detect -o OUT"
    record = json.loads(Path("found.json").read_text())
    assert (record["schema"], record["frames"], record["dtype"]) == (1, T, "uint8")
    assert [(one["kind"], one["frames"], one["count"]) for one in record["findings"]] == [("frozen", "9-11", 3)]


def test_a_whole_clip(check) -> None:
    np.save("clip.npy", footage())
    code, out, _ = check("clip.npy")
    assert code == 0
    assert "No frame is missing or looks broken." in out
    assert "next: frame-forecast forecast clip.npy" in out
    assert sorted(path.name for path in Path().iterdir()) == ["clip.npy"]


def test_long_lists_are_cut_short(check) -> None:
    clip = footage(400, noise=20)
    clip[5::4] = clip[4:-1:4]
    np.save("clip.npy", clip)
    code, out, _ = check("clip.npy", "--json", "found.json")
    assert code == 0
    assert "79 more" in " ".join(out.split())
    assert "397" not in out
    assert "397" in Path("found.json").read_text()


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("none.npy", None, "no file"),
        ("empty.npy", b"", "0 bytes"),
        ("text.tif", b"not a picture", "is not tif"),
        ("short.npy", "short", "bytes of values"),
        ("single.npy", np.zeros((1, H, W), np.uint8), "single frame"),
        ("nothing.npy", np.full((3, H, W), np.nan), "no pixel has a value"),
        ("words.npy", np.array([["a", "b"]]), "integers or floats"),
    ],
)
def test_what_cannot_be_read_is_one_line(check, name: str, content: bytes | str | np.ndarray | None, what: str) -> None:
    if isinstance(content, bytes):
        Path(name).write_bytes(content)
    elif content is not None:
        np.save(name, footage() if isinstance(content, str) else content)
        if isinstance(content, str):
            Path(name).write_bytes(Path(name).read_bytes()[:-100])
    code, out, err = check(name, "--json", "found.json")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert name in err
    assert what in err
    assert not Path("found.json").exists()


def test_a_stream_that_breaks_off_raises(tmp_path: Path) -> None:
    pictures = [Image.fromarray(frame) for frame in footage(8)]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:])
    (tmp_path / "a.gif").write_bytes((tmp_path / "a.gif").read_bytes()[:-500])
    with pytest.raises(DataError, match=r"a\.gif"), open_reader(tmp_path / "a.gif") as stream:
        examine(stream)
