"""What neighbours show of a frame, on made clips: faults are outside of it; motion, cuts and noise are not."""

from collections.abc import Callable

import numpy as np
import pytest

from frame_forecast import faults
from frame_forecast.misfit import Misfit
from frame_forecast.scale import ValueScale

T, H, W = 24, 60, 90


def texture(seed: int, height: int = H, width: int = W) -> np.ndarray:
    """``(H, W)``, smooth, from about 50 to 200."""
    rough = np.random.default_rng(seed).normal(size=(height, width))
    smooth = sum(np.roll(rough, (i, j), (0, 1)) for i in range(-3, 4) for j in range(-3, 4))
    return 125 + 75 * np.asarray(smooth) / np.abs(smooth).max()


def moving(speed: int, noise: float = 1.0) -> np.ndarray:
    """``(T, 1, H, W)`` uint8."""
    clip = np.stack([np.roll(texture(0), t * speed, axis=1) for t in range(T)])
    clip += np.random.default_rng(1).normal(0, noise, clip.shape)
    return np.clip(np.rint(clip), 0, 255).astype(np.uint8)[:, None]


def numbers(clip: np.ndarray, observed: np.ndarray | None = None, scale: ValueScale | None = None) -> list[np.ndarray]:
    misfit = Misfit(scale)
    for t, values in enumerate(clip):
        seen = np.ones((1, *values.shape[1:]), bool) if observed is None else observed[t]
        if seen.any():
            misfit.add(values, seen)
        else:
            misfit.skip()
    return list(misfit.numbers())


def found(clip: np.ndarray, observed: np.ndarray | None = None) -> list[int]:
    return np.flatnonzero(faults.unforeseen(*numbers(clip, observed))).tolist()


def torn(frame: np.ndarray) -> np.ndarray:
    return np.concatenate([frame[:, :35], np.roll(frame[:, 35:], 20, axis=2)], axis=1)


def shifted(frame: np.ndarray) -> np.ndarray:
    return np.roll(frame, (9, 12), axis=(1, 2))


def dark(frame: np.ndarray) -> np.ndarray:
    return (0.6 * frame).astype(frame.dtype)


def half_black(frame: np.ndarray) -> np.ndarray:
    return np.where(np.arange(H)[:, None] < H // 2, 0, frame).astype(frame.dtype)


def blocks(frame: np.ndarray) -> np.ndarray:
    mosaic = frame.copy()
    for place in (3, 20, 37):
        mosaic[:, place : place + 8, 2 * place : 2 * place + 8] = 255
    return mosaic


@pytest.mark.parametrize("speed", [0, 1, 3])
@pytest.mark.parametrize("damage", [torn, shifted, dark, half_black, blocks])
def test_a_broken_frame_in_motion(damage: Callable[[np.ndarray], np.ndarray], speed: int) -> None:
    clip = moving(speed)
    clip[11] = damage(clip[11])
    assert found(clip) == [11]


@pytest.mark.parametrize("noise", [0.0, 1.0, 20.0])
@pytest.mark.parametrize("speed", [0, 1, 5, 9])
def test_motion_and_noise_are_no_faults(speed: int, noise: float) -> None:
    assert found(moving(speed, noise)) == []


def test_a_cut_is_no_fault() -> None:
    clip = moving(2)
    clip[11:] = np.roll(255 - clip[11:], 17, axis=2)
    assert found(clip) == []


def test_a_fade_is_no_fault() -> None:
    light = np.interp(np.arange(T), [8, 16], [1, 0.2])
    assert found((moving(1) * light[:, None, None, None]).astype(np.uint8)) == []


def test_a_cursor_that_blinks_is_no_fault() -> None:
    clip = np.repeat(texture(0)[None, None].astype(np.uint8), T, axis=0)
    clip[11, :, 30:33, 40] = 255
    assert found(clip) == []


def test_neighbours_are_the_nearest_that_show_something() -> None:
    clip, observed = moving(1), np.ones((T, 1, H, W), bool)
    clip[11] = shifted(clip[11])
    clip[[10, 12]] = 0
    observed[[10, 12]] = False
    assert found(clip, observed) == [11]


def test_hidden_pixels_say_nothing() -> None:
    clip, observed = moving(1).astype(np.float32), np.ones((T, 1, H, W), bool)
    observed[:, :, :, :20] = False
    observed[7, :, 10:40] = False
    before = numbers(clip, observed)
    clip[~observed] = np.nan
    np.testing.assert_array_equal(numbers(clip, observed), before)
    assert found(clip, observed) == []


def test_large_frames_of_any_dtype_are_taken_alike() -> None:
    clip = np.stack([np.roll(texture(0, 200, 300), 3 * t, axis=1) for t in range(6)])[:, None].repeat(3, axis=1)
    expected = numbers(clip.astype(np.float32))
    for dtype in (np.uint8, np.int16, np.uint16, np.int64, ">f4", np.float64, np.float16):
        np.testing.assert_allclose(numbers(clip.astype(dtype)), expected, atol=1.0)


def test_values_are_compared_on_the_scale() -> None:
    rain = np.where(moving(1) > 130, moving(1) / 20.0, 0).astype(np.float32)
    scale = ValueScale(0.1, 100, "log1p")
    once, far = numbers(rain, scale=scale), numbers(rain)
    assert np.nanmax(once[2]) < 1 < np.nanmax(far[2])


def test_few_frames_have_no_neighbours() -> None:
    for count in range(3):
        error, apart, contrast = numbers(moving(1)[:count])
        assert np.isnan(error).all()
        assert np.isnan(apart).all()
        assert len(contrast) == count
        assert found(moving(1)[:count]) == []
