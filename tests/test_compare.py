"""Which method is taken where two are alike, and what errors are expected where more changes than on the probes."""

import numpy as np
import pytest

from frame_forecast import predict
from frame_forecast.changes import Changes
from frame_forecast.clip import Clip
from frame_forecast.compare import Comparison
from frame_forecast.places import Place
from frame_forecast.probes import Part, Probe
from frame_forecast.scale import ValueScale

T = 8


def noise(seed: int, amplitude: float = 20) -> np.ndarray:
    return (128 + amplitude * np.random.default_rng(seed).standard_normal((T, 1, 8, 8))).astype(np.float32)


def clip(values: np.ndarray, missing: int) -> Clip:
    observed = np.ones((T, 1, 8, 8), bool)
    observed[missing] = False
    return Clip(values, observed, ValueScale(0, 255), source="a test")


def probe(values: np.ndarray, missing: int) -> Probe:
    part = clip(values, missing)
    return Probe(Place(range(T), [missing], [missing], [1]), [Part(part, ~part.observed)])


def compared(probes: list[Probe], changes: Changes, *names: str) -> Comparison:
    comparison = Comparison(probes, {1: 1.0}, changes, "recreate", 0, 60, [])
    comparison.run({name: predict.load(name, "cpu") for name in names}, lambda done, total: None)
    return comparison


@pytest.mark.parametrize(
    ("decibels", "first"),
    [([1.0, -0.8, 1.1, -0.9, 0.9, -0.7], "earlier"), ([0.2, 0.1, 0.15, 0.1, 0.2, 0.15], "later")],
    ids=["now better, now worse", "always a little better"],
)
def test_one_is_taken_that_is_better_beyond_chance_and_otherwise_the_first(decibels: list[float], first: str) -> None:
    comparison = Comparison([probe(noise(seed), 4) for seed in range(6)], {1: 1.0}, Changes(), "recreate", 0, 60, [])
    errors = {"earlier": [0.0] * 6, "later": decibels}
    comparison.errors = {
        name: [{(4, 1): np.array([10 ** (-2 - x / 10), 1.0, 1.0])} for x in better] for name, better in errors.items()
    }
    assert comparison.psnr("later") > comparison.psnr("earlier")
    assert comparison.ranked()[0] == first


@pytest.mark.parametrize("names", [("copy_last", "mean_frame"), ("mean_frame", "copy_last")])
def test_one_that_is_better_on_every_probe_is_taken_wherever_it_stands(names: tuple[str, str]) -> None:
    comparison = compared([probe(noise(seed), 4) for seed in range(6)], Changes.of(clip(noise(9), 4)), *names)
    assert comparison.ranked() == ["mean_frame", "copy_last"]


def test_expected_errors_grow_with_what_changes_across_the_real_gaps() -> None:
    probes = [probe(noise(seed), 4) for seed in range(6)]
    usual, wilder = (compared(probes, Changes.of(clip(noise(0, by), 4)), "linear") for by in (20, 40))
    # Four times the squared change; the twentieth that is added to all keeps a little of that back.
    ratio = wilder.rmse("linear") / usual.rmse("linear")
    assert ratio == pytest.approx((4.05 / 1.05) ** (0.7 / 2), rel=0.02)
    expected = [one.by_distance("linear")[0].rmse for one in (usual, wilder)]
    assert expected[1] / expected[0] == pytest.approx(ratio)


def test_a_few_pixels_that_are_missing_besides_hardly_count() -> None:
    probes = [probe(noise(seed), 4) for seed in range(6)]
    real = clip(noise(0), 4)
    expected = compared(probes, Changes.of(real), "linear").rmse("linear")
    real.values[1, 0, 0, 0] = 500
    real.observed[2, 0, 0, 0] = False
    assert compared(probes, Changes.of(real), "linear").rmse("linear") < 1.5 * expected  # 4 times if frames were equal


def test_where_no_change_is_known_errors_are_expected_as_on_the_probes() -> None:
    probes = [probe(noise(seed), 4) for seed in range(3)]
    comparison = compared(probes, Changes(), "linear")
    errors = [noise(seed)[4] - (noise(seed)[3] + noise(seed)[5]) / 2 for seed in range(3)]
    assert comparison.rmse("linear") == pytest.approx(float(np.sqrt(np.mean(np.square(errors)))), rel=1e-4)
