"""forecast, recreate and reconstruct as commands: what is printed, where, and how they end."""

import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

import commands
from commands import Command, Outcome, command_of
from frame_forecast import weights
from frame_forecast.io.clips import read
from frame_forecast.models.registry import entry_of

T, SIZE = 8, 12


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 250, (T, SIZE, SIZE + 1), dtype=np.uint8)


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs ``frame-forecast`` in this process, in a working directory with ``in.npy`` and ``clips``."""
    monkeypatch.chdir(tmp_path)
    np.save("in.npy", noise())
    Path("clips").mkdir()
    for number in range(3):
        np.save(f"clips/c{number}.npy", noise(number))

    run = command_of(monkeypatch, capsys)
    return lambda line: run(*line.split())


def refused(command: Command, line: str, *words: str) -> None:
    """`commands.refused`, with nothing on stdout."""
    assert commands.refused(command, line, words=words).out == ""


@pytest.mark.parametrize(
    ("line", "frames", "said"),
    [
        ("forecast in.npy --horizon 3 -o out.npy --model optical_flow", 3, "3 of 3 frames made by optical_flow"),
        ("forecast in.npy --horizon 3 -o out.npy --model copy_last", 3, "3 of 3 frames made by copy_last"),
        ("recreate in.npy --missing 2,4-5 -o out.npy --model nearest", T, "3 of 8 frames made by nearest"),
        ("recreate in.npy --missing 2 -o out.npy --model linear", T, "1 of 8 frames made by linear"),
        ("reconstruct in.npy --out out.npy --model nearest", T, "8 of 8 frames made by nearest"),
    ],
)
def test_each_task_in_one_command(line: str, frames: int, said: str, command: Command) -> None:
    outcome = command(line)
    assert outcome == Outcome(0, f"done: in.npy -> out.npy: {said}\n", "")
    assert np.load("out.npy").shape == (frames, SIZE, SIZE + 1)
    assert json.loads(Path("out.npy.made.json").read_text())["frames_written"] == frames


def test_without_a_model_the_best_is_chosen_and_the_scores_are_printed(command: Command) -> None:
    torch.manual_seed(0)
    entry = entry_of("masked_lstm")
    sizes = {"context": 3, "horizon": 2, "channels": 1, "height": 16, "width": 16}
    weights.save(Path("mine"), entry.build(entry.tiny), "masked_lstm", **sizes)
    outcome = command("recreate in.npy --missing 3 -o out.npy --candidate mine --device cpu")
    assert (outcome.code, outcome.err) == (0, "")
    choice = json.loads(Path("out.npy.made.json").read_text())["choice"]
    assert f"1 of 8 frames made by {choice['model']}; on your data: {choice['model']} " in outcome.out
    assert {"mine", "optical_flow", "linear"} <= {row["model"] for row in choice["table"]}
    for row in choice["table"]:
        assert f"{row['model']} {row['psnr']:.1f} dB" in outcome.out


def test_all_options_reach_what_they_are_for(command: Command) -> None:
    values = noise()
    values[5] = 0
    np.save("in.npy", values.transpose(1, 2, 0))
    mask = np.full((SIZE, SIZE + 1), 255, np.uint8)
    mask[:2] = 0
    Image.fromarray(mask).save("mask.png")
    how = "--missing 2 --mask mask.png --detect --layout HWT --model linear --device cpu"
    outcome = command(f"recreate in.npy -o out.tif {how}")
    assert outcome.code == 0, outcome
    said = json.loads(Path("out.tif.made.json").read_text())
    assert said["request"] == {"missing": "2", "mask": "mask.png", "detect": True, "layout": "HWT"}
    assert said["detected"] == {"blank": "5"}
    got = read("out.tif").values[:, 0]
    kept = np.delete(np.arange(T), [2, 5])
    np.testing.assert_array_equal(got[kept, 2:], values[kept, 2:])
    assert not np.array_equal(got[kept, :2], values[kept, :2])


def test_a_variable_among_several(command: Command) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File("in.h5", "w") as file:
        file["a"], file["b"] = noise(1), noise(2)
    refused(command, "recreate in.h5 --missing 2 -o out.npy", "in.h5")
    outcome = command("recreate in.h5 --missing 2 -o out.npy --variable b --model linear")
    assert outcome.code == 0, outcome
    np.testing.assert_array_equal(np.load("out.npy")[3:], noise(2)[3:])
    assert json.loads(Path("out.npy.made.json").read_text())["request"] == {"missing": "2", "variable": "b"}


def test_many_files_some_of_which_fail(command: Command) -> None:
    Path("clips/c1.npy").write_bytes(b"")
    outcome = command("recreate clips/*.npy --missing 3 -o out --model linear")
    assert outcome.code == 1
    assert outcome.out.splitlines() == [
        f"done: clips/c{number}.npy -> out/c{number}.npy: 1 of 8 frames made by linear" for number in (0, 2)
    ]
    assert outcome.err.splitlines() == [
        "failed: clips/c1.npy -> out/c1.npy: clips/c1.npy: 0 bytes: expected a whole file that can be read; "
        "check the file or fetch it again",
        "1 of 3 failed",
    ]
    np.save("clips/c1.npy", noise(1))
    outcome = command("recreate clips/*.npy --missing 3 -o out --model linear")
    assert (outcome.code, outcome.err) == (0, "")
    assert [line.split(":")[0] for line in outcome.out.splitlines()] == ["skipped", "done", "skipped"]
    outcome = command("recreate clips/*.npy --missing 4 -o out --model linear")
    assert outcome.code == 1
    assert outcome.err.splitlines()[-1] == "3 of 3 failed"
    assert "other request" in outcome.err
    outcome = command("recreate clips/*.npy --missing 4 -o out --model linear --force")
    assert (outcome.code, outcome.out.count("done: ")) == (0, 3)


def test_shares_and_suffixes(command: Command) -> None:
    outcome = command("reconstruct clips/*.npy -o out --model linear --shard 2/2 --suffix .mkv")
    assert outcome.out == "done: clips/c1.npy -> out/c1.mkv: 8 of 8 frames made by linear\n"
    assert sorted(path.name for path in Path("out").iterdir()) == ["c1.mkv", "c1.mkv.made.json"]
    outcome = command("reconstruct clips/*.npy -o out --model linear --shard 4/4")
    assert (outcome.code, outcome.out) == (0, "nothing to do: this share has no input\n")


def damage() -> None:
    """Inputs that cannot be."""
    whole = Path("in.npy").read_bytes()
    Path("cut.npy").write_bytes(whole[:-5])
    Path("empty.npy").touch()
    Path("text.mkv").write_text("no video")
    Path("text.tif").write_text("no picture")
    Path("huge.npy").write_bytes(whole.replace(b"(8, 12, 13), }      ", b"(8, 12, 99999999), }"))
    np.save("nan.npy", np.full((T, SIZE, SIZE + 1), np.nan))
    np.save("single.npy", noise()[:1])
    np.save("layout.npy", np.zeros((3, 3, 3, 3, 3)))
    np.save("white.npy", np.ones((SIZE, SIZE + 1)))
    np.save("small.npy", np.ones((2, 2)))
    np.save("short.npy", np.ones((T - 1, SIZE, SIZE + 1)))
    np.save("hidden.npy", np.zeros((SIZE, SIZE + 1)))
    Path("bad.made.json").write_text('{"schema": 1}')
    Path("there.npy").write_text("mine")
    Path("made.npy.made.json").write_text("mine")
    Path("mixed").mkdir()
    Image.fromarray(noise()[0]).save("mixed/f0.png")
    Image.fromarray(noise()[0, :5]).save("mixed/f1.png")
    for folder, count, kept in (("cut", 3, 70), ("zero", 3, 0), ("alone", 1, None), ("bad", 1, 0)):
        Path(folder).mkdir()
        for number in range(count):
            Path(folder, f"f{number}.png").write_bytes(Path("mixed/f0.png").read_bytes()[:kept])
    torch.manual_seed(0)
    entry = entry_of("lstm_autoencoder")
    sizes = {"context": 5, "horizon": 3, "channels": 1, "height": 16, "width": 16}
    weights.save(Path("weights"), entry.build(entry.tiny), "lstm_autoencoder", **sizes)


REFUSED = [
    ("recreate in.npy --missing 1 -o out.npy --model linear --candidate weights", "--candidate"),
    ("recreate in.npy --missing 1 -o out.npy --candidate nowhere", "nowhere"),
    ("recreate cut.npy --missing 1 -o out.npy", "cut.npy"),
    ("recreate empty.npy --missing 1 -o out.npy", "empty.npy: 0 bytes"),
    ("recreate none.npy --missing 1 -o out.npy", "none.npy"),
    ("recreate none*.npy --missing 1 -o out.npy", "none*.npy"),
    ("recreate text.mkv --missing 1 -o out.npy", "text.mkv"),
    ("recreate text.tif --missing 1 -o out.npy", "text.tif"),
    ("recreate huge.npy --missing 1 -o out.npy", "huge.npy"),
    ("recreate nan.npy --missing 1 -o out.npy", "nan.npy, in which no pixel has a value"),
    ("recreate single.npy --missing 1 -o out.npy", "single.npy, a single frame"),
    ("recreate layout.npy --missing 1 -o out.npy", "layout.npy"),
    ("recreate mixed --missing 1 -o out.npy", "mixed/f1.png"),
    ("recreate in.npy -o out.npy", "in.npy, of which nothing is missing", "--missing, --mask or --detect"),
    ("recreate in.npy --detect -o out.npy", "nothing is missing"),
    ("recreate in.npy --mask white.npy -o out.npy", "nothing is missing"),
    ("recreate in.npy --mask hidden.npy -o out.npy", "nothing is left to see"),
    ("recreate in.npy --missing 0-7 -o out.npy", "nothing is left to see"),
    ("recreate in.npy --missing 8 -o out.npy", "0 to 7"),
    ("recreate in.npy --missing x -o out.npy", "'x'"),
    ("recreate in.npy --mask small.npy -o out.npy", "2x2 pixels", "12x13"),
    ("recreate in.npy --mask short.npy -o out.npy", "short.npy of 7 frames"),
    ("recreate in.npy --mask none.png -o out.npy", "none.png"),
    ("recreate in.npy --mask bad.made.json -o out.npy", "bad.made.json"),
    ("recreate in.npy --missing 1 -o there.npy", "there already"),
    ("recreate in.npy --missing 1 -o made.npy", "there already", "--force"),
    ("recreate in.npy --missing 1 -o in.npy --force", "the input"),
    ("recreate in.npy --missing 1 -o .", "in.npy, which is the input"),
    ("recreate mixed --missing 1 -o ..", "with a name"),
    ("recreate in.npy --missing 1 -o out.xyz", "'.xyz'"),
    ("recreate in.npy --missing 1 -o there.npy/out.npy", "there.npy/out.npy"),
    ("recreate in.npy --missing 1 -o out.npy --layout XYZ", "'XYZ'"),
    ("recreate in.npy --missing 1 -o out.npy --variable a", "'a'"),
    ("recreate in.npy --missing 1 -o out.npy --model none", "none"),
    ("recreate in.npy --missing 1 -o out.npy --model weights", "'recreate' with lstm_autoencoder", "forecast"),
    ("recreate in.npy --missing 1 -o out.npy --device none", "'none'"),
    ("recreate in.npy --missing 1 -o out.npy --suffix tif", "--suffix with one input"),
    ("recreate clips/*.npy --missing 1 -o out --shard 3/2", "3/2"),
    ("recreate clips/*.npy --missing x -o out", "'x'"),
    ("recreate clips/*.npy --mask none.png -o out", "none.png"),
    ("recreate clips/*.npy --mask bad.made.json -o out", "bad.made.json"),
    ("recreate clips/*.npy --missing 1 -o there.npy/out", "there.npy/out"),
    ("recreate clips --missing 1 -o clips --suffix .mkv", "the folder that is read"),
    ("recreate cut -o out", "cut/f0.png", "none of the 3 files can be read"),
    ("recreate zero -o out", "zero/f0.png: 0 bytes", "none of the 3 files can be read"),
    ("recreate alone -o out", "alone, a single frame"),
    ("recreate bad -o out", "bad/f0.png: 0 bytes: expected"),
    ("recreate zero/*.png -o out", "zero/f0.png: 0 bytes", "none of the 3 files can be read"),
    ("recreate mixed --missing 1 -o mixed/whole.npy", "in the folder that is read", "another place, such as"),
    ("recreate clips/*.npy --missing 1 -o out.npy", "3 inputs"),
    ("forecast in.npy --horizon 0 -o out.npy", "a horizon of 0 frames"),
    ("forecast in.npy --horizon -1 -o out.npy", "a horizon of -1 frames"),
    ("forecast in.npy --horizon 99999999 -o out.npy", "a horizon of 99999999"),
    ("forecast in.npy --horizon 2 -o out.npy --model weights", "12x13", "16x16"),
    ("reconstruct in.npy --missing 1 -o out.npy --model weights", "in.npy with missing pixels"),
    ("forecast single.npy --horizon 2 -o out.npy", "single.npy, a single frame"),
    ("reconstruct nan.npy -o out.npy", "nan.npy"),
]


@pytest.mark.parametrize("line", REFUSED, ids=[line[0] for line in REFUSED])
def test_what_cannot_be_is_one_line_and_exit_code_2(line: tuple[str, ...], command: Command) -> None:
    damage()
    refused(command, *line)


@pytest.mark.parametrize("line", ["forecast in.npy -o out.npy", "recreate in.npy", "recreate -o out.npy"])
def test_what_a_command_needs_is_asked_for(line: str, command: Command) -> None:
    outcome = command(line)
    assert outcome.code == 2
    assert "Missing" in outcome.err


def process_of(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "frame_forecast", *arguments]


def test_in_a_process_of_its_own(tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", noise())
    arguments = ("recreate", "in.npy", "--missing", "3-4", "-o", "new/out.mkv", "--model", "linear")
    done = subprocess.run(process_of(*arguments), cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "done: in.npy -> new/out.mkv: 2 of 8 frames made by linear\n"
    kept = np.delete(np.arange(T), [3, 4])
    np.testing.assert_array_equal(read(tmp_path / "new" / "out.mkv").values[kept, 0], noise()[kept])
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["out.mkv", "out.mkv.made.json"]
    with tifffile.TiffWriter(tmp_path / "cut.tif") as writer:
        for frame in noise():
            writer.write(frame, metadata=None, contiguous=False)
    (tmp_path / "cut.tif").write_bytes((tmp_path / "cut.tif").read_bytes()[:-300])
    arguments = ("recreate", "cut.tif", "--missing", "3-4", "-o", "other/out.mkv")
    failed = subprocess.run(process_of(*arguments), cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (failed.returncode, failed.stdout, failed.stderr.count("\n")) == (2, "", 1)
    assert not (tmp_path / "other").exists()


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_command_that_is_stopped_leaves_nothing_behind(name: str, tmp_path: Path) -> None:
    number = getattr(signal, name)
    np.save(tmp_path / "in.npy", np.random.default_rng(0).integers(0, 255, (400, 160, 160), dtype=np.uint8))
    arguments = ("reconstruct", "in.npy", "-o", "new/out.npy", "--model", "optical_flow")
    # Tests that run in the background may have inherited signals that are ignored.
    heed = functools.partial(signal.signal, number, signal.SIG_DFL)
    with subprocess.Popen(
        process_of(*arguments), cwd=tmp_path, stderr=subprocess.PIPE, text=True, preexec_fn=heed
    ) as running:
        deadline = time.monotonic() + 120
        while not (tmp_path / "new").exists() and time.monotonic() < deadline:  # it has begun to write
            time.sleep(0.01)
        assert running.poll() is None
        running.send_signal(number)
        if number != signal.SIGINT:
            running.send_signal(number)
        err = running.communicate(timeout=120)[1]
    assert (running.returncode, err) == (128 + number, "frame-forecast: interrupted\n")
    assert [path.name for path in tmp_path.iterdir()] == ["in.npy"]


def test_scores_beside_an_output_and_alone(command: Command) -> None:
    outcome = command("reconstruct in.npy --missing 3 --score scores.csv -o out.npy --model linear")
    assert outcome == Outcome(0, "done: in.npy -> out.npy: 8 of 8 frames made by linear; 0 flagged in scores.csv\n", "")
    lines = Path("scores.csv").read_text().splitlines()
    assert lines[0] == "frame,time,rmse,psnr,score,flagged"
    assert [line.split(",")[0] for line in lines[1:]] == [str(t) for t in range(T)]
    assert lines[4] == "3,,,,,false"
    error = noise()[5].astype(float) - np.load("out.npy")[5]
    assert float(lines[6].split(",")[2]) == pytest.approx(np.sqrt(np.square(error).mean()), rel=1e-5)
    before = Path("scores.csv").read_bytes()
    outcome = command("reconstruct in.npy --missing 3 --score alone/scores.csv --model linear")
    assert outcome.code == 0, outcome
    assert outcome.out.startswith("done: in.npy -> alone/scores.csv: ")
    assert Path("alone/scores.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("reconstruct in.npy", "no output"),
        ("reconstruct in.npy --score in.npy --force", "another place"),
        ("reconstruct in.npy --score out.npy -o out.npy", "another place"),
        ("reconstruct in.npy --score out/scores.csv -o out", "another place"),
        ("reconstruct in.npy --score there.csv", "--force"),
        ("reconstruct in.npy --score clips", "writing clips"),
        ("reconstruct clips/c0.npy clips/c1.npy --score scores.csv", "one input"),
        ("reconstruct clips/c0.npy clips/c1.npy --score scores.csv -o out", "one input"),
    ],
)
def test_scores_that_cannot_be(line: str, word: str, command: Command) -> None:
    Path("there.csv").write_text("mine")
    refused(command, line, word)
