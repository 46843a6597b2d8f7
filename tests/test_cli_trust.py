"""backtest as a command: what is printed, what is written, and how it ends."""

import csv
import json
import os
import re
import signal
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from commands import command_of
from frame_forecast import backtest, weights
from frame_forecast.files import replacing
from frame_forecast.models.registry import entry_of

Command = Callable[[str], tuple[int, str, str]]


def noise(frames: int = 22) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (frames, 12, 13), dtype=np.uint8)


@pytest.fixture(autouse=True)
def no_released_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """What there is to compare does not change with the package."""
    monkeypatch.setattr(backtest, "motion_weights", list)


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs ``frame-forecast`` in this process, in a working directory with ``in.npy``: code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    np.save("in.npy", noise())

    run = command_of(monkeypatch, capsys)
    return lambda line: astuple(run(*line.split()))


def test_the_table_and_the_verdicts(command: Command) -> None:
    code, out, err = command("backtest in.npy --horizon 3 --windows 2 --threshold 250 --threshold 256")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "in.npy: 2 windows, 3 frames forecast in each, origins after frames 17 to 19 of 22"
    assert re.search(r"^ *method +1 +2 +3 +all *$", out, re.MULTILINE)
    for title in ("PSNR (dB) ↑", "SSIM ↑", "MAE ↓", "RMSE ↓", "CSI at 250 ↑", "FSS 5x5 at 250 ↑"):
        assert out.count(title) == 1
    assert out.count("optical_flow  ") == 8  # a row for each score and threshold
    undefined = lines[lines.index(next(line for line in lines if "CSI at 256" in line)) + 1]
    assert undefined.split() == ["copy_last", "-", "-", "-", "-"]
    assert lines[-3].startswith("optical_flow beats ")
    assert lines[-1] == "optical_flow beats the best of copy_last, mean_frame at no lead time by CSI at 256"
    assert sorted(path.name for path in Path().iterdir()) == ["in.npy"]


def test_what_is_written(command: Command) -> None:
    code, out, err = command("backtest in.npy --horizon 3 --windows 2 --model linear --threshold 250 -o out/deep")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "written to out/deep"
    folder = Path("out/deep")
    written = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    plots = ["plots/csi_250.svg", "plots/fss_5_250.svg", "plots/psnr.svg"]
    assert written == ["backtest.csv", "backtest.json", "backtest.md", *plots]
    record = json.loads((folder / "backtest.json").read_text())
    assert (record["schema"], record["source"], record["frames"], record["horizon"]) == (1, "in.npy", 22, 3)
    assert record["origins"] == [17, 19]
    assert record["scale"] == {"low": 0.0, "high": 255.0, "kind": "linear"}
    names = ["linear", "copy_last", "mean_frame", "optical_flow"]
    assert [one["name"] for one in record["methods"]] == names
    of_values, of_events = (
        ["psnr", "ssim", "mae", "rmse"],
        ["base_rate", "csi", "pod", "far", "fss_1", "fss_5", "fss_21"],
    )
    assert [(row["method"], row["score"], row["threshold"]) for row in record["rows"]] == [
        (name, score, event)
        for name in names
        for scores, event in ((of_values, None), (of_events, {"value": 250.0, "mm_per_hour": None}))
        for score in scores
    ]
    assert set(of_values + of_events) < record["conventions"].keys()
    with (folder / "backtest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 * 11 * 3
    values = [value for row in record["rows"] for value in row["per_lead_time"]]
    assert [float(row["value"]) if row["value"] else None for row in rows] == values
    assert rows[1] == {
        "method": "linear",
        "lead_time": "2",
        "seconds": "",
        "score": "psnr",
        "threshold": "",
        "value": str(values[1]),
    }
    page = (folder / "backtest.md").read_text()
    for plot in plots:
        assert page.count(f"]({plot})") == 1
        assert ET.parse(folder / plot).getroot().tag.endswith("svg")
    for title in (
        "POD at 250 ↑",
        "FAR at 250 ↓",
        "FSS 21x21 at 250 ↑",
        "share of events in the truth at 250",
    ):
        assert f"### {title}" in page
    assert "| linear | " in page
    assert all(verdict in page.replace("\\", "") for verdict in record["verdicts"])
    first = (folder / "backtest.csv").read_bytes()
    assert command("backtest in.npy --horizon 3 --windows 2 --model linear --threshold 250 -o out/deep")[0] == 0
    assert (folder / "backtest.csv").read_bytes() == first  # again, in its place


def test_a_series_of_files_with_their_times(command: Command) -> None:
    for number, picture in enumerate(noise()):
        Image.fromarray(picture).save(f"scan_20150515{18 + number // 12:02d}{5 * (number % 12):02d}.png")
    for line in ("scan_*.png", " ".join(sorted(map(str, Path().glob("scan_*.png"))))):
        code, out, err = command(f"backtest {line} --horizon 3 --windows 2")
        assert (code, err) == (0, "")
        assert "3 frames forecast in each (15 min), origins after" in out


def test_layout_and_variable_reach_the_reader(command: Command) -> None:
    np.save("in.npy", noise().transpose(1, 2, 0))
    assert "of 22" in command("backtest in.npy --horizon 3 --windows 2 --layout HWT")[1]
    code, _, err = command("backtest in.npy --horizon 3 --variable rain")
    assert code == 2
    assert "variable 'rain'" in err


REFUSED = [
    ("backtest in.npy --horizon 0", "horizon=0"),
    ("backtest in.npy --horizon 3 --windows 0", "windows=0"),
    ("backtest in.npy --horizon 3", "in.npy of 22 frames: expected 27 at least"),
    ("backtest in.npy --horizon 30", "in.npy of 22 frames: expected 47 at least"),
    ("backtest none.npy --horizon 3", "none.npy"),
    ("backtest in.npy --horizon 3 --windows 1 --model none", "none"),
    ("backtest in.npy --horizon 3 --windows 1 --model weights", "forecast"),
    ("backtest in.npy --horizon 3 --windows 1 --threshold much", "much"),
    ("backtest in.npy --horizon 3 --windows 1 --threshold 1mm/h", "1mm/h"),
    ("backtest in.npy --horizon 3 --windows 1 --device none", "none"),
    ("backtest in.npy --horizon 3 --windows 1 --out in.npy", "in.npy"),
]


@pytest.mark.parametrize(("line", "said"), REFUSED)
def test_what_cannot_be_is_one_line_and_code_2(line: str, said: str, command: Command) -> None:
    torch.manual_seed(0)
    entry = entry_of("lstm_autoencoder")
    model = entry.build(entry.config(**vars(entry.tiny) | {"form": "reconstruction"}))
    weights.save(Path("weights"), model, "lstm_autoencoder", context=5, horizon=0, channels=1, height=16, width=16)
    before = sorted(Path().rglob("*"))
    code, out, err = command(line)
    assert (code, out) == (2, "")
    assert err.startswith("frame-forecast: ")
    assert err.count("\n") == 1
    assert said in err
    assert sorted(Path().rglob("*")) == before


def test_where_one_file_cannot_be_written_none_is(command: Command) -> None:
    Path("out").mkdir()
    Path("out/plots").write_text("mine")
    code, _, err = command("backtest in.npy --horizon 3 --windows 1 --out out")
    assert code == 2
    assert err.startswith("frame-forecast: writing out/plots/psnr.svg: ")
    assert [path.name for path in Path("out").iterdir()] == ["plots"]


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("line", ["backtest in.npy --horizon 3 --out new", "fit in.npy --out new --model moving_mnist"])
def test_a_scheduler_ends_it_in_order(line: str, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> None:
        with replacing(Path("new", "file")):
            os.kill(os.getpid(), signal.SIGTERM)

    name = line.partition(" ")[0]
    monkeypatch.setattr(f"frame_forecast.{name}.{name}", stopped)
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        assert command(line) == (143, "", "frame-forecast: interrupted\n")
    finally:
        for number, handler in zip((signal.SIGTERM, signal.SIGHUP), before, strict=True):
            signal.signal(number, handler)
    assert [path.name for path in Path().iterdir()] == ["in.npy"]


def test_a_warning_is_said_once(command: Command) -> None:
    np.save("in.npy", noise(26))
    code, _, err = command("backtest in.npy --horizon 12 --windows 3 --model masked_lstm_small.moving_mnist")
    assert code == 0
    assert err.count("\n") == 1
    assert err.startswith("frame-forecast: warning: a horizon of 12 frames for masked_lstm, trained on 10")


def test_numbers_have_three_digits_whatever_their_units(command: Command) -> None:
    for scale, shown in ((1.0, r"\d\.\d\d"), (100.0, r"\d\d\d"), (1e4, r"\d{5}"), (1e-7, r"\d\.\d\de-0\d")):
        np.save("in.npy", scale * noise().astype(np.float64) / 50)
        out = command("backtest in.npy --horizon 3 --windows 1")[1]
        line = out[out.index("RMSE") :].splitlines()[1]
        assert all(re.fullmatch(shown, number) for number in line.split()[1:]), line
