"""The forecaster with a model that fills holes: windows, rolling on, passes, and the observed bits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from frame_forecast import canvases
from frame_forecast.call import Cancelled
from frame_forecast.clip import Clip, ValueScale
from frame_forecast.errors import DataError, FrameForecastWarning, ShapeError
from frame_forecast.predict import Forecaster
from frame_forecast.windows import Missing, around
from stand_in import LONGEST, StandIn, forecaster

pytestmark = pytest.mark.filterwarnings("error::frame_forecast.errors.FrameForecastWarning")


@pytest.fixture
def filler() -> Forecaster:
    return forecaster()


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def holes(*shape: int) -> np.ndarray:
    """An observed mask with scattered holes, and every third frame missing."""
    observed = np.random.default_rng(1).random(shape) > 0.3
    observed[2::3] = False
    return observed


def answer(frames: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """The model itself on a clip ``(T, H, W)``."""
    frames = np.nan_to_num(frames)[None, :, None]
    # A copy: what a mask was broadcast to cannot be written to.
    return StandIn()(torch.from_numpy(frames), torch.from_numpy(observed.copy())[None, :, None])[0, :, 0].numpy()


def by_frame(frames: np.ndarray, observed: np.ndarray, passes: int) -> np.ndarray:
    """Each frame by itself from the window that holds it most centrally, hidden with its fellows of the pass."""
    T = len(frames)
    length = min(T, LONGEST)
    starts = sorted({*range(0, T - length, max(1, length // 2)), T - length})
    made = np.empty_like(frames)
    for t in range(T):
        start = min(starts, key=lambda s: abs(t - s - (length - 1) / 2))
        mask = observed.copy()
        if passes > 1:
            mask[[u for u in range(T) if u % passes == t % passes]] = False
        window = slice(start, start + length)
        made[t] = answer(frames[window], mask[window])[t - start]
    return made


def in_windows(frames: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Each frame from the window that keeps it; 0 where none does."""
    missing = Missing(LONGEST)
    for mask in observed:
        missing.add(mask[None])
    made = np.zeros_like(frames)
    for window in around(*missing.spans(), LONGEST):
        there = slice(window.frames.start, window.frames.stop)
        predicted = answer(frames[there], observed[there])
        for t in window.kept:
            made[t] = predicted[t - window.frames.start]
    return made


@pytest.mark.parametrize("T", [3, LONGEST, LONGEST + 1, 30])
def test_recreate_fills_each_frame_from_a_window_around_it(T: int, filler: Forecaster) -> None:
    x, observed = noise(T, 8, 8), holes(T, 8, 8)
    result = filler.recreate(x, observed)
    np.testing.assert_allclose(result, np.where(observed, x, in_windows(x, observed)), atol=1e-6)
    assert not np.allclose(result[~observed], x[~observed])


@pytest.mark.parametrize("T", [6, LONGEST, LONGEST + 1, 30])
@pytest.mark.parametrize("complete", [True, False])
def test_reconstruct_predicts_each_frame_from_the_others(T: int, complete: bool, filler: Forecaster) -> None:
    x = noise(T, 8, 8)
    observed = np.ones_like(x, bool) if complete else holes(T, 8, 8)
    x[~observed] = np.nan
    np.testing.assert_allclose(filler.reconstruct(x), by_frame(x, observed, 4), atol=1e-6)
    filler.model.passes = 1
    np.testing.assert_allclose(filler.reconstruct(x), by_frame(x, observed, 1), atol=1e-6)


def test_a_frame_never_shows_in_its_own_reconstruction(filler: Forecaster) -> None:
    x = noise(13, 8, 8)
    before = filler.reconstruct(x)
    x[6] = 1 - x[6]
    after = filler.reconstruct(x)
    assert np.array_equal(after[6], before[6])
    assert not np.array_equal(after[5], before[5])


@pytest.mark.parametrize("kind", ["numpy", "torch", "clip", "masked"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float16, np.float32, np.float64])
def test_observed_pixels_are_bit_for_bit_what_came_in(dtype: type, kind: str, filler: Forecaster) -> None:
    unit, observed = noise(20, 2, 8, 8), holes(20, 1, 8, 8)
    x = unit.astype(dtype) if np.issubdtype(dtype, np.floating) else (unit * np.iinfo(dtype).max).astype(dtype)
    before = x.tobytes()
    seen = np.broadcast_to(observed, x.shape)
    given: Any = x
    mask: Any = observed
    if kind == "torch":
        given, mask = torch.from_numpy(x), torch.from_numpy(observed)
    elif kind == "clip":
        given, mask = Clip.from_array(x, observed), None
    elif kind == "masked":
        given, mask = np.ma.MaskedArray(x, ~seen), None
    result: Any = filler.recreate(given, mask)
    assert type(result) is type(given)
    values = result.values if kind == "clip" else np.asarray(result)
    assert values.dtype == x.dtype
    assert values[seen].tobytes() == x[seen].tobytes()
    assert (values[~seen] != x[~seen]).mean() > 0.8
    assert x.tobytes() == before
    if kind == "clip":
        assert result.observed.all()


def test_a_bfloat16_tensor_keeps_its_observed_bits(filler: Forecaster) -> None:
    x, observed = torch.from_numpy(noise(9, 8, 8)).bfloat16(), torch.from_numpy(holes(9, 8, 8))
    result = filler.recreate(x, observed)
    assert result.dtype == torch.bfloat16
    assert torch.equal(result[observed].view(torch.int16), x[observed].view(torch.int16))
    assert not torch.equal(result, x)


def test_what_missing_pixels_hold_is_never_seen(filler: Forecaster) -> None:
    x, observed = noise(20, 8, 8), holes(20, 8, 8)
    expected = filler.recreate(x, observed)
    for value in (np.nan, np.inf, 0.0, 1.0):
        assert np.array_equal(filler.recreate(np.where(observed, x, np.float32(value)), observed), expected)
    assert np.array_equal(filler.recreate(np.where(observed, x, np.float32(np.nan))), expected)
    elsewhere = filler.recreate(np.where(observed, x, np.float32(1e6)), observed)  # not even its range
    assert np.array_equal(elsewhere, expected)


@pytest.mark.parametrize(
    ("shape", "mask"),
    [
        ((6, 8, 8), (6, 8, 8)),
        ((6, 8, 8), (6, 1, 1)),
        ((6, 8, 8), (8, 8)),
        ((6, 8, 8), (6, 1, 8, 8)),
        ((6, 2, 8, 8), (6, 1, 8, 8)),
        ((6, 2, 8, 8), (6, 1, 1, 1)),
        ((3, 6, 2, 8, 8), (6, 1, 8, 8)),
        ((3, 6, 2, 8, 8), (3, 6, 1, 8, 8)),
        ((3, 6, 2, 8, 8), (3, 1, 1, 1, 8)),
    ],
)
def test_masks_broadcast(shape: tuple[int, ...], mask: tuple[int, ...], filler: Forecaster) -> None:
    x = noise(*shape)
    observed = np.random.default_rng(2).random(mask) > 0.4
    full = np.broadcast_to(observed[:, 0] if len(shape) < len(mask) else observed, shape)
    result = filler.recreate(x, observed)
    assert np.array_equal(result[full], x[full])
    assert not np.isin(result[~full], x[~full]).any()


@pytest.mark.parametrize("kind", [np.asarray, Clip.from_array])
@pytest.mark.parametrize(
    ("mask", "error"), [(np.ones((5, 1, 1, 1), bool), ShapeError), (np.ones((6, 1, 1, 1), int), DataError)]
)
def test_masks_that_do_not_fit_are_refused(mask: np.ndarray, error: type, kind: Any, filler: Forecaster) -> None:
    with pytest.raises(error, match="mask"):
        filler.recreate(kind(noise(6, 1, 8, 8)), mask)


def test_a_batch_equals_its_clips_and_cancel_is_asked_between(filler: Forecaster) -> None:
    x, observed = noise(5, 20, 1, 8, 8), np.stack([holes(20, 1, 8, 8) for _ in range(5)])
    observed[1, :, :] = True  # nothing to do
    observed[2, :14] = True  # less to do
    told: list[tuple[int, int]] = []
    together = filler.recreate(x, observed, progress=lambda done, total: told.append((done, total)))
    assert np.array_equal(together[1], x[1])
    for i in range(5):
        np.testing.assert_allclose(filler.recreate(x[i], observed[i]), together[i], atol=1e-6)
    missing = Missing(LONGEST)
    for mask in observed[0]:
        missing.add(mask)
    most = len(around(*missing.spans(), LONGEST))
    ((done, total),) = told  # nothing for clip 1, less for clip 2
    assert 3 * most < done == total < 4 * most
    asked: list[int] = []
    with pytest.raises(Cancelled):
        filler.reconstruct(x, progress=lambda done, _: asked.append(done), cancel=lambda: len(asked) == 2)
    assert asked == [16, 32]


def test_large_frames_go_through_in_small_groups(filler: Forecaster, monkeypatch: pytest.MonkeyPatch) -> None:
    x, observed = noise(3, 8, 1, 8, 8), holes(8, 1, 8, 8)
    expected = filler.recreate(x, observed)
    monkeypatch.setattr(canvases, "_PIXELS_AT_ONCE", 1)
    told: list[int] = []
    np.testing.assert_allclose(filler.recreate(x, observed, progress=lambda d, _: told.append(d)), expected, atol=1e-6)
    assert told == [1, 2, 3]


def test_nothing_missing_gives_the_same_back_and_runs_nothing(filler: Forecaster) -> None:
    x = noise(20, 8, 8)
    result = filler.recreate(x, progress=lambda *_: pytest.fail("a canvas was run"))
    assert np.array_equal(result, x)
    assert not np.shares_memory(result, x)


def test_units_and_times_are_kept(filler: Forecaster) -> None:
    x, observed, times = 250 + 100 * noise(9, 1, 8, 8), holes(9, 1, 8, 8), np.arange(9.0)
    clip = Clip(x, observed, ValueScale(200, 400), times, "radar")
    result = filler.recreate(clip)
    assert (result.scale, result.source, result.times) == (clip.scale, "radar", times)
    assert result.values.min() >= 200
    filled = in_windows(clip.scale.to_unit(x)[:, 0], observed[:, 0])
    np.testing.assert_allclose(result.values[:, 0], np.where(observed[:, 0], x[:, 0], 200 + 200 * filled), atol=1e-3)
    more = clip.observed & (np.arange(9) != 4).reshape(9, 1, 1, 1)
    fewer = filler.recreate(clip, np.arange(9).reshape(9, 1, 1, 1) != 4)
    assert np.array_equal(fewer.values, filler.recreate(Clip(x, more, clip.scale)).values)


@pytest.mark.parametrize("given", [2, 4, 5, 12])
@pytest.mark.parametrize("horizon", [1, 2, 3])
def test_a_forecast_sees_what_the_trained_length_leaves(given: int, horizon: int, filler: Forecaster) -> None:
    x = noise(given, 8, 8)
    kept = min(given, LONGEST - horizon)
    canvas = np.concatenate([x[-kept:], np.zeros((horizon, 8, 8), np.float32)])
    observed = np.broadcast_to((np.arange(len(canvas)) < kept)[:, None, None], canvas.shape).copy()
    np.testing.assert_allclose(filler.forecast(x, horizon), answer(canvas, observed)[kept:], atol=1e-6)


@pytest.mark.parametrize("given", [2, 5, 12])
def test_a_long_forecast_rolls_on_and_warns(given: int, filler: Forecaster) -> None:
    x, observed = noise(given, 8, 8), holes(given, 8, 8)
    x[~observed] = np.nan
    frames, mask = x, observed
    for step in (3, 3, 1):  # 7 frames
        kept = min(len(frames), LONGEST - step)
        canvas = np.concatenate([frames[-kept:], np.zeros((step, 8, 8), np.float32)])
        seen = np.concatenate([mask[-kept:], np.zeros((step, 8, 8), bool)])
        frames = np.concatenate([frames, answer(canvas, seen)[kept:]])
        mask = np.concatenate([mask, np.ones((step, 8, 8), bool)])
    told: list[tuple[int, int]] = []
    with pytest.warns(FrameForecastWarning, match="a horizon of 7 frames for stand_in, trained on 3") as caught:
        result = filler.forecast(x, 7, progress=lambda done, total: told.append((done, total)))
    assert [Path(warning.filename).name for warning in caught] == [Path(__file__).name]
    np.testing.assert_allclose(result, frames[given:], atol=1e-6)
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_model_trained_on_no_horizon_still_forecasts() -> None:
    with pytest.warns(FrameForecastWarning, match="trained on 0"):
        assert forecaster(horizon=0).forecast(noise(5, 8, 8), 2).shape == (2, 8, 8)


def test_a_missing_future_is_no_different_from_none(filler: Forecaster) -> None:
    """A canvas whose last frames are missing is a forecast."""
    x = noise(8, 8, 8)
    observed = (np.arange(8) < 5)[:, None, None]
    assert np.array_equal(filler.recreate(x, observed)[5:], filler.forecast(x[:5], 3))


@pytest.mark.parametrize("T", [1, 6, LONGEST])
def test_everything_missing_has_an_answer_and_a_warning(T: int, filler: Forecaster) -> None:
    x = np.full((T, 8, 8), np.nan, np.float32)
    with pytest.warns(FrameForecastWarning, match="nothing observed in a canvas of array: .*empty canvas"):
        result = filler.recreate(x)
    np.testing.assert_allclose(result, answer(x, np.zeros_like(x, bool)), atol=1e-6)
    with pytest.warns(FrameForecastWarning, match="nothing observed"):
        assert np.isfinite(filler.forecast(x, 2)).all()
    with pytest.warns(FrameForecastWarning, match="nothing observed"):
        assert np.isfinite(filler.reconstruct(x)).all()
    with pytest.warns(FrameForecastWarning, match="nothing observed"):
        assert filler.recreate(np.zeros((T, 8, 8), np.uint8), np.zeros((1, 1, 1), bool)).dtype == np.uint8


def test_one_frame_has_an_answer_and_a_warning(filler: Forecaster) -> None:
    with pytest.warns(FrameForecastWarning, match="one observed frame"):
        assert filler.forecast(noise(1, 8, 8), 3).shape == (3, 8, 8)
    with pytest.warns(FrameForecastWarning, match="one observed frame"):
        assert filler.recreate(noise(1, 8, 8), np.arange(8)[None] > 3).shape == (1, 8, 8)
    with pytest.warns(FrameForecastWarning, match="nothing observed"):  # the only frame is predicted from the others
        assert filler.reconstruct(noise(1, 8, 8)).shape == (1, 8, 8)
    x = noise(6, 8, 8)
    x[1:] = np.nan
    with pytest.warns(FrameForecastWarning, match="one observed frame"):
        assert np.array_equal(filler.recreate(x)[0], x[0])


@pytest.mark.parametrize("value", [0, 7])
def test_constant_frames_have_an_answer_and_a_warning(value: int, filler: Forecaster) -> None:
    x = np.full((6, 8, 8), value, np.uint8)
    for task in (
        lambda: filler.forecast(x, 2),
        lambda: filler.reconstruct(x),
        lambda: filler.recreate(x, holes(6, 8, 8)),
    ):
        with pytest.warns(FrameForecastWarning, match="one value"):
            task()


def test_a_gap_longer_than_the_trained_length_warns(filler: Forecaster) -> None:
    x = noise(30, 8, 8)
    x[8:25] = np.nan
    with pytest.warns(FrameForecastWarning, match="a canvas of 21 frames for stand_in, trained on 8"):
        filled = filler.recreate(x)
    x[8:25] = 0
    observed = np.broadcast_to(((np.arange(30) < 8) | (np.arange(30) >= 25))[:, None, None], x.shape)
    np.testing.assert_allclose(filled, np.where(observed, x, in_windows(x, observed)), atol=1e-6)


def test_a_warning_names_the_clips_once(filler: Forecaster) -> None:
    x = noise(4, LONGEST, 1, 8, 8)
    x[1:3] = np.nan
    with pytest.warns(FrameForecastWarning) as caught:
        filler.recreate(x)
    (warning,) = caught
    assert "nothing observed in a canvas of clip 1 and of 1 more" in str(warning.message)
