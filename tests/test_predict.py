"""The forecaster on arrays, tensors and clips."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from frame_forecast import weights
from frame_forecast.call import Cancelled
from frame_forecast.clip import Clip, ValueScale
from frame_forecast.errors import (
    ConfigError,
    DataError,
    FrameForecastError,
    FrameForecastWarning,
    ShapeError,
    TaskError,
    WeightsError,
)
from frame_forecast.masks import future
from frame_forecast.models import create
from frame_forecast.predict import Forecaster, load

pytestmark = pytest.mark.filterwarnings("error::frame_forecast.errors.FrameForecastWarning")
NAME = "conv_lstm_autoencoder"
CONTRACT: dict[str, Any] = {"context": 4, "horizon": 3, "channels": 1, "height": 16, "width": 16}


def forecaster(precision: str = "float32", **settings: Any) -> Forecaster:
    torch.manual_seed(0)
    model = create(NAME, **{"hidden": 4, "layers": 1, "patch": 8} | settings)
    return Forecaster(model, NAME, weights.Contract("", **CONTRACT), "cpu", precision)


@pytest.fixture(scope="module")
def trained() -> Forecaster:
    return forecaster()


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def direct(model: Forecaster, frames: np.ndarray, horizon: int) -> np.ndarray:
    """A plain call of the network: ``(B, T, C, H, W)`` in, the whole canvas out."""
    B, T, C, H, W = frames.shape
    canvas = torch.full((B, T + horizon, C, H, W), 0.5)
    canvas[:, :T] = torch.from_numpy(frames)
    with torch.no_grad():
        return model.model(canvas, future(T, horizon).expand(B, -1, 1, 1, 1)).numpy()


@pytest.mark.parametrize("axes", [3, 4, 5])
@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_results_are_the_models_of_the_same_kind(kind: str, axes: int, trained: Forecaster) -> None:
    frames = noise(2, 4, 1, 16, 24)
    x: Any = {5: frames, 4: frames[0], 3: frames[0, :, 0]}[axes]
    if kind == "torch":
        x = torch.from_numpy(x)
    canvas = direct(trained, frames, 3)
    for result, part in ((trained.forecast(x, 3), canvas[:, 4:]), (trained.reconstruct(x), canvas[:, :4])):
        expected = {5: part, 4: part[0], 3: part[0, :, 0]}[axes]
        assert type(result) is type(x)
        assert result.dtype == x.dtype
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_integers_come_back_as_integers(dtype: type, trained: Forecaster) -> None:
    largest = np.iinfo(dtype).max
    x = (noise(4, 16, 16) * largest).astype(dtype)
    result = trained.forecast(x, 2)
    assert result.dtype == dtype
    expected = direct(trained, (x[None, :, None] / largest).astype(np.float32), 2)[0, 4:, 0] * largest
    assert np.abs(result - expected).max() <= 0.5 + 1e-5 * largest


def test_a_clip_gives_a_clip_in_its_units(trained: Forecaster) -> None:
    unit = noise(4, 1, 16, 16)
    clip = Clip.from_array(200 + 100 * unit, scale=ValueScale(200, 300), source="brightness")
    result = trained.forecast(clip, 2)
    assert isinstance(result, Clip)
    np.testing.assert_allclose(result.values, 200 + 100 * direct(trained, unit[None], 2)[0, 4:], atol=1e-3)
    assert (result.scale, result.source) == (clip.scale, "brightness")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("task", ["forecast", "reconstruct"])
def test_missing_pixels_are_refused(task: str, value: float, trained: Forecaster) -> None:
    x = noise(4, 16, 16)
    x[2, 3, 3] = value
    with pytest.raises(TaskError, match="missing"):
        trained.forecast(x, 2) if task == "forecast" else trained.reconstruct(x)


def test_floats_outside_need_a_scale(trained: Forecaster) -> None:
    unit = noise(4, 16, 16)
    with pytest.raises(DataError, match="scale="):
        trained.forecast(50 * unit, 2)
    result = trained.forecast(50 * unit, 2, scale=ValueScale(0, 50))
    np.testing.assert_allclose(result, 50 * trained.forecast(unit, 2), rtol=0, atol=1e-4)
    np.testing.assert_allclose(
        trained.reconstruct(50 * unit, scale=ValueScale(0, 50)), 50 * trained.reconstruct(unit), rtol=0, atol=1e-4
    )


@pytest.mark.parametrize(
    ("x", "error"),
    [
        (noise(1, 16, 16), ShapeError),
        (noise(0, 16, 16), ShapeError),
        (noise(16, 16), ShapeError),
        (noise(0, 4, 1, 16, 16), ShapeError),
        (noise(2, 0, 1, 16, 16), ShapeError),
        (noise(1, 2, 4, 1, 16, 16), ShapeError),
        (noise(4, 16, 16) > 0.5, DataError),
        (noise(4, 16, 16).astype(complex), DataError),
        (noise(4, 16, 16).astype(object), DataError),
        (-noise(4, 16, 16), DataError),
        (noise(4, 16, 16).tolist(), DataError),
        (torch.from_numpy(noise(4, 16, 16)).to(torch.float8_e4m3fn), DataError),
        (torch.from_numpy(noise(4, 16, 16)).to_sparse(), DataError),
        (torch.zeros(4, 16, 16, device="meta"), DataError),
        (torch.from_numpy(noise(4, 16, 16)).to(torch.complex64), DataError),
        (torch.from_numpy(noise(4, 16, 16)) > 0.5, DataError),
        (None, DataError),
    ],
)
def test_what_is_no_clip_is_refused(x: Any, error: type[FrameForecastError], trained: Forecaster) -> None:
    with pytest.raises(error):
        trained.forecast(x, 2)


def test_colours_go_through_a_model_of_one_channel_one_by_one(trained: Forecaster) -> None:
    x = noise(4, 3, 16, 16)
    for task in (lambda frames: trained.forecast(frames, 2), trained.reconstruct):
        alone = np.concatenate([task(x[:, c : c + 1]) for c in range(3)], axis=1)
        np.testing.assert_allclose(task(x), alone, atol=1e-6)


@pytest.mark.parametrize("horizon", [0, -1, 2.0, 2.5, "2", None, np.nan])
def test_a_horizon_that_is_no_number_of_frames_is_refused(horizon: Any, trained: Forecaster) -> None:
    with pytest.raises(ShapeError, match=f"horizon={horizon!r}"):
        trained.forecast(noise(4, 16, 16), horizon)


@pytest.mark.parametrize("horizon", [np.int64(2), np.uint8(2), torch.tensor(2)])
def test_whole_numbers_of_any_type_are_horizons(horizon: Any, trained: Forecaster) -> None:
    assert np.array_equal(trained.forecast(noise(4, 16, 16), horizon), trained.forecast(noise(4, 16, 16), 2))


def test_one_frame_can_be_reconstructed(trained: Forecaster) -> None:
    with pytest.warns(FrameForecastWarning, match="one observed frame"):
        assert trained.reconstruct(noise(1, 16, 16)).shape == (1, 16, 16)


@pytest.mark.parametrize(("form", "task"), [("reconstruction", "forecast"), ("prediction", "reconstruct")])
def test_a_task_that_the_model_lacks_is_refused(form: str, task: str) -> None:
    model = forecaster(form=form)
    with pytest.raises(TaskError, match=task):
        model.forecast(noise(4, 16, 16), 2) if task == "forecast" else model.reconstruct(noise(4, 16, 16))


def test_a_batch_equals_its_clips_alone_and_progress_is_told(trained: Forecaster) -> None:
    frames = noise(19, 3, 1, 16, 16)  # more than are computed at once
    told: list[tuple[int, int]] = []
    together = trained.forecast(frames, 2, progress=lambda done, total: told.append((done, total)))
    alone = np.stack([trained.forecast(clip, 2) for clip in frames])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-6)
    assert told == [(16, 19), (19, 19)]


def test_cancel_is_asked_between_groups_of_clips(trained: Forecaster) -> None:
    told: list[int] = []
    with pytest.raises(Cancelled):
        trained.forecast(
            noise(40, 3, 1, 16, 16), 2, progress=lambda done, _: told.append(done), cancel=lambda: len(told) == 2
        )
    assert told == [16, 32]


def test_the_input_is_not_changed(trained: Forecaster) -> None:
    x = noise(4, 16, 16)
    before = x.copy()
    trained.forecast(x, 2)
    assert np.array_equal(x, before)


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ">f4", ">u2"])
@pytest.mark.parametrize("axes", [3, 5])
def test_every_type_comes_back(dtype: Any, axes: int, trained: Forecaster) -> None:
    unit = noise(4, 16, 16) if axes == 3 else noise(2, 4, 1, 16, 16)
    x = unit.astype(dtype) if "f" in np.dtype(dtype).str else (unit * 65535).astype(dtype)
    result = trained.forecast(x, 2)
    assert result.dtype == x.dtype
    given = x.astype(np.float32) / (1 if "f" in x.dtype.str else 65535)
    expected = direct(trained, given.reshape(-1, 4, 1, 16, 16), 2)[:, 4:].reshape(result.shape)
    np.testing.assert_allclose(result / (1 if "f" in x.dtype.str else 65535), expected, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.uint8, torch.uint16])
def test_tensors_keep_their_type(dtype: torch.dtype, trained: Forecaster) -> None:
    unit = torch.from_numpy(noise(4, 16, 16))
    x = unit.to(dtype) if dtype.is_floating_point else (unit * torch.iinfo(dtype).max).to(dtype)
    result = trained.forecast(x, 2)
    assert result.dtype == dtype
    most = 1 if dtype.is_floating_point else torch.iinfo(dtype).max
    expected = direct(trained, (x.float() / most).numpy()[None, :, None], 2)[0, 4:, 0]
    np.testing.assert_allclose(result.float() / most, expected, atol=4e-3)


def test_any_layout_in_memory_is_taken(trained: Forecaster) -> None:
    x = noise(4, 16, 16)
    expected = trained.forecast(x, 2)
    read_only = x.copy()
    read_only.flags.writeable = False
    backwards = np.ascontiguousarray(x[::-1, :, ::-1])[::-1, :, ::-1]
    strided = np.repeat(x, 2, axis=2)[:, :, ::2]
    for same in (read_only, backwards, strided, np.asfortranarray(x)):
        assert np.array_equal(trained.forecast(same, 2), expected)
    transposed = torch.from_numpy(x.transpose(2, 0, 1).copy()).permute(1, 2, 0)
    assert np.array_equal(trained.forecast(transposed, 2).numpy(), expected)


def test_a_masked_array_gives_a_masked_array(trained: Forecaster) -> None:
    x = np.ma.MaskedArray(noise(4, 16, 16), mask=False)
    result = trained.forecast(x, 2)
    assert isinstance(result, np.ma.MaskedArray)
    assert np.array_equal(result.data, trained.forecast(x.data, 2))
    x[0, 3, 3] = np.ma.masked
    with pytest.raises(TaskError, match="missing"):
        trained.forecast(x, 2)


def test_a_scale_for_a_clip_is_refused(trained: Forecaster) -> None:
    with pytest.raises(DataError, match="scale="):
        trained.forecast(Clip.from_array(noise(4, 16, 16)), 2, scale=ValueScale(0, 2))


def test_lengths_that_were_never_trained_warn(trained: Forecaster) -> None:
    with pytest.warns(FrameForecastWarning, match="4 frames given and 4 to forecast") as caught:
        trained.forecast(noise(4, 16, 16), 4)
    assert [Path(warning.filename).name for warning in caught] == ["test_predict.py"]
    with pytest.warns(FrameForecastWarning, match="5 frames given"):
        trained.forecast(noise(5, 16, 16), 3)
    with pytest.warns(FrameForecastWarning, match="5 frames to reconstruct"):
        assert np.array_equal(
            trained.reconstruct(noise(5, 16, 16)), direct(trained, noise(1, 5, 1, 16, 16), 0)[0, :, 0]
        )


def test_bfloat16_differs_but_little(trained: Forecaster) -> None:
    x = noise(4, 16, 16)
    half, full = forecaster("bf16").forecast(x, 3), trained.forecast(x, 3)
    assert half.dtype == np.float32
    assert not np.array_equal(half, full)  # it was used
    np.testing.assert_allclose(half, full, rtol=0, atol=0.01)


def test_a_model_that_fills_no_holes_does_not_recreate(trained: Forecaster) -> None:
    with pytest.raises(TaskError, match="recreate"):
        trained.recreate(noise(4, 16, 16))


def test_tensors_that_need_gradients_are_taken(trained: Forecaster) -> None:
    x: Tensor = torch.from_numpy(noise(4, 16, 16)).requires_grad_()
    assert not trained.forecast(x, 2).requires_grad


@pytest.mark.parametrize("below", ["", "weights"])
def test_load_takes_weights_and_runs(below: str, tmp_path: Path, trained: Forecaster) -> None:
    weights.save(tmp_path / below / "" if below else tmp_path / "w", trained.model, NAME, **CONTRACT)
    loaded = load(tmp_path if below else tmp_path / "w", "cpu", "float32")
    x = noise(4, 16, 16)
    assert np.array_equal(loaded.forecast(x, 2), trained.forecast(x, 2))
    assert loaded.contract.context == 4
    assert loaded.name == NAME


def test_load_errors(tmp_path: Path, trained: Forecaster) -> None:
    with pytest.raises(WeightsError, match="nowhere"):
        load("nowhere")
    weights.save(tmp_path / "w", trained.model, NAME, **CONTRACT)
    with pytest.raises(ConfigError, match="tpu"):
        load(tmp_path / "w", device="tpu")
    with pytest.raises(ConfigError, match="float16"):
        load(tmp_path / "w", device="cpu", precision="float16")


def test_a_scale_that_is_none_and_a_horizon_of_true() -> None:
    """Both would pass for something that they are not."""
    model = create("masked_lstm_small", width=8, hidden=8, mix=8, directions="bf")
    contract = weights.Contract(weights_sha256="", context=3, horizon=2, channels=1, height=16, width=16)
    forecaster = Forecaster(model, "masked_lstm", contract, "cpu")
    clip = np.zeros((4, 16, 16), np.float32)
    with pytest.raises(DataError, match="ValueScale"):
        forecaster.recreate(clip, scale=(0, 300))
    with pytest.raises(ShapeError, match="horizon=True"):
        forecaster.forecast(clip, True)
