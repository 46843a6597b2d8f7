"""Scores of events against examples worked by hand and against Roberts and Lean's equations as loops."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from frame_forecast.errors import ConfigError
from frame_forecast.verification import DEFINITIONS, EventScores, UnitScores


def frames(*rows: list[float]) -> Tensor:
    """A frame of these rows as a batch of one step."""
    return torch.tensor(rows).view(1, 1, 1, len(rows), -1)


def scores(meter: EventScores | UnitScores, *batch: Tensor) -> dict[str, float]:
    meter.update(*batch)
    return {name: score.overall for name, score in meter.compute().items()}


def fss_loop(forecast: np.ndarray, truth: np.ndarray, scored: np.ndarray, threshold: float, size: int) -> float:
    """Roberts and Lean 2008, equations 1 to 7, pixel by pixel; beyond the border there is no event."""
    H, W = truth.shape
    events = [(values >= threshold) & scored for values in (forecast, truth)]
    reach = size // 2
    fractions = np.zeros((2, H, W))
    for which, i, j in np.ndindex(2, H, W):
        for y in range(max(0, i - reach), min(H, i + reach + 1)):
            for x in range(max(0, j - reach), min(W, j + reach + 1)):
                fractions[which, i, j] += events[which][y, x] / size**2
    M, O = (fraction[scored] for fraction in fractions)  # noqa: E741 - as in the paper
    mse, reference = ((O - M) ** 2).sum(), (O**2).sum() + (M**2).sum()
    return 1 - mse / reference


def test_counts_of_a_worked_example() -> None:
    truth = frames([5.0, 1.0, 0.0, 2.0], [0.5, 1.0, 9.0, 0.0])
    forecast = frames([1.0, 0.9, 1.0, 3.0], [2.0, 4.0, 0.0, 0.0])
    # At 1: hits are the 1st, 4th and 6th value, misses the 2nd and 7th, false alarms the 3rd and 5th.
    found = scores(EventScores(1.0), forecast, truth)
    assert list(found) == ["base_rate", "csi", "pod", "far", "fss_1", "fss_5", "fss_21"]
    assert found["base_rate"] == pytest.approx(5 / 8)
    assert found["csi"] == pytest.approx(3 / 7)
    assert found["pod"] == pytest.approx(3 / 5)
    assert found["far"] == pytest.approx(2 / 5)
    assert found["fss_1"] == pytest.approx(2 * 3 / (5 + 5))
    assert found.keys() <= DEFINITIONS.keys()


def test_what_is_not_scored_counts_nowhere() -> None:
    truth = frames([5.0, math.nan, 0.0, 9.0])
    forecast = frames([5.0, 5.0, 5.0, 0.0])
    scored = torch.tensor([True, False, True, False]).view(1, 1, 1, 1, 4)
    found = scores(EventScores(1.0), forecast, truth, scored)  # a hit and a false alarm are left
    assert (found["base_rate"], found["csi"], found["pod"], found["far"]) == pytest.approx((0.5, 0.5, 1.0, 0.5))
    assert found["fss_1"] == pytest.approx(2 / 3)
    assert scores(UnitScores(), forecast, truth, scored) == pytest.approx({"mae": 2.5, "mse": 12.5})


def test_counts_are_summed_over_windows_for_each_lead_time() -> None:
    truth, forecast = torch.zeros(2, 2, 1, 2, 2), torch.zeros(2, 2, 1, 2, 2)
    truth[0, 0, 0, 0, 0] = forecast[0, 0, 0, 0, 0] = 1  # a hit in the first window,
    forecast[1, 0] = 1  # four false alarms in the second: the mean of their CSI would be 0.5
    truth[:, 1] = 1
    meter, first, second = (EventScores(0.5) for _ in range(3))
    meter.update(forecast, truth)
    first.update(forecast[:1], truth[:1])
    second.update(forecast[1:], truth[1:])
    first.merge(second)
    for one in (meter, first):
        found = one.compute()
        assert found["csi"].per_lead_time == pytest.approx([1 / 5, 0])
        assert found["csi"].overall == pytest.approx(1 / 13)
        assert found["far"].per_lead_time == pytest.approx([4 / 5, math.nan], nan_ok=True)


def test_a_perfect_forecast() -> None:
    truth = torch.rand((2, 3, 2, 9, 8), generator=torch.Generator().manual_seed(0))
    found = scores(EventScores(0.5), truth, truth)
    assert (found["csi"], found["pod"], found["far"]) == (1, 1, 0)
    for size in (1, 5, 21):
        assert found[f"fss_{size}"] == pytest.approx(1, abs=1e-12)
    assert scores(UnitScores(), truth, truth) == {"mae": 0, "mse": 0}


def test_a_ratio_without_events_is_undefined() -> None:
    rain, none = torch.ones(1, 1, 1, 4, 4), torch.zeros(1, 1, 1, 4, 4)
    undefined = {
        "neither": ((none, none), {"csi", "pod", "far", "fss_1", "fss_5", "fss_21"}),
        "in the truth alone": ((none, rain), {"far"}),
        "in the forecast alone": ((rain, none), {"pod"}),
    }
    for where, (pair, names) in undefined.items():
        found = scores(EventScores(0.5), *pair)
        assert {name for name, value in found.items() if math.isnan(value)} == names, where
    assert scores(EventScores(0.5), rain, none)["csi"] == 0


def test_a_value_at_the_threshold_is_an_event() -> None:
    for threshold in (0.1, 7.010299956639812, 128.0):
        at = torch.full((1, 1, 1, 2, 2), threshold)
        below = torch.full_like(at, float(np.nextafter(np.float32(threshold), np.float32(0))))
        assert scores(EventScores(threshold), at, at)["base_rate"] == 1
        assert scores(EventScores(threshold), below, below)["base_rate"] == 0


def test_a_forecast_that_is_no_number_gets_no_score() -> None:
    forecast, truth = torch.ones(1, 1, 1, 4, 4), torch.ones(1, 1, 1, 4, 4)
    forecast[..., 0] = math.nan
    found = scores(EventScores(0.5), forecast, truth) | scores(UnitScores(), forecast, truth)
    assert {name for name, value in found.items() if not math.isnan(value)} == {"base_rate"}


def test_fss_of_a_worked_example() -> None:
    truth, forecast = torch.zeros(1, 1, 1, 5, 5), torch.zeros(1, 1, 1, 5, 5)
    truth[..., 2, 1] = forecast[..., 2, 3] = 1
    found = scores(EventScores(1.0, sizes=(1, 3, 5)), forecast, truth)
    assert found["fss_1"] == 0
    # 3x3: each is seen from 9 pixels, 3 of them see both.
    assert found["fss_3"] == pytest.approx(2 * 3 / (9 + 9))
    # 5x5: from 4 columns of 5, 3 of them in common.
    assert found["fss_5"] == pytest.approx(2 * 15 / (20 + 20))


@pytest.mark.parametrize("size", [1, 3, 5, 21])
def test_fss_by_the_equations(size: int) -> None:
    rng = np.random.default_rng(3)
    truth, forecast = rng.random((2, 13, 10))
    scored = rng.random((13, 10)) > 0.2
    scored[:4, :3] = False
    batch = (torch.from_numpy(one)[None, None, None] for one in (forecast, truth, scored))
    expected = fss_loop(forecast, truth, scored, 0.7, size)
    assert scores(EventScores(0.7, (size,)), *batch)[f"fss_{size}"] == pytest.approx(expected, rel=1e-6)


@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 6))
def test_fss_of_a_displaced_feature_grows_with_the_window(side: int, right: int, down: int) -> None:
    truth, forecast = torch.zeros(1, 1, 1, 60, 60), torch.zeros(1, 1, 1, 60, 60)
    truth[..., 25 : 25 + side, 25 : 25 + side] = 1
    forecast[..., 25 + down : 25 + down + side, 25 + right : 25 + right + side] = 1
    sizes = (1, 3, 5, 9, 15, 21)
    found = scores(EventScores(1.0, sizes), forecast, truth)
    fss = [found[f"fss_{size}"] for size in sizes]
    assert fss == sorted(fss)
    assert 0 <= fss[0] < fss[-1] <= 1


def test_errors_in_the_units_of_what_is_scored() -> None:
    truth, forecast = frames([270.0, 280.0, 290.0, 300.0]), frames([271.0, 280.0, 287.0, 300.0])
    assert scores(UnitScores(), forecast, truth) == pytest.approx({"mae": 1.0, "mse": 2.5})


@pytest.mark.parametrize("size", [0, -3, 4])
def test_windows_have_a_centre(size: int) -> None:
    with pytest.raises(ConfigError, match="odd"):
        EventScores(1.0, (1, size))
