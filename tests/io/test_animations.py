"""Animations, GIF and WebP: frames as Pillow shows them, for as long."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frame_forecast.clip import Clip
from frame_forecast.errors import DataError, OutputError
from frame_forecast.header import Header
from frame_forecast.io.clips import read, write
from frame_forecast.io.streams import open_writer
from frame_forecast.scale import ValueScale


def test_an_animation_is_what_pillow_composes(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    still = rng.integers(0, 256, (20, 30, 3)).astype(np.uint8)
    frames = []
    for i in range(4):
        array = still.copy()
        array[5:9, 4 * i : 4 * i + 6] = 255
        frames.append(Image.fromarray(array).quantize(64))
    frames[0].save(tmp_path / "in.gif", save_all=True, append_images=frames[1:], duration=[40, 40, 120, 60], loop=3)
    clip = read(tmp_path / "in.gif")
    with Image.open(tmp_path / "in.gif") as animation:
        for number, values in enumerate(clip.values):
            animation.seek(number)
            assert np.array_equal(values.transpose(1, 2, 0), np.asarray(animation.convert("RGB")))
    assert clip.times is not None
    assert clip.times == pytest.approx([0, 0.04, 0.08, 0.2])  # the long frame is one frame, and none is missing
    write(clip, tmp_path / "out.gif")
    with Image.open(tmp_path / "out.gif") as animation:
        assert animation.info["loop"] == 3
        durations = []
        for number in range(4):
            animation.seek(number)
            durations.append(animation.info["duration"])
            assert np.array_equal(np.asarray(animation.convert("RGB")), clip.values[number].transpose(1, 2, 0))
    assert durations == [40, 40, 120, 60]


@pytest.mark.parametrize("transparent", [False, True])
def test_a_webp_animation_is_what_pillow_composes(transparent: bool, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    still = rng.integers(0, 256, (20, 30, 4)).astype(np.uint8)
    still[..., 3] = rng.integers(0, 2, (20, 30)) * 255 if transparent else 255
    frames = []
    for i in range(4):
        array = still.copy()
        array[5:9, 4 * i : 4 * i + 6] = 255
        frames.append(Image.fromarray(array))
    options = {"lossless": True, "exact": True, "duration": [40, 45, 121, 60], "loop": 3}
    frames[0].save(tmp_path / "in.webp", save_all=True, append_images=frames[1:], **options)
    clip = read(tmp_path / "in.webp")
    expected = []
    with Image.open(tmp_path / "in.webp") as animation:  # not what went in: nobody sees colours that are transparent
        for number in range(4):
            animation.seek(number)
            expected.append(np.asarray(animation.convert("RGBA")))
    shown = np.stack(expected).transpose(0, 3, 1, 2)
    assert np.array_equal(clip.values, shown if transparent else shown[:, :3])
    assert clip.times == pytest.approx([0, 0.04, 0.085, 0.206])  # the long frame is one frame, and none is missing
    write(clip, tmp_path / "out.webp")
    with Image.open(tmp_path / "out.webp") as animation:
        assert (animation.info["loop"], getattr(animation, "n_frames", 1)) == (3, 4)
        durations = []
        for number, frame in enumerate(expected):
            animation.seek(number)
            assert np.array_equal(np.asarray(animation.convert("RGBA")), frame)
            durations.append(animation.info["duration"])
    assert durations == [40, 45, 121, 60]
    again = read(tmp_path / "out.webp")
    assert again.header == clip.header
    assert np.array_equal(again.values, clip.values)


@pytest.mark.parametrize("suffix", ["gif", "webp"])
def test_animations_play_at_the_rate_of_their_frames(suffix: str, tmp_path: Path) -> None:
    values = np.zeros((7, 1, 8, 8), np.uint8)
    values[:, 0, 0, 0] = np.arange(7)
    header = Header("array", 7, 1, 8, 8, values.dtype, rate=Fraction(30))
    clip = Clip(values, np.ones_like(values, bool), ValueScale(0, 255), header=header)
    write(clip, tmp_path / f"out.{suffix}")
    with Image.open(tmp_path / f"out.{suffix}") as animation:
        durations = []
        for number in range(7):
            animation.seek(number)
            animation.load()
            durations.append(animation.info["duration"])
    unit = 10 if suffix == "gif" else 1
    assert np.cumsum(durations) == pytest.approx(np.arange(1, 8) / 30 * 1000, abs=unit / 2)  # errors do not add up


def test_a_frame_past_the_edge_may_not_make_the_picture_huge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (Image.new("L", (8, 8), grey) for grey in (10, 200))
    first.save(tmp_path / "in.gif", save_all=True, append_images=[second])
    data = bytearray((tmp_path / "in.gif").read_bytes())
    at = data.rindex(b",\0\0\0\0\x08")  # the second frame: where it begins, and its size
    data[at + 1 : at + 5] = b"\xe8\3\xe8\3"
    (tmp_path / "in.gif").write_bytes(data)
    monkeypatch.setattr("frame_forecast.io.base.MOST_FRAME_BYTES", 2**20)
    with pytest.raises(DataError, match="1008x1008"):
        read(tmp_path / "in.gif")


def test_a_loop_that_no_gif_can_hold_is_refused(tmp_path: Path) -> None:
    header = Header("gif", 2, 1, 8, 8, np.dtype(np.uint8), meta={"loop": 2**16})
    with pytest.raises(OutputError, match=r"out\.gif"), open_writer(tmp_path / "out.gif", header):
        pytest.fail("it was begun")
    assert list(tmp_path.iterdir()) == []


def test_webp_pictures_in_a_folder_are_a_series(tmp_path: Path) -> None:
    values = np.random.default_rng(4).integers(0, 256, (3, 16, 16, 3)).astype(np.uint8)
    (tmp_path / "in").mkdir()
    for i, array in enumerate(values):
        Image.fromarray(array).save(tmp_path / "in" / f"{i}.webp", lossless=True)
    clip = read(tmp_path / "in")
    assert np.array_equal(clip.values, values.transpose(0, 3, 1, 2))
    write(clip, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["0.webp", "1.webp", "2.webp"]
    assert np.array_equal(read(tmp_path / "out").values, clip.values)


def test_too_many_colours_are_made_fewer(tmp_path: Path) -> None:
    values = np.random.default_rng(4).integers(0, 256, (2, 3, 32, 32)).astype(np.uint8)
    write(Clip(values, np.ones((2, 1, 32, 32), bool), ValueScale(0, 255)), tmp_path / "out.gif")
    again = read(tmp_path / "out.gif").values
    assert len(np.unique(again[0].reshape(3, -1), axis=1).T) <= 256
    assert np.abs(again.astype(int) - values).mean() < 25
