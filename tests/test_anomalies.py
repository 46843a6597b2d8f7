"""Scores of frames, against numbers worked out by hand and a loop written out."""

import csv
import math
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from frame_forecast.anomalies import COLUMNS, Scores, score_of
from frame_forecast.io.base import Frame
from frame_forecast.scale import ValueScale

NAN = math.nan
SCALE = ValueScale(0, 255)


def steady(count: int = 21) -> np.ndarray:
    """PSNR of 30 dB and 31 dB in turns."""
    return 30 + np.arange(count) % 2.0


def test_a_score_is_a_drop_in_robust_standard_deviations() -> None:
    psnr = np.random.default_rng(0).normal(30, 1.5, 60)
    psnr[29:32] = 24, 15, 24

    def drop(t: int) -> float:
        return median([psnr[t + k] for k in (-4, -3, -2, 2, 3, 4) if 0 <= t + k < 60]) - psnr[t]

    for t in range(60):
        others = [abs(drop(s)) for s in range(max(0, t - 15), min(60, t + 16)) if s != t]
        score, flagged = score_of(psnr, t)
        assert score == pytest.approx(drop(t) / max(1.4826 * median(others), 0.5))
        assert flagged == (t == 30)


@pytest.mark.parametrize(
    ("values", "flagged"),
    [
        ([24, 20, 24], True),
        ([21, 20, 24], False),  # one beside is as bad, nearly: both sides of a cut
        ([24, 20, 21], False),
        ([30, 29, 30], False),
        ([40, 45, 40], False),  # better than usual
        ([NAN, 20, NAN], True),
    ],
)
def test_only_peaks_are_flagged(values: list[float], flagged: bool) -> None:
    psnr = steady()
    psnr[9:12] = values
    assert score_of(psnr, 10)[1] is flagged


@pytest.mark.parametrize("place", [0, 20])
def test_ends_are_never_flagged(place: int) -> None:
    psnr = steady()
    psnr[place] = 10
    score, flagged = score_of(psnr, place)
    assert score > 10
    assert not flagged


def test_errors_that_do_not_vary_are_taken_to_vary_a_little() -> None:
    psnr = np.full(21, 40.0)
    psnr[10] = 39
    assert score_of(psnr, 10) == (pytest.approx(1 / 0.5), False)


def test_too_few_frames_have_no_score() -> None:
    assert math.isnan(score_of(steady(4), 1)[0])
    missing = steady()
    missing[10] = NAN
    assert math.isnan(score_of(missing, 10)[0])
    assert math.isnan(score_of(np.full(21, NAN), 10)[0])


def table(path: Path, frames: list[Frame], made: list[tuple[np.ndarray, np.ndarray]], ahead: int) -> list[list[str]]:
    """The rows, where the model looks so many frames ahead."""
    scores = Scores(SCALE)
    watched = scores.watch(frames)
    with scores.into(path):
        for _ in range(ahead):
            next(watched)
        for one in made:
            next(watched, None)
            scores.add(*one)
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    assert tuple(rows[0]) == COLUMNS
    assert scores.flagged == sum(row[-1] == "true" for row in rows)
    return rows[1:]


def test_a_stream_gives_what_all_frames_together_give(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    T = 80
    truth = rng.integers(0, 256, (T, 1, 4, 5), dtype=np.uint8)
    guess = np.clip(truth + rng.normal(0, rng.uniform(1, 6, (T, 1, 1, 1)), truth.shape), 0, 255).astype(np.uint8)
    guess[33] = 255 - truth[33]
    observed = rng.random((T, 1, 4, 5)) < 0.8
    observed[[20, 21]] = False
    made = rng.random((T, 1, 4, 5)) < 0.9
    frames = [Frame(truth[t], observed[t], t / 25) for t in range(T)]
    rows = table(tmp_path / "scores.csv", frames, list(zip(guess, made, strict=True)), ahead=7)
    psnr = np.full(T, NAN)
    for t in range(T):
        known = (observed[t] & made[t])[0]
        if known.any():
            error = (truth[t, 0, known].astype(float) - guess[t, 0, known]) ** 2
            psnr[t] = -10 * np.log10(error.mean() / 255**2)
            assert float(rows[t][2]) == pytest.approx(np.sqrt(error.mean()), rel=1e-4)
    for t, row in enumerate(rows):
        score, flagged = score_of(psnr[max(0, t - 19) : t + 20], min(t, 19))
        assert (int(row[0]), float(row[1])) == (t, pytest.approx(t / 25))
        assert row[3] == ("" if np.isnan(psnr[t]) else f"{psnr[t]:.2f}")
        assert row[4] == ("" if np.isnan(score) else f"{score:.2f}")
        assert row[5] == str(flagged).lower()
    assert len(rows) == T
    assert rows[20][2:] == ["", "", "", "false"]
    assert rows[33][5] == "true"


def test_what_is_not_observed_says_nothing(tmp_path: Path) -> None:
    values = np.zeros((1, 2, 3), np.float32)
    seen = np.ones((1, 2, 3), bool)
    seen[0, 0, 0] = False
    bad = values.copy()
    bad[0, 0, 0] = np.nan
    rows = table(tmp_path / "scores.csv", [Frame(bad, seen)] * 3, [(values, np.ones_like(seen))] * 3, ahead=0)
    assert rows == [[str(t), "", "0", "100.00", "", "false"] for t in range(3)]


def test_nothing_is_left_of_a_table_that_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Scores(SCALE).into(tmp_path / "scores.csv"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
