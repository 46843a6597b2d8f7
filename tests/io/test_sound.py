"""The sound of videos: copied, or said to be left out."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from video_files import noise, record, smooth, sound_of

from frame_forecast.errors import FrameForecastWarning
from frame_forecast.io.base import Frame
from frame_forecast.io.clips import read, write
from frame_forecast.io.streams import open_reader, open_writer


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("aac", "mp4"), ("aac", "mov"), ("aac", "mkv"), ("aac", "avi"), ("libopus", "webm"), ("pcm_s16le", "avi")],
)
def test_sound_is_copied(codec: str, suffix: str, tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    record(source, smooth(40), sound=codec)
    write(read(source), tmp_path / f"out.{suffix}")
    old, new = sound_of(source), sound_of(tmp_path / f"out.{suffix}")
    if suffix == "avi":  # which has no time before the first frame
        old = [(begin, data) for begin, data in old if begin >= 0]
    assert len(old) > 20
    assert [data for _, data in new] == [data for _, data in old]
    drift = [a - b for (a, _), (b, _) in zip(new, old, strict=True)]
    assert max(map(abs, drift)) < 0.03
    write(read(tmp_path / f"out.{suffix}"), tmp_path / "again.mkv")
    assert [data for _, data in sound_of(tmp_path / "again.mkv")] == [data for _, data in new]


def test_a_part_has_its_part_of_the_sound(tmp_path: Path) -> None:
    record(tmp_path / "in.mkv", smooth(40), sound="pcm_s16le", late=0.2)
    write(read(tmp_path / "in.mkv").part(10, 20), tmp_path / "out.mkv")
    old, new = sound_of(tmp_path / "in.mkv"), sound_of(tmp_path / "out.mkv")
    expected = [(begin, data) for begin, data in old if 0.5 <= begin <= 1.0]
    assert 20 <= len(expected) < len(old) / 2
    assert [data for _, data in new] == [data for _, data in expected]
    assert new[0][0] == pytest.approx(expected[0][0] - 0.5, abs=2e-3)


@pytest.mark.parametrize(("case", "what"), [("webm", "in aac"), ("times", "no times"), ("gone", "cannot be read")])
def test_sound_that_is_not_copied_is_said(case: str, what: str, tmp_path: Path) -> None:
    record(tmp_path / "in.mp4", smooth(10), sound="aac")
    clip = read(tmp_path / "in.mp4")
    if case == "gone":
        (tmp_path / "in.mp4").unlink()
    if case == "times":
        clip = replace(clip, times=None)
    name = "out.webm" if case == "webm" else "out.mkv"
    with pytest.warns(FrameForecastWarning, match=rf"the sound of .*in\.mp4.*{what}"):
        write(clip, tmp_path / name)
    assert sound_of(tmp_path / name) == []
    assert len(read(tmp_path / name).values) == 10


def test_a_video_may_replace_the_one_it_is_made_from(tmp_path: Path) -> None:
    record(tmp_path / "in.mkv", noise(10), "ffv1", "bgr0", sound="pcm_s16le")
    sound = sound_of(tmp_path / "in.mkv")
    with open_reader(tmp_path / "in.mkv") as stream, open_writer(tmp_path / "in.mkv", stream.header, True) as writer:
        for frame in stream:
            writer.write(Frame.whole(255 - frame.values))
    assert np.array_equal(read(tmp_path / "in.mkv").values, 255 - noise(10))
    assert [data for _, data in sound_of(tmp_path / "in.mkv")] == [data for _, data in sound]
