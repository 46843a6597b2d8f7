"""Streams through models: what `Forecaster` gives for the whole clip, a window of frames at a time."""

import weakref
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from frame_forecast import predict, streaming, weights
from frame_forecast.clip import Clip
from frame_forecast.errors import DataError, FrameForecastWarning, ShapeError, TaskError
from frame_forecast.header import Header
from frame_forecast.io.base import Frame
from frame_forecast.models.registry import entry_of
from frame_forecast.predict import Forecaster
from frame_forecast.scale import ValueScale
from frame_forecast.streaming import Made, Survey, survey
from stand_in import CONTEXT, HORIZON, LONGEST, forecaster

pytestmark = pytest.mark.filterwarnings("ignore::frame_forecast.errors.FrameForecastWarning")
MODELS: dict[str, Callable[[], Forecaster]] = {
    "stand_in": forecaster,
    **{name: lambda name=name: predict.load(name, "cpu") for name in ("linear", "nearest", "copy_last", "mean_frame")},
}


def header_of(values: np.ndarray, scale: ValueScale | None = None, times: np.ndarray | None = None) -> Header:
    return Header("made", len(values), *values.shape[1:], values.dtype, scale, times=times)


def frames_of(values: np.ndarray, observed: np.ndarray, times: np.ndarray | None = None) -> list[Frame]:
    return [Frame(values[t], observed[t], None if times is None else times[t]) for t in range(len(values))]


def looked_at(values: np.ndarray, whole: np.ndarray, shown: np.ndarray, longest: int, **header: ValueScale) -> Survey:
    pairs = zip(frames_of(values, whole), frames_of(values, shown), strict=True)
    return survey(pairs, header_of(values, **header), longest)


def clip_of(answers: Iterable[Made]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, observed and made of a stream of answers."""
    values, observed, made = zip(*((one.frame.values, one.frame.observed, one.made) for one in answers), strict=True)
    assert len({one.dtype for one in values}) == 1
    return np.stack(values).astype(values[0].dtype, copy=False), np.stack(observed), np.stack(made)


def noise(count: int, dtype: str = "u1", channels: int = 1, size: int = 8) -> np.ndarray:
    random = np.random.default_rng(0).random((count, channels, size, size))
    return random.astype(dtype) if np.dtype(dtype).kind == "f" else (random * np.iinfo(dtype).max).astype(dtype)


def holes(count: int, size: int = 8) -> np.ndarray:
    """Scattered holes, wholly missing frames at both ends and between, and whole frames."""
    observed = np.random.default_rng(1).random((count, 1, size, size)) > 0.2
    observed[::7] = observed[-1:] = False
    observed[3::7] = True
    return observed


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("count", [3, LONGEST, 19, 50])
@pytest.mark.parametrize("dtype", ["u1", ">u2", "f4"])
def test_recreate_is_that_of_the_whole_clip(name: str, count: int, dtype: str) -> None:
    model, values, observed = MODELS[name](), noise(count, dtype, channels=2), holes(count)
    scale = ValueScale(0.0, 1.0 if dtype == "f4" else float(np.iinfo(dtype).max))
    found = looked_at(values, np.ones_like(observed), observed, model.longest, scale=scale)
    got, seen, made = clip_of(streaming.recreate(frames_of(values, observed), found, model))
    expected = model.recreate(Clip(values, observed, scale)).values
    assert got.dtype == expected.dtype
    if dtype == "f4":  # in windows of other batches, sums are in another order
        np.testing.assert_allclose(got, expected, atol=1e-6)
    else:
        np.testing.assert_allclose(got.astype(int), expected.astype(int), atol=1)
    assert seen.all()
    np.testing.assert_array_equal(made, ~observed)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("count", [3, LONGEST, 19, 50])
@pytest.mark.parametrize("complete", [True, False])
def test_reconstruct_is_that_of_the_whole_clip(name: str, count: int, complete: bool) -> None:
    model, values, scale = MODELS[name](), noise(count, "f4"), ValueScale(0.0, 1.0)
    observed = np.ones((count, 1, 8, 8), bool) if complete else holes(count)
    found = looked_at(values, np.ones_like(observed), observed, model.longest, scale=scale)
    got, seen, made = clip_of(streaming.reconstruct(frames_of(values, observed), found, model))
    np.testing.assert_allclose(got, model.reconstruct(Clip(values, observed, scale)).values, atol=1e-6)
    assert seen.all()
    assert made.all()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("count", [2, CONTEXT, 50])
@pytest.mark.parametrize("horizon", [1, HORIZON, 11])
def test_forecast_is_that_of_the_whole_clip(name: str, count: int, horizon: int) -> None:
    model, values, scale = MODELS[name](), noise(count, "f4"), ValueScale(0.0, 1.0)
    observed = np.random.default_rng(2).random((count, 1, 8, 8)) > 0.1
    found = looked_at(values, np.ones_like(observed), observed, model.longest, scale=scale)
    answers = streaming.forecast(frames_of(values, observed), header_of(values), found, model, horizon)
    got, seen, made = clip_of(answers)
    np.testing.assert_allclose(got, model.forecast(Clip(values, observed, scale), horizon).values, atol=1e-6)
    assert seen.all()
    assert made.all()
    assert len(got) == horizon


def autoencoder() -> Forecaster:
    """One that neither fills holes nor takes other frames than 16x16 of one channel."""
    torch.manual_seed(0)
    entry = entry_of("lstm_autoencoder")
    contract = weights.Contract("", CONTEXT, HORIZON, 1, 16, 16)
    return Forecaster(entry.build(entry.tiny), "lstm_autoencoder", contract, "cpu", "float32")


def test_a_model_that_does_not_recreate_gets_as_many_frames_as_it_was_trained_to_be_given() -> None:
    model, values = autoencoder(), noise(13, "f4", size=16)
    whole = np.ones((13, 1, 16, 16), bool)
    found = looked_at(values, whole, whole, model.longest)
    got = clip_of(streaming.reconstruct(frames_of(values, whole), found, model))[0]
    starts = [0, 2, 4, 6, 8]
    for t in range(13):
        start = min(starts, key=lambda start: abs(t - start - (CONTEXT - 1) / 2))
        window = model.reconstruct(values[start : start + CONTEXT])
        np.testing.assert_allclose(got[t], window[t - start], atol=1e-6)
    forecast = clip_of(streaming.forecast(frames_of(values, whole), header_of(values), found, model, HORIZON))[0]
    np.testing.assert_allclose(forecast, model.forecast(values[-CONTEXT:], HORIZON), atol=1e-6)


def test_a_model_that_does_not_recreate_refuses_to() -> None:
    values, observed = noise(9, "f4", size=16), np.ones((9, 1, 16, 16), bool)
    observed[4] = False
    found = looked_at(values, np.ones_like(observed), observed, LONGEST)
    with pytest.raises(TaskError, match="recreate"):
        list(streaming.recreate(frames_of(values, observed), found, autoencoder()))
    with pytest.raises(TaskError, match="frames with missing pixels"):
        list(streaming.reconstruct(frames_of(values, observed), found, autoencoder()))


def test_larger_frames_of_several_channels_go_through_a_model_that_is_fixed_to_one_size_and_channel() -> None:
    model, values = autoencoder(), noise(CONTEXT, "f4", channels=3, size=40)
    whole = np.ones((CONTEXT, 1, 40, 40), bool)
    found = looked_at(values, whole, whole, model.longest)
    got = clip_of(streaming.reconstruct(frames_of(values, whole), found, model))[0]
    np.testing.assert_allclose(got, model.reconstruct(values), atol=1e-6)
    small = values[..., :8, :8]
    with pytest.raises(ShapeError, match="8x8"):
        list(streaming.reconstruct(frames_of(small, whole[..., :8, :8]), found, model))


SHAPES = st.tuples(st.integers(2, 30), st.integers(1, 2), st.integers(1, 5), st.integers(1, 5))


@st.composite
def streams(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values ``(T, C, H, W)``, what the source has of them, and what of that is shown."""
    shape = draw(SHAPES)
    T, _, H, W = shape
    dtype = np.dtype(draw(st.sampled_from(["u1", "i1", ">u2", "i4", "u8", "f2", "f4", ">f8"])))
    limits: dict[str, float] = {"min_value": -1000.0, "max_value": 1000.0} if dtype.kind == "f" else {}
    values = draw(arrays.arrays(dtype, shape, elements=arrays.from_dtype(dtype, allow_nan=False, **limits)))
    whole = draw(arrays.arrays(bool, (T, 1, H, W)))
    whole &= ~draw(arrays.arrays(bool, (1, 1, H, W)))  # pixels that are never there
    shown = whole & draw(arrays.arrays(bool, (T, 1, 1, 1)) | arrays.arrays(bool, (T, 1, H, W)))
    if not shown.any():
        whole[0, 0, 0, 0] = shown[0, 0, 0, 0] = True
    if dtype.kind == "f":
        values = values.copy()
        values[np.broadcast_to(~whole, shape)] = np.nan
    return values, whole, shown


@given(streams(), st.sampled_from(sorted(MODELS)))
@settings(max_examples=100)
def test_what_is_observed_stays_what_is_missing_is_made_and_what_never_was_stays_so(
    stream: tuple[np.ndarray, np.ndarray, np.ndarray], name: str
) -> None:
    values, whole, shown = stream
    model = MODELS[name]()
    never = np.broadcast_to(~whole.any(axis=0), whole.shape)
    found = looked_at(values, whole, shown, model.longest)
    np.testing.assert_array_equal(found.never, never[0])
    assert found.incomplete == int((~shown & ~never).any(axis=(1, 2, 3)).sum())
    got, seen, made = clip_of(streaming.recreate(frames_of(values, shown), found, model))
    assert got.dtype == values.dtype
    np.testing.assert_array_equal(seen, ~never)
    np.testing.assert_array_equal(made, ~shown & ~never)
    kept = np.broadcast_to(~made, values.shape)
    assert got[kept].tobytes() == values[kept].tobytes()
    assert np.isfinite(got[np.broadcast_to(made, values.shape)]).all()
    low, high = found.scale.low, found.scale.high
    inside = got[np.broadcast_to(made, values.shape)].astype(np.float64)
    slack = 0.01 * (high - low) + 1.0
    assert inside.size == 0 or (low - slack <= inside.min() and inside.max() <= high + slack)
    for answers in (
        streaming.reconstruct(frames_of(values, shown), found, model),
        streaming.forecast(frames_of(values, shown), header_of(values), found, model, 3),
    ):
        got, seen, made = clip_of(answers)
        assert got.dtype == values.dtype
        np.testing.assert_array_equal(seen, np.broadcast_to(~never[0], seen.shape))
        np.testing.assert_array_equal(made, seen)
        assert np.isfinite(got[np.broadcast_to(made, got.shape)]).all()


class Tracked:
    """A stream that counts how many of its frames are still held by anyone."""

    def __init__(self, values: np.ndarray, observed: np.ndarray) -> None:
        self._values, self._observed = values, observed
        self._alive: list[weakref.ref[Frame]] = []
        self.most = 0

    def __iter__(self) -> Iterator[Frame]:
        for values, observed in zip(self._values, self._observed, strict=True):
            frame = Frame(values.copy(), observed.copy())
            self._alive = [one for one in self._alive if one() is not None] + [weakref.ref(frame)]
            self.most = max(self.most, len(self._alive))
            yield frame
            del frame


def held(task: str, values: np.ndarray, observed: np.ndarray) -> tuple[int, int]:
    """The most frames of a stream that are held at a time, and those of the longest window."""
    model = forecaster()
    found = looked_at(values, np.ones_like(observed), observed, model.longest)
    tracked = Tracked(values, observed)
    run = {
        "recreate": lambda: streaming.recreate(tracked, found, model),
        "reconstruct": lambda: streaming.reconstruct(tracked, found, model),
        "forecast": lambda: streaming.forecast(tracked, header_of(values), found, model, 2),
    }[task]
    for answer in run():
        del answer
    longest = max((len(window.frames) for window in found.windows), default=0)
    return tracked.most, longest if task == "recreate" else LONGEST


@pytest.mark.parametrize("task", ["recreate", "reconstruct", "forecast"])
@pytest.mark.parametrize("count", [40, 400])
def test_no_more_frames_than_a_window_holds_are_in_memory(task: str, count: int) -> None:
    most, longest = held(task, noise(count, "f4"), holes(count))
    assert most <= longest + 1 <= 20  # and the one that is handed on


def test_frames_that_lack_nothing_pass_one_by_one() -> None:
    observed = np.ones((200, 1, 8, 8), bool)
    assert held("recreate", noise(200, "f4"), observed)[0] <= 2
    observed[190] = False
    assert held("recreate", noise(200, "f4"), observed)[0] <= LONGEST + 1


@pytest.mark.parametrize(("start", "stop"), [(0, 30), (20, 50), (30, 60)])
def test_a_gap_longer_than_a_window_is_filled_from_its_ends(start: int, stop: int) -> None:
    values, observed = noise(60, "f4"), np.ones((60, 1, 8, 8), bool)
    observed[start:stop] = False
    model = predict.load("linear", "cpu")
    found = looked_at(values, np.ones_like(observed), observed, model.longest)
    got = clip_of(streaming.recreate(frames_of(values, observed), found, model))[0]
    before, after = max(start - 1, 0), min(stop, 59)
    ends = [t for t in (before, after) if observed[t].all()]
    for t in range(start, stop):
        expected = np.stack([np.interp(t, ends, values[ends, 0, y, x]) for y in range(8) for x in range(8)])
        np.testing.assert_allclose(got[t].ravel(), expected, atol=1e-5)
    np.testing.assert_array_equal(got[observed.all(axis=(1, 2, 3))], values[observed.all(axis=(1, 2, 3))])


def test_a_gap_longer_than_the_model_was_trained_on_is_said() -> None:
    values, observed = noise(40, "f4"), np.ones((40, 1, 8, 8), bool)
    observed[10:30] = False
    found = looked_at(values, np.ones_like(observed), observed, LONGEST)
    with pytest.warns(FrameForecastWarning, match="a gap that takes a canvas of 24 frames"):
        list(streaming.recreate(frames_of(values, observed), found, forecaster()))


def test_a_window_that_shows_one_frame_alone_is_said_to_be_of_its_source() -> None:
    values, observed = noise(4, "f4"), np.zeros((4, 1, 8, 8), bool)
    observed[1] = True
    pairs = zip(frames_of(values, np.ones_like(observed)), frames_of(values, observed), strict=True)
    found = survey(pairs, header_of(values), LONGEST, "scans.npy")
    with pytest.warns(FrameForecastWarning, match=r"one observed frame in a canvas of scans\.npy"):
        list(streaming.recreate(frames_of(values, observed), found, forecaster()))


def test_a_stream_of_which_all_is_hidden_is_refused() -> None:
    values, hidden = noise(4), np.zeros((4, 1, 8, 8), bool)
    with pytest.raises(DataError, match="nothing is left to see"):
        looked_at(values, np.ones_like(hidden), hidden, LONGEST)


@pytest.mark.parametrize(
    ("dtype", "low", "high", "scale"),
    [("f4", 0.2, 0.9, (0.0, 1.0)), ("f4", -3.0, 0.5, (-3.0, 0.5)), ("i2", -70, 700, (-70.0, 700.0))],
)
def test_values_are_scaled_by_what_is_shown(dtype: str, low: float, high: float, scale: tuple[float, float]) -> None:
    values = np.full((3, 1, 2, 2), low, dtype)
    values[1, 0, 0, 0] = high
    values[2] = 10 * high
    shown = np.ones((3, 1, 2, 2), bool)
    shown[2] = False
    found = looked_at(values, np.ones_like(shown), shown, LONGEST)
    assert (found.scale.low, found.scale.high) == pytest.approx(scale)
    own = ValueScale(-1e4, 1e4)
    assert looked_at(values, np.ones_like(shown), shown, LONGEST, scale=own).scale == own


def test_recreated_frames_keep_their_times_and_forecast_ones_go_on() -> None:
    values, observed = noise(30, "f4"), holes(30)
    times = np.arange(30) * 0.5
    found = looked_at(values, np.ones_like(observed), observed, LONGEST)
    for run in (streaming.recreate, streaming.reconstruct):
        answers = run(frames_of(values, observed, times), found, forecaster())
        assert [one.frame.time for one in answers] == times.tolist()
    header = header_of(values, times=times)
    after = streaming.forecast(frames_of(values, observed, times), header, found, forecaster(), 3)
    assert [one.frame.time for one in after] == [15.0, 15.5, 16.0]
