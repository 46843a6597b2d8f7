"""What is written is read back with other tools: Pillow, an XML parser, an HTML parser, json."""

import io
import json
import math
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.GifImagePlugin import GifImageFile

from frame_forecast.errors import ConfigError, DataError, OutputError, ShapeError
from frame_forecast.metrics import DEFINITIONS
from frame_forecast.report import Sample, TrainingCurves, markdown_table, write_report
from frame_forecast.report.canvas import Canvas
from frame_forecast.report.content import heading
from frame_forecast.report.pictures import animation, strip
from frame_forecast.report.plots import lead_time_plots, training_plot
from frame_forecast.report.tables import METRICS, findings
from frame_forecast.results import EvaluatedClips, Machine, Results, Row

HOSTILE = '<script>alert("1")</script> & | *x*'
CURVES = TrainingCurves([1.0, 2.0, 3.0], [9, 19, 29], [0.7, 0.4, 0.3], [2.5], [20], [0.35])


def results(
    scores: dict[str, dict[str, float]], task: str = "forecast", model: str = "lstm", pattern: str | None = None
) -> Results:
    rows = [
        Row(name, metric, value, [value] * 10) for name, metrics in scores.items() for metric, value in metrics.items()
    ]
    return Results(
        model=model,
        weights_sha256=None,
        task=task,
        data=EvaluatedClips("moving_mnist", "test", 1000, "c0ffee"),
        context=10,
        horizon=10 if task == "forecast" else 0,
        pattern=pattern,
        conventions={metric: DEFINITIONS[metric] for metric in DEFINITIONS},
        rows=rows,
        machine=Machine("a processor", 2, "2.13.0", "cpu"),
        seconds=12.3,
    )


SCORES = {
    "lstm": {"mse_frame": 118.0, "ssim": 0.6, "bin_accuracy": 0.953, "bin_f1": 0.5},
    "black": {"mse_frame": 173.0, "ssim": 0.8, "bin_accuracy": 0.950, "bin_f1": 0.0},
    "copy_last": {"mse_frame": 284.0, "ssim": 0.6, "bin_accuracy": 0.916, "bin_f1": math.nan},
}


def sample(task: str = "forecast", clip: int = 3, model: str = "lstm") -> Sample:
    """Frames and predictions of black and white pixels: no picture may change them by a bit."""
    pixels = np.random.default_rng(clip).integers(0, 2, (10, 1, 16, 16)).astype(np.float32)
    context = 3
    frames, prediction = pixels[:6], pixels[6:9]
    if task == "recreate":  # a hidden frame, and a hidden square in another
        observed = np.ones((6, 1, 16, 16), dtype=bool)
        observed[1] = observed[4, :, 2:9, 3:8] = False
        return Sample(task, model, clip, 6, frames, np.where(observed, frames, 1 - frames), observed)
    assert task in ("forecast", "reconstruct")
    return Sample(task, model, clip, context, frames, prediction)


def write(folder: Path, title: str = "A run") -> Path:
    return write_report(
        folder,
        title=title,
        summary=["An autoencoder was trained.", "Then it was scored."],
        results=[results(SCORES), results(SCORES, "recreate"), results(SCORES, "reconstruct")],
        samples=[sample(), sample("recreate"), sample("reconstruct", clip=4)],
        curves=CURVES,
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A written report, for tests that only read it."""
    return write(tmp_path_factory.mktemp("run") / "new").parent


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_every_file_is_written_and_twice_the_same(run: Path, tmp_path: Path) -> None:
    written = files(run)
    metrics = ("mse_frame", "ssim", "bin_f1")
    assert set(written) == {
        "report.html",
        "report.md",
        "results.json",
        "gifs/forecast_lstm_clip_3.gif",
        "gifs/recreate_lstm_clip_3.gif",
        "gifs/reconstruct_lstm_clip_4.gif",
        "strips/forecast_lstm_clip_3.png",
        "strips/recreate_lstm_clip_3.png",
        "strips/reconstruct_lstm_clip_4.png",
        "plots/training_loss.svg",
        *(f"plots/{task}_lstm_{metric}.svg" for task in ("forecast", "recreate", "reconstruct") for metric in metrics),
    }
    assert write(tmp_path) == tmp_path / "report.html"
    assert files(tmp_path) == written


def test_results_are_read_back(run: Path) -> None:
    records = json.loads((run / "results.json").read_text("utf-8"))
    assert records == [results(SCORES, task).to_json_dict() for task in ("forecast", "recreate", "reconstruct")]


def test_report_without_samples_scores_or_curves(tmp_path: Path) -> None:
    write_report(tmp_path, title="Bare", summary=[], results=[], samples=[], curves=None)
    assert set(files(tmp_path)) == {"report.html", "report.md", "results.json"}


# Pictures


def places(image: np.ndarray, frame: np.ndarray, scale: int) -> list[tuple[int, int]]:
    """Where a black and white frame ``(1, H, W)``, enlarged, stands in a grey image."""
    block = np.kron(frame[0], np.ones((scale, scale))) * 255
    h, w = block.shape
    found = np.ones((image.shape[0] - h + 1, image.shape[1] - w + 1), dtype=bool)
    for x in range(w):  # its first row leaves few places to look at
        found &= image[: len(found), x : x + found.shape[1]] == block[0, x]
    return [(y, x) for y, x in np.argwhere(found) if (image[y : y + h, x : x + w] == block).all()]


def test_strip_holds_every_frame_in_order() -> None:
    drawn = sample()
    image = np.asarray(Image.open(io.BytesIO(strip(drawn).data)).convert("L"))
    rows = [drawn.frames[:3], drawn.frames[3:], drawn.prediction]
    found = [[places(image, frame, scale=8) for frame in row] for row in rows]
    assert all(len(corners) == 1 for row in found for corners in row)
    tops, lefts = np.array([[corners[0] for corners in row] for row in found]).transpose(2, 0, 1)
    assert (np.diff(tops, axis=1) == 0).all()
    assert (np.diff(tops, axis=0) > 16 * 8 - 1).all()
    assert (np.diff(lefts, axis=0) == 0).all()
    assert (np.diff(lefts, axis=1) > 16 * 8 - 1).all()


def test_a_recreation_shows_what_was_missing_from_its_input() -> None:
    drawn = sample("recreate")
    assert drawn.observed is not None
    assert "Hatched: missing." in strip(drawn).caption
    assert "Hatched" not in strip(sample()).caption
    image = np.asarray(Image.open(io.BytesIO(strip(drawn).data)).convert("RGB"))
    for t in range(6):
        shown = places(image[..., 0], drawn.frames[t], scale=8)
        # Input, target and prediction where all was observed; else the target alone.
        assert len(shown) == (3 if drawn.observed[t].all() else 1)
    (top, left), *_ = places(image[..., 0], drawn.frames[0], scale=8)
    (_, further), *_ = places(image[..., 0], drawn.frames[3], scale=8)
    column = left + (further - left) // 3 * 4  # the fifth frame, with a square missing
    part = image[top : top + 128, column : column + 128].astype(int)
    yellow = (part[..., 0] > 200) & (part[..., 2] < 100)
    hidden = np.kron(~drawn.observed[4, 0], np.ones((8, 8), dtype=bool))
    assert not yellow[~hidden].any()
    assert yellow[hidden].mean() == pytest.approx(0.25, abs=0.02)
    grey = np.kron(drawn.frames[4, 0], np.ones((8, 8)))[..., None].repeat(3, axis=2) * 255
    np.testing.assert_array_equal(part[~hidden], grey[~hidden])


def test_gif_of_a_recreation_marks_the_frames_with_holes() -> None:
    drawn = sample("recreate")
    gif = GifImageFile(io.BytesIO(animation(drawn).data))
    assert gif.n_frames == 6
    for t in range(6):
        gif.seek(t)
        rgb = np.asarray(gif.convert("RGB"))
        (top, left), *others = places(rgb[..., 0], drawn.frames[t], scale=12)
        complete = t not in (1, 4)
        assert len(others) == (2 if complete else 0)
        assert (rgb[top, left - 1, 2] < 100) == (not complete)  # yellow, else grey


def test_strip_says_the_true_range_of_the_error() -> None:
    frames = np.zeros((2, 1, 16, 16), dtype=np.float32)
    frames[1, 0, 0, 0] = 1
    prediction = np.full((1, 1, 16, 16), 0.25, dtype=np.float32)
    assert "from -0.75 to +0.25" in strip(Sample("forecast", "lstm", 0, 1, frames, prediction)).alt


def test_gif_shows_the_frames_and_marks_the_predicted_ones() -> None:
    drawn = sample()
    gif = GifImageFile(io.BytesIO(animation(drawn).data))
    assert (gif.n_frames, gif.info["loop"]) == (6, 0)
    borders = []
    for t in range(6):
        gif.seek(t)
        rgb = np.asarray(gif.convert("RGB"))
        shown = [drawn.frames[t], drawn.prediction[t - 3] if t >= 3 else drawn.frames[t]]
        (top, left), *_ = places(rgb[..., 0], shown[0], scale=12)
        assert any(x > left for _, x in places(rgb[..., 0], shown[1], scale=12))
        borders.append(tuple(rgb[top, left - 1].tolist()))
    assert borders[:3] == [borders[0]] * 3
    assert borders[3:] == [borders[5]] * 3
    red, green, blue = borders[5]
    assert min(red, green) > 200 > 100 > blue  # yellow
    assert max(borders[0]) - min(borders[0]) < 40  # grey


def test_canvas_greys_are_true() -> None:
    frame = np.linspace(-0.5, 1.5, 64, dtype=np.float32).reshape(1, 1, 64)
    canvas = Canvas(2, 128)
    canvas.frame(frame, 0, 0, scale=2)
    rgb = np.asarray(canvas.image().convert("RGB")).astype(float) / 255
    expected = np.repeat(np.clip(frame[0, 0], 0, 1), 2)
    assert np.abs(rgb - expected[None, :, None]).max() < 1 / 127


def test_canvas_errors_diverge_from_black() -> None:
    canvas = Canvas(1, 3)
    canvas.error(np.array([[[-0.5, 0.0, 0.5]]]), 0.5, 0, 0, scale=1)
    dark, right, bright = np.asarray(canvas.image().convert("RGB")).astype(int)[0]
    assert right.tolist() == [0, 0, 0]
    assert dark[2] > dark[0] + 50  # blue
    assert bright[0] > bright[2] + 50  # orange


def test_plots_are_svg_with_a_line_for_each_model() -> None:
    plots = [*lead_time_plots(results(SCORES)), training_plot(CURVES)]
    for plot in plots:
        assert plot.dark is not None
        assert plot.dark != plot.data
        for data in (plot.data, plot.dark):
            assert ET.fromstring(data).tag == "{http://www.w3.org/2000/svg}svg"
            assert b"<dc:date>" not in data
    assert "lstm from 118.0 to 118.0, black from 173.0 to 173.0" in plots[0].alt
    assert "0.7 to 0.3" in plots[-1].alt
    assert "30 steps, in 3 s" in plots[-1].caption


def test_plots_of_a_recreation_are_by_frame_and_leave_out_what_was_not_scored() -> None:
    made = results({"lstm": {"mse_frame": 20.0}}, "recreate", pattern="gap:3-8")
    row = replace(made.rows[0], per_lead_time=[math.nan, 10.0, 30.0, math.nan])
    (plot,) = lead_time_plots(replace(made, rows=[row]))
    assert plot.path == "plots/recreate_gap_3-8_lstm_mse_frame.svg"
    assert plot.alt == "Line chart of mse_frame by frame of the clip: lstm from 10.0 to 30.0."
    assert plot.caption == "Recreation (gap:3-8) by lstm: mse_frame by frame of the clip, lower is better."


# Scores


@pytest.mark.parametrize(
    ("task", "pattern", "words"),
    [
        ("forecast", None, "Forecast by lstm: 10 frames given, the next 10 scored"),
        ("recreate", "random:0.5", "Recreation by lstm: 10 frames, random:0.5 hidden, the hidden pixels scored"),
        ("reconstruct", None, "Reconstruction by lstm: 10 frames given, the same 10 scored"),
        (
            "reconstruct",
            "interleaved:4",
            "Reconstruction by lstm: 10 frames, each predicted from others (interleaved:4)",
        ),
    ],
)
def test_headings(task: str, pattern: str | None, words: str) -> None:
    assert heading(results(SCORES, task, pattern=pattern)) == words


def test_a_report_holds_several_patterns_of_a_task(tmp_path: Path) -> None:
    several = [results(SCORES, "recreate", pattern=pattern) for pattern in ("random:0.5", "gap:5")]
    write_report(tmp_path, title="Holes", summary=[], results=several, samples=[], curves=None)
    written = set(files(tmp_path))
    assert {"plots/recreate_random_0.5_lstm_ssim.svg", "plots/recreate_gap_5_lstm_ssim.svg"} <= written
    assert (tmp_path / "report.md").read_text().count("### Recreation by lstm: 10 frames, gap:5 hidden") == 2
    with pytest.raises(ConfigError, match="recreate_gap_5_lstm twice"):
        write_report(tmp_path, title="", summary=[], results=several[1:] * 2, samples=[], curves=None)


def test_a_report_holds_several_models_and_patterns_of_a_task(tmp_path: Path) -> None:
    shown = [("lstm", "random:0.5"), ("lstm", "gap:5"), ("other", "gap:5")]
    several = [results(SCORES, "recreate", model=model, pattern=pattern) for model, pattern in shown]
    samples = [
        replace(sample("recreate", clip=clip, model=model), pattern=pattern)
        for clip in (0, 1)
        for model, pattern in shown
    ]
    path = write_report(tmp_path, title="Two", summary=[], results=several, samples=samples, curves=None)
    stems = ["recreate_random_0.5_lstm", "recreate_gap_5_lstm", "recreate_gap_5_other"]
    assert {name for name in files(tmp_path) if name.endswith((".gif", "_ssim.svg"))} == {
        *(f"gifs/{stem}_clip_{clip}.gif" for stem in stems for clip in (0, 1)),
        *(f"plots/{stem}_ssim.svg" for stem in stems),
    }
    # The clips of one model and pattern stand together, under a heading of their own.
    headings = ["Recreation (random:0.5) by lstm", "Recreation (gap:5) by lstm", "Recreation (gap:5) by other"]
    clips = [f"{heading}, clip {clip}." for heading in headings for clip in (0, 1)]
    text = Page(path.read_text("utf-8")).text
    assert sorted(clips, key=text.index) == clips
    assert [line[4:] for line in (tmp_path / "report.md").read_text().splitlines() if line.startswith("### ")][:3] == [
        *headings
    ]
    for result in several:
        assert text.count(heading(result)) == 2  # its scores, and how they were measured


def test_every_metric_can_be_shown() -> None:
    assert set(METRICS) == set(DEFINITIONS)
    higher = {name for name, metric in METRICS.items() if metric.higher_is_better}
    assert higher == {"ssim", "ssim_openstl", "psnr", "bin_accuracy", "bin_f1", "bin_iou"}


def test_best_is_bold_even_where_a_baseline_wins() -> None:
    table = markdown_table(results(SCORES))
    cells = {line.split(" | ")[0].strip("| "): line for line in table.splitlines() if line.startswith("|")}
    assert "ssim ↑ (1 = equal)" in table
    assert "mse_frame ↓ (sum per frame)" in table
    grey = [line for line in table.splitlines() if line.startswith("|")][:5]
    assert grey[2:] == [
        "| lstm | **118.0** | 0.600 |",
        "| black | 173.0 | **0.800** |",
        "| copy_last | 284.0 | 0.600 |",
    ]
    assert cells["lstm"] == "| lstm | **95.30%** | **0.500** |"
    assert cells["copy_last"] == "| copy_last | 91.60% | n/a |"


def test_equal_scores_are_all_bold() -> None:
    table = markdown_table(results({"lstm": {"ssim": 0.5}, "black": {"ssim": 0.50001}, "copy_last": {"ssim": 0.4}}))
    assert table.count("**0.500**") == 2
    assert "| 0.400 |" in table


def test_model_comes_first() -> None:
    table = markdown_table(results({"black": {"mse": 0.5}, "lstm": {"mse": 0.1}}))
    assert table.index("lstm") < table.index("black")


def test_findings_in_plain_words() -> None:
    accuracy, best, lost = findings(results(SCORES))
    assert "95.0% accuracy" in accuracy
    assert "in 3 of 4 scores" in best
    assert lost == "black is better in ssim (0.800 against 0.600)."


def test_findings_leave_out_what_cannot_be_said() -> None:
    assert findings(results({"lstm": {"mse": 0.1}})) == []
    bright = {"lstm": {"bin_accuracy": 0.7}, "black": {"bin_accuracy": 0.3}}
    assert not any("black" in sentence.lower() for sentence in findings(results(bright)))


# The page


class Page(HTMLParser):
    """Notes what a browser would, and fails on tags that are not closed."""

    void = frozenset({"meta", "link", "img", "source", "br"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_page_is_self_contained_and_accessible(run: Path) -> None:
    text = (run / "report.html").read_text("utf-8")
    page = Page(text)
    assert not {"script", "iframe", "object"} & {tag for tag, _ in page.tags}
    sources = [(a.get("src") or a.get("srcset") or a.get("href") or "") for _, a in page.tags]
    assert all(source.startswith("data:") for source in sources if source)
    assert "url(" not in text
    assert "@import" not in text
    assert len(page.all("img")) == 3 * 2 + 10
    assert all(image["alt"] for image in page.all("img"))
    assert all(head["scope"] in ("col", "row") for head in page.all("th"))
    assert [tag for tag, _ in page.tags if tag == "h1"] == ["h1"]
    assert "prefers-color-scheme: dark" in text
    order = ["An autoencoder was trained.", "Pictures", "Scores", "Curves", "How it was measured", "c0ffee"]
    found = [page.text.index(words) for words in order]
    assert found == sorted(found)


def test_text_is_escaped(tmp_path: Path) -> None:
    hostile = results({HOSTILE: SCORES["lstm"], "black": SCORES["black"]}, model=HOSTILE)
    hostile = replace(hostile, conventions={HOSTILE: HOSTILE})
    drawn = [sample(model=HOSTILE)]
    path = write_report(tmp_path, title=HOSTILE, summary=[HOSTILE], results=[hostile], samples=drawn, curves=CURVES)
    page = Page(path.read_text("utf-8"))
    assert page.all("script") == []
    assert HOSTILE in page.text
    assert any(HOSTILE in (image["alt"] or "") for image in page.all("img"))
    table = next(line for line in (tmp_path / "report.md").read_text("utf-8").splitlines() if "118.0" in line)
    assert table.replace(r"\|", "").count("|") == 4


# Inputs


def test_curves_are_read_from_lightnings_csv(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(
        "epoch,step,train/clips_per_second,train/loss,train/seconds,validation/loss,validation/seconds\n"
        "0,9,30.0,0.7,1.5,,\n0,19,31.0,0.5,3.0,,\n0,19,,,,0.6,4.0\n",
        "utf-8",
    )
    assert TrainingCurves.read(path) == TrainingCurves([1.5, 3.0], [9, 19], [0.7, 0.5], [4.0], [19], [0.6])


@pytest.mark.parametrize(
    "text", ["", "step,train/loss\n", "step,train/loss\n1,0.5\n", "step,train/loss,train/seconds\n1,x,1\n"]
)
def test_other_files_are_no_curves(tmp_path: Path, text: str) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(DataError, match=r"metrics\.csv"):
        TrainingCurves.read(path)


def test_absent_curves(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="FileNotFoundError"):
        TrainingCurves.read(tmp_path / "metrics.csv")


def test_samples_that_do_not_fit() -> None:
    frames, prediction = sample().frames, sample().prediction
    for wrong in (prediction[:2], prediction[..., :8], prediction[:, 0]):
        with pytest.raises(ShapeError):
            Sample("forecast", "lstm", 0, 3, frames, wrong)
    with pytest.raises(ShapeError):
        Sample("forecast", "lstm", 0, 6, frames, prediction[:0])
    seen = np.ones(frames.shape, dtype=bool)
    for task, observed in (("recreate", None), ("recreate", seen[:2]), ("reconstruct", seen)):
        with pytest.raises(ShapeError, match="observed mask"):
            Sample(task, "lstm", 0, 6, frames, frames, observed)
    with pytest.raises(DataError, match="clip 7"):
        Sample("forecast", "lstm", 7, 3, frames, np.full_like(prediction, np.nan))


def test_the_same_task_or_clip_twice(tmp_path: Path) -> None:
    arguments = {"title": "", "summary": [], "curves": None}
    with pytest.raises(ConfigError, match="results with forecast_lstm twice"):
        write_report(tmp_path, results=[results(SCORES)] * 2, samples=[], **arguments)
    with pytest.raises(ConfigError, match="forecast_lstm_clip_3 twice"):
        write_report(tmp_path, results=[], samples=[sample(), sample()], **arguments)
    assert files(tmp_path) == {}


# Disks


def test_a_full_disk_harms_nothing(run: Path, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="limits of POSIX systems")
    shutil.copytree(run, tmp_path, dirs_exist_ok=True)
    before = files(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before["report.html"]) // 2, hard))
    try:
        with pytest.raises(OutputError, match=r"report\.html"):
            write(tmp_path, title="Another run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    after = files(tmp_path)
    assert set(after) == set(before)  # nothing half-written is left behind
    assert {name for name in after if after[name] != before[name]} <= {"report.md"}


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    with pytest.raises(OutputError):
        write(tmp_path / "run")
    assert (tmp_path / "run").read_text() == "mine"


def test_importing_it_is_cheap() -> None:
    code = (
        "import sys, frame_forecast.report;"
        "print([name for name in ('torch', 'matplotlib', 'PIL', 'lightning') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
