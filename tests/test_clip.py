"""Clips, batches and scales: round trips, contracts, errors."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from frame_forecast.clip import Batch, Clip, ValueScale
from frame_forecast.errors import DataError, ShapeError
from frame_forecast.scale import ScaleKind

LIMITS = st.floats(-1e6, 1e6).flatmap(lambda low: st.tuples(st.just(low), st.floats(low + 1e-3, low + 1e6)))


@given(
    st.sampled_from([np.uint8, np.uint16, np.int8, np.int16]).flatmap(
        lambda t: arrays(t, 20, elements={"min_value": 0})
    )
)
def test_integers_come_back_exactly(values: np.ndarray) -> None:
    scale = ValueScale.of_dtype(values.dtype)
    unit = scale.to_unit(values)
    assert unit.dtype == np.float32
    back = scale.from_unit(unit, values.dtype)
    assert back.dtype == values.dtype
    assert np.array_equal(back, values)


@pytest.mark.parametrize("kind", ["linear", "logarithmic", "log1p"])
@pytest.mark.parametrize("dtype", ["u1", ">u2", "f4"])
def test_units_are_converted_in_float64_but_in_little_memory(dtype: str, kind: ScaleKind) -> None:
    values = np.random.default_rng(0).integers(0, 256, (60, 2, 64, 64)).astype(dtype)
    scale = ValueScale(3.0, 200.0, kind)
    tracemalloc.start()
    try:
        unit = scale.to_unit(values)
        assert tracemalloc.get_traced_memory()[1] < 1.5 * unit.nbytes
        tracemalloc.reset_peak()
        back = scale.from_unit(unit, values.dtype)
        assert tracemalloc.get_traced_memory()[1] < unit.nbytes + 3 * back.nbytes
    finally:
        tracemalloc.stop()
    exact = np.clip(values.astype(np.float64), 0.0 if kind == "log1p" else 3.0, None)
    share = {
        "linear": lambda: (exact - 3.0) / 197.0,
        "logarithmic": lambda: np.log(exact / 3.0) / np.log(200.0 / 3.0),
        "log1p": lambda: np.log1p(exact / 3.0) / np.log1p(200.0 / 3.0),
    }[kind]()
    assert np.array_equal(unit, share.clip(0.0, 1.0).astype(np.float32))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.int32, np.int64, np.uint64])
def test_white_is_the_largest_integer_or_nearly(dtype: type) -> None:
    white = ValueScale.of_dtype(np.dtype(dtype)).from_unit(np.ones(1), np.dtype(dtype))
    assert white[0] == pytest.approx(np.iinfo(dtype).max, rel=1e-15)


@given(LIMITS, arrays(np.float64, 10, elements=st.floats(0, 1)))
def test_linear_scale_comes_back(limits: tuple[float, float], share: np.ndarray) -> None:
    low, high = limits
    scale = ValueScale(low, high)
    values = low + share * (high - low)
    back = scale.from_unit(scale.to_unit(values), values.dtype)
    np.testing.assert_allclose(back, values, rtol=1e-9, atol=1e-6 * (high - low))


@given(st.floats(1e-6, 1e3), st.floats(1.5, 1e9), arrays(np.float64, 10, elements=st.floats(0, 1)))
def test_logarithmic_scale_comes_back(low: float, ratio: float, share: np.ndarray) -> None:
    scale = ValueScale(low, low * ratio, "logarithmic")
    values = low * ratio**share
    np.testing.assert_allclose(scale.to_unit(values), share, atol=1e-6)
    np.testing.assert_allclose(scale.from_unit(scale.to_unit(values), values.dtype), values, rtol=1e-5)


@given(st.floats(1e-6, 1e3), st.floats(1.5, 1e6), arrays(np.float64, 10, elements=st.floats(0, 1)))
def test_log1p_scale_comes_back_and_none_stays_none(low: float, ratio: float, share: np.ndarray) -> None:
    scale = ValueScale(low, low * ratio, "log1p")
    values = np.concatenate([[0.0], low * ratio * share])
    unit = scale.to_unit(values)
    np.testing.assert_allclose(unit, np.log(1 + values / low) / np.log(1 + ratio), atol=1e-6)
    back = scale.from_unit(unit, values.dtype)
    assert back[0] == 0
    np.testing.assert_allclose(back, values, rtol=1e-4, atol=low * 1e-4)


@pytest.mark.parametrize("kind", ["linear", "logarithmic"])
def test_values_outside_the_limits_are_clipped(kind: str) -> None:
    scale = ValueScale(1.0, 100.0, kind)  # pyright: ignore[reportArgumentType]
    assert scale.to_unit(np.array([-5.0, 0.0, 1.0, 100.0, 1e9])).tolist() == [0, 0, 0, 1, 1]
    np.testing.assert_allclose(scale.from_unit(np.array([-1.0, 2.0]), np.dtype(float)), [1, 100])


def test_a_logarithmic_scale_halves_magnitudes() -> None:
    scale = ValueScale(0.01, 100.0, "logarithmic")
    assert scale.to_unit(np.array([0.1, 1.0, 10.0])) == pytest.approx([0.25, 0.5, 0.75])


@pytest.mark.parametrize(
    ("low", "high", "kind"),
    [(1, 1, "linear"), (2, 1, "linear"), (float("nan"), 1, "linear"), (0, 1, "logarithmic"), (0, 1, "log1p")],
)
def test_impossible_scales_are_refused(low: float, high: float, kind: str) -> None:
    with pytest.raises(DataError):
        ValueScale(low, high, kind)  # pyright: ignore[reportArgumentType]


def test_fit_looks_at_observed_values_only() -> None:
    values = np.array([-50.0, 2.0, 7.0, 900.0]).reshape(4, 1, 1, 1)
    observed = np.array([False, True, True, False]).reshape(4, 1, 1, 1)
    assert ValueScale.fit(values, observed) == ValueScale(2.0, 7.0)
    assert ValueScale.fit(values, np.ones((4, 1, 1, 1), bool)) == ValueScale(-50.0, 900.0)
    assert ValueScale.fit(values, np.ones((4, 1, 1, 1), bool), "logarithmic") == ValueScale(2.0, 900.0, "logarithmic")


@pytest.mark.parametrize(("kind", "value"), [("linear", 0.0), ("linear", -3.0), ("logarithmic", 5.0)])
def test_fit_of_a_constant_holds_it(kind: str, value: float) -> None:
    values = np.full((2, 1, 1, 1), value)
    scale = ValueScale.fit(values, np.ones((2, 1, 1, 1), bool), kind)  # pyright: ignore[reportArgumentType]
    np.testing.assert_allclose(scale.from_unit(scale.to_unit(values), values.dtype), values)


@pytest.mark.parametrize(("kind", "observed"), [("linear", False), ("logarithmic", True)])
def test_fit_to_nothing_is_an_error(kind: str, observed: bool) -> None:
    with pytest.raises(DataError, match="no observed value"):
        ValueScale.fit(np.full((2, 1, 1, 1), -1.0), np.full((2, 1, 1, 1), observed), kind)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("shape", [(3, 4, 5), (3, 1, 4, 5), (3, 2, 4, 5)])
def test_axes_of_arrays(shape: tuple[int, ...]) -> None:
    array = np.zeros(shape, np.uint8)
    clip = Clip.from_array(array)
    assert clip.values.shape == (3, shape[1] if len(shape) == 4 else 1, 4, 5)
    assert clip.observed.shape == (3, 1, 4, 5)
    assert clip.observed.all()


@pytest.mark.parametrize("shape", [(), (4, 4), (0, 4, 4), (3, 0, 4, 4), (3, 4, 0), (1, 3, 1, 4, 4)])
def test_other_axes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError):
        Clip.from_array(np.zeros(shape))


@pytest.mark.parametrize("dtype", [bool, complex, object, "U3", "datetime64[s]"])
def test_what_is_not_a_number_is_refused(dtype: str | type) -> None:
    with pytest.raises(DataError, match="type"):
        Clip.from_array(np.zeros((2, 4, 4)).astype(dtype))


def test_nan_in_any_channel_is_missing() -> None:
    values = np.zeros((2, 3, 4, 4))
    values[1, 2, 0, 3] = np.nan
    values[0, 0, 1, 1] = np.inf
    missing = np.argwhere(~Clip.from_array(values).observed)
    assert missing.tolist() == [[0, 0, 1, 1], [1, 0, 0, 3]]


@pytest.mark.parametrize("values", [np.array([0, 1.5]), np.array([-0.1, 0.5]), np.array([-1, 100], np.int8)])
def test_values_outside_need_a_scale(values: np.ndarray) -> None:
    array = values.reshape(-1, 1, 1)
    with pytest.raises(DataError, match="scale="):
        Clip.from_array(array)
    assert Clip.from_array(array, scale=ValueScale(-200, 200)).to_batch().frames.min() >= 0
    assert not Clip.from_array(array, observed=np.zeros((1, 1, 1, 1), bool)).observed.any()  # hidden, so not looked at


def test_a_mask_broadcasts_and_joins_nan() -> None:
    values = np.zeros((3, 2, 2))
    values[0, 0, 0] = np.nan
    clip = Clip.from_array(values, observed=np.array([True, False, True]).reshape(3, 1, 1, 1))
    assert clip.observed.sum(axis=(1, 2, 3)).tolist() == [3, 0, 4]
    with pytest.raises(ShapeError, match=r"\(5,\)"):
        Clip.from_array(values, observed=np.ones(5, bool))


@pytest.mark.parametrize("shape", [(3, 4, 4), (0, 1, 4, 4)])
def test_a_clip_checks_its_values(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError):
        Clip(np.zeros(shape), np.ones((3, 1, 4, 4), bool), ValueScale(0, 1))


def test_a_clip_checks_its_mask() -> None:
    with pytest.raises(ShapeError, match="mask"):
        Clip(np.zeros((3, 1, 4, 4)), np.ones((3, 1, 1, 1), bool), ValueScale(0, 1))


def test_to_batch_scales_and_blanks_what_is_missing() -> None:
    values = np.array([[20.0, np.nan], [10.0, 15.0]]).reshape(2, 1, 1, 2)
    batch = Clip.from_array(values, scale=ValueScale(10, 20)).to_batch()
    assert batch.frames.dtype == torch.float32
    assert batch.frames.shape == (1, 2, 1, 1, 2)
    assert batch.frames.flatten().tolist() == [1, 0, 0, 0.5]
    assert batch.observed.flatten().tolist() == [True, False, True, True]
    assert not batch.held_out.any()
    assert batch.valid.all()


def test_frames_that_follow_keep_units_and_type_and_go_on_in_time() -> None:
    clip = Clip(
        np.zeros((2, 1, 1, 2), np.int16), np.zeros((2, 1, 1, 2), bool), ValueScale(100, 200), np.arange(2.0), "radar"
    )
    other = clip.followed_by(np.array([0.0, 0.5, 1.0]).reshape(3, 1, 1, 1))
    assert other.values.dtype == np.int16
    assert other.values.flatten().tolist() == [100, 150, 200]
    assert other.observed.shape == (3, 1, 1, 1)
    assert other.observed.all()
    assert np.array_equal(other.times, [2, 3, 4])
    assert (other.scale, other.source) == (clip.scale, "radar")


@pytest.mark.parametrize("context", [2, 5])
def test_forecast_batches_hold_the_future_out(context: int) -> None:
    batch = Batch.forecast(torch.rand((3, 5, 1, 4, 4)), context)
    for t in range(5):
        assert bool(batch.observed[:, t].all()) == bool(batch.observed[:, t].any()) == (t < context)
        assert bool(batch.held_out[:, t].all()) == bool(batch.held_out[:, t].any()) == (t >= context)
    assert batch.valid.all()
    assert batch.known.all()


def test_padding_is_not_known() -> None:
    batch = Batch.forecast(torch.rand((1, 3, 1, 4, 4)), 2)
    padded = Batch(batch.frames, batch.observed, batch.held_out, torch.tensor([[True, False, False]]))
    assert padded.known.flatten().tolist() == [True, False, False]


def test_to_moves_every_part() -> None:
    moved = Batch.forecast(torch.rand((1, 3, 1, 4, 4)), 2).to(torch.device("meta"))
    assert {x.device.type for x in (moved.frames, moved.observed, moved.held_out, moved.valid)} == {"meta"}


@pytest.mark.parametrize(
    ("low", "high", "kind"),
    [
        (-np.inf, 1, "linear"),
        (0, np.inf, "linear"),
        (-1.7e308, 1.7e308, "linear"),
        (1, np.inf, "logarithmic"),
        (0, 1, "log"),
        ("0", 1, "linear"),
        (None, 1, "linear"),
    ],
)
def test_scales_without_finite_limits_or_a_known_kind_are_refused(low: Any, high: Any, kind: Any) -> None:
    with pytest.raises(DataError, match="scale"):
        ValueScale(low, high, kind)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64, np.uint64, np.float16])
def test_values_that_a_type_cannot_hold_are_clipped_to_what_it_can(dtype: type) -> None:
    limits = np.finfo(dtype) if np.issubdtype(dtype, np.floating) else np.iinfo(dtype)
    back = ValueScale(-1e30, 1e30).from_unit(np.array([0.0, 0.5, 1.0]), np.dtype(dtype))
    assert back[0] == limits.min
    assert back[1] == 0
    assert float(back[2]) == pytest.approx(float(limits.max), rel=1e-15)


@pytest.mark.parametrize("array", [[[[0.5]]], torch.zeros(2, 4, 4), 0.5, None])
def test_what_is_no_array_is_refused(array: Any) -> None:
    with pytest.raises(DataError, match=type(array).__name__):
        Clip.from_array(array)


def test_the_mask_of_a_masked_array_is_missing() -> None:
    values = np.ma.MaskedArray(np.full((2, 3, 4, 4), 300, np.int16), mask=False)
    values[1, 2, 0, 3] = np.ma.masked
    clip = Clip.from_array(values)
    assert np.argwhere(~clip.observed).tolist() == [[1, 0, 0, 3]]
    assert type(clip.values) is np.ndarray
    nothing = np.ma.masked_all((2, 4, 4), np.float32)
    assert not Clip.from_array(nothing).observed.any()


@pytest.mark.parametrize("mask", [np.ones((3, 1, 1), np.uint8), np.ones((3, 1, 1)), np.full((3, 1, 1), "yes")])
def test_a_mask_of_numbers_is_refused(mask: np.ndarray) -> None:
    with pytest.raises(DataError, match="bool"):
        Clip.from_array(np.zeros((3, 2, 2)), observed=mask)
    with pytest.raises(DataError, match="bool"):
        Clip(np.zeros((3, 1, 2, 2)), np.ones((3, 1, 2, 2), np.uint8), ValueScale(0, 1))


@pytest.mark.parametrize("frames", [4, 3])
def test_a_mask_of_one_axis_is_refused_even_where_it_would_broadcast(frames: int) -> None:
    """It would hide columns, where one value a frame is meant."""
    with pytest.raises(ShapeError, match=rf"one value a frame as \({frames}, 1, 1, 1\)"):
        Clip.from_array(np.zeros((frames, 4, 4)), np.arange(frames) != 1)


def test_a_mask_has_the_axes_of_its_array() -> None:
    mask = np.arange(3 * 4 * 5).reshape(3, 4, 5) % 7 > 2
    assert np.array_equal(Clip.from_array(np.zeros((3, 4, 5)), mask).observed[:, 0], mask)
    assert np.array_equal(Clip.from_array(np.zeros((3, 4, 5)), mask[:, None]).observed[:, 0], mask)
    assert np.array_equal(Clip.from_array(np.zeros((3, 4, 5)), mask[0]).observed[2, 0], mask[0])


@pytest.mark.parametrize("dtype", ["u1", "<i2", ">u2", "<f2", ">f4", "f8"])
def test_filled_copies_every_observed_bit(dtype: str) -> None:
    rng = np.random.default_rng(0)
    values = rng.random((3, 2, 4, 5)).astype(dtype) if "f" in dtype else rng.integers(0, 99, (3, 2, 4, 5)).astype(dtype)
    if "f" in dtype:
        values[0, :, 0, 0] = -0.0
    observed = rng.random((3, 1, 4, 5)) > 0.4
    observed[0, 0, 0, 0] = True
    times = np.arange(3.0)
    clip = Clip(values, observed, ValueScale(-1, 100), times)
    unit = rng.random((3, 2, 4, 5), np.float32)
    filled = clip.filled(unit)
    assert filled.values.dtype == values.dtype
    seen = np.broadcast_to(observed, values.shape)
    assert filled.values[seen].tobytes() == values[seen].tobytes()
    expected = clip.with_frames(unit).values[~seen]
    assert np.array_equal(filled.values[~seen], expected)
    assert filled.observed.all()
    assert filled.times is times


def test_a_part_is_those_frames() -> None:
    values = np.arange(5 * 4, dtype=np.uint8).reshape(5, 1, 2, 2)
    clip = Clip(values, values % 3 > 0, ValueScale(0, 255), np.arange(5), "camera")
    part = clip.part(1, 3)
    assert np.array_equal(part.values, values[1:3])
    assert np.array_equal(part.observed, values[1:3] % 3 > 0)
    assert part.times is not None
    assert part.times.tolist() == [1, 2]
    assert (part.scale, part.source) == (clip.scale, "camera")


def test_reversed_and_read_only_arrays_make_batches() -> None:
    values = np.arange(12, dtype=np.uint8).reshape(3, 1, 2, 2)
    values.flags.writeable = False
    backwards = Clip(values[::-1], (values % 5 > 0)[::-1], ValueScale(0, 255))
    forwards = Clip(values[::-1].copy(), (values % 5 > 0)[::-1].copy(), ValueScale(0, 255))
    assert torch.equal(backwards.to_batch().frames, forwards.to_batch().frames)
    assert torch.equal(backwards.to_batch().observed, forwards.to_batch().observed)
