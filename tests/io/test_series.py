"""Folders, globs and lists of files with a frame each: order, times, what is missing, names."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frame_forecast.clip import Clip
from frame_forecast.errors import ConfigError, DataError, FrameForecastWarning, OutputError
from frame_forecast.io.clips import read, write
from frame_forecast.io.names import Naming, numbers_in, times_in
from frame_forecast.scale import ValueScale


def picture(path: Path, value: int, shape: tuple[int, int] = (6, 8)) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.full(shape, value, np.uint8)).save(path)
    return path


def values_of(clip: Clip) -> list[int]:
    """The value of each frame, -1 where nothing is observed."""
    return [int(frame[0, 0, 0]) if seen.all() else -1 for frame, seen in zip(clip.values, clip.observed, strict=True)]


def test_order_is_that_of_numbers(tmp_path: Path) -> None:
    for number in (10, 9, 8, 11, 7):
        picture(tmp_path / "in" / f"frame{number}.png", number)
    for source in (tmp_path / "in", f"{tmp_path}/in/*.png", str(tmp_path / "in")):
        assert values_of(read(source)) == [7, 8, 9, 10, 11]
    listed = [tmp_path / "in" / f"frame{number}.png" for number in (7, 8, 9, 10)]
    assert values_of(read(listed)) == [7, 8, 9, 10]


def test_a_missing_number_is_a_missing_frame(tmp_path: Path) -> None:
    for number in (2, 4, 6, 12, 14):
        picture(tmp_path / "in" / f"f{number:03d}_cam1.png", number)
    clip = read(tmp_path / "in")
    assert values_of(clip) == [2, 4, 6, -1, -1, 12, 14]
    assert clip.times is None
    write(clip, tmp_path / "same")  # missing frames leave no file
    assert names_in(tmp_path / "same") == names_in(tmp_path / "in")
    write(clip.filled(np.zeros(clip.values.shape, np.float32)), tmp_path / "whole")
    assert names_in(tmp_path / "whole") == {f"f{number:03d}_cam1.png" for number in range(2, 16, 2)}


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("AQC{:%y%j%H%M}F_00005.801.png", "2015-05-15T23:45"),
        ("{:%Y%m%d%H%M}_fmi.radar.composite.lowest_FIN_SUOMI1.png", "2016-09-28T14:45"),
        ("RAD_NL25_RAP_5min_{:%Y%m%d%H%M}.png", "2010-08-26T00:00"),
        ("66_{:%Y%m%d_%H%M%S}.prcp-c10.png", "2020-10-31T03:50"),
        ("cam-{:%Y-%m-%dT%H-%M-%S}.png", "2020-02-28T23:50"),
        ("{:%Y-%m-%d %H.%M}.png", "2019-12-31T23:40"),
        ("{:%Y%m%d%H%M%S}.png", "1999-12-31T23:50"),
    ],
)
def test_times_in_names(name: str, first: str, tmp_path: Path) -> None:
    times = np.datetime64(first, "s") + np.array([0, 1, 2, 5, 6]) * np.timedelta64(300, "s")
    for number, time in enumerate(times):
        picture(tmp_path / "in" / name.format(time.item()), number)
    clip = read(tmp_path / "in")
    assert values_of(clip) == [0, 1, 2, -1, -1, 3, 4]
    assert clip.times is not None
    assert np.array_equal(clip.times, times[0] + np.arange(7) * np.timedelta64(300, "s"))
    assert clip.header is not None
    assert clip.header.rate is not None
    assert 1 / clip.header.rate == 300
    write(clip.filled(np.zeros(clip.values.shape, np.float32)), tmp_path / "out")
    assert names_in(tmp_path / "out") == {name.format(time.item()) for time in clip.times}


def test_files_come_in_the_order_of_their_times(tmp_path: Path) -> None:
    for flag, minute in (("V", 0), ("F", 5), ("A", 10)):
        picture(tmp_path / "in" / f"{flag}_20200101{minute:04d}.png", minute)
    assert values_of(read(tmp_path / "in")) == [0, 5, 10]


def test_daily_series_and_leap_years(tmp_path: Path) -> None:
    for day in ("20200227", "20200228", "20200301", "20200302"):
        picture(tmp_path / "in" / f"sst_{day}.png", int(day[-2:]))
    assert values_of(read(tmp_path / "in")) == [27, 28, -1, 1, 2]


@pytest.mark.parametrize("names", [["a.png", "b.png"], ["1_1.png", "2_2.png"], ["x1.png", "xy2.png"], ["7.png"] * 2])
def test_names_that_say_nothing(names: list[str]) -> None:
    assert times_in(names) is None
    assert numbers_in(names) is None


@pytest.mark.parametrize("names", [["00000012.png", "00000013.png"], ["20201301.png", "20201302.png"]])
def test_numbers_are_no_dates(names: list[str]) -> None:
    assert times_in(names) is None
    assert numbers_in(names) is not None


def test_frames_numbered_within_a_day() -> None:
    names = [f"20200101_{number:05d}.png" for number in range(3)]
    assert times_in(names) is None
    found = numbers_in(names)
    assert found is not None
    assert found[1] == Naming("20200101_", ".png", "", 5, 0, 1)


def test_names_for_more_frames() -> None:
    naming = Naming("AQC", "F.gif", "%y%j%H%M")
    assert naming.name(3, np.datetime64("2015-05-15T18:55")) == "AQC151351855F.gif"
    assert naming.name(3, None) == "AQC00003F.gif"
    assert Naming("f", ".png", "", 2, 98, 1).name(2, 0.5) == "f100.png"


@pytest.mark.parametrize(
    "numbers", [(1, 4, 9, 10, 17), (1, 2, 3, 500, 501)], ids=["no common step", "more missing than there"]
)
def test_irregular_series_are_taken_as_they_come(numbers: tuple[int, ...], tmp_path: Path) -> None:
    times = np.datetime64("2020-01-01", "s") + np.array(numbers) * np.timedelta64(7, "s")
    if numbers[1] == 4:
        times = times + np.array([0, 0, 2, 3, 0]) * np.timedelta64(1, "s")
    for number, time in enumerate(times):
        picture(tmp_path / "in" / f"{time.item():%Y%m%d%H%M%S}.png", number)
    with pytest.warns(FrameForecastWarning, match="regular"):
        clip = read(tmp_path / "in")
    assert values_of(clip) == [0, 1, 2, 3, 4]
    assert np.array_equal(clip.times, times)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("names", ["a_0 a_1 b_0 b_1", "alpha beta gamma"])
def test_an_order_that_names_alone_say_is_not_taken_in_silence(names: str, tmp_path: Path) -> None:
    for value, name in enumerate(names.split()):
        picture(tmp_path / "in" / f"{name}.png", value)
    with pytest.warns(FrameForecastWarning, match="more than a time or a number"):
        clip = read(tmp_path / "in")
    assert values_of(clip) == list(range(len(names.split())))


def test_an_empty_path_is_not_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        picture(tmp_path / f"{number}.png", number)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="an empty path"):
        read("")
    assert values_of(read(".")) == [0, 1, 2]


def test_a_little_jitter_is_regular(tmp_path: Path) -> None:
    seconds = np.array([0, 603, 1195, 2405, 3001])
    for number, time in enumerate(np.datetime64("2020-01-01", "s") + seconds * np.timedelta64(1, "s")):
        picture(tmp_path / "in" / f"{time.item():%Y%m%d%H%M%S}.png", number)
    clip = read(tmp_path / "in")
    assert values_of(clip) == [0, 1, 2, -1, 3, 4]
    assert clip.times is not None
    assert clip.times[3] == np.datetime64("2020-01-01T00:30:00")


def test_other_files_in_the_folder(tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / "in" / f"{number}.png", number)
    (tmp_path / "in" / "README.txt").write_text("of no format")
    (tmp_path / "in" / ".3.png").write_text("hidden")
    (tmp_path / "in" / "4.png").mkdir()
    assert values_of(read(tmp_path / "in")) == [0, 1, 2]
    picture(tmp_path / "in" / "3.gif", 3)
    with pytest.raises(DataError, match="glob"):
        read(tmp_path / "in")
    assert values_of(read(f"{tmp_path}/in/*.png")) == [0, 1, 2]


def test_files_that_do_not_belong_together(tmp_path: Path) -> None:
    files = [picture(tmp_path / "in" / f"{number}.png", number) for number in range(3)]
    picture(files[1], 1, (6, 9))
    with pytest.raises(DataError, match=r"1\.png.*shape"):
        read(tmp_path / "in")
    Image.fromarray(np.zeros((6, 8), np.uint16)).save(files[1])
    with pytest.raises(DataError, match=r"1\.png.*uint16"):
        read(tmp_path / "in")
    files[1].write_bytes(picture(tmp_path / "other.gif", 1).read_bytes())
    with pytest.raises(DataError, match=r"1\.png.*format"):
        read(tmp_path / "in")


def test_stacks_are_no_series(tmp_path: Path) -> None:
    clip = Clip.from_array(np.zeros((3, 6, 8), np.uint8))
    for name in ("a.tif", "b.tif"):
        write(clip, tmp_path / name)
    with pytest.raises(DataError, match="a frame a file"):
        read(tmp_path)


@pytest.mark.parametrize("source", ["nothing", "nothing/*.png", "empty", "empty/**/*.png"])
def test_nothing_there(source: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=source.split("/")[0]):
        read(tmp_path / source)
    with pytest.raises(DataError, match="no files"):
        read([])


def test_a_single_frame_is_refused(tmp_path: Path) -> None:
    path = picture(tmp_path / "in" / "0.png", 3)
    for source in (path, path.parent, f"{path.parent}/*.png"):
        with pytest.raises(DataError, match="single frame"):
            read(source)


def test_names_with_the_signs_of_globs(tmp_path: Path) -> None:
    np.save(tmp_path / "a[1].npy", np.zeros((3, 8, 8), np.uint8))
    assert len(read(tmp_path / "a[1].npy").values) == 3


def test_a_folder_of_arrays_is_guessed_once(tmp_path: Path) -> None:
    for number in range(3):
        np.save(tmp_path / f"{number}.npy", np.full((9, 8, 3), number / 4, np.float32))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clip = read(tmp_path)
    assert len(caught) == 1
    assert clip.values.shape == (3, 3, 9, 8)
    write(clip, tmp_path / "out")
    for number in range(3):
        same = (tmp_path / "out" / f"{number}.npy").read_bytes() == (tmp_path / f"{number}.npy").read_bytes()
        assert same
    with pytest.raises(DataError, match="9 frames"):
        read(tmp_path / "out", "THW")
    write(clip, tmp_path / "one.npy")
    assert np.load(tmp_path / "one.npy").shape == (3, 9, 8, 3)


def test_a_layout_is_of_no_use_to_pictures(tmp_path: Path) -> None:
    for number in range(2):
        picture(tmp_path / f"{number}.png", number)
    with pytest.raises(ConfigError, match="layout"):
        read(tmp_path, "THW")


def test_two_frames_of_one_name(tmp_path: Path) -> None:
    for number in range(2):
        picture(tmp_path / "in" / f"2020010100{number:02d}.png", number)
    clip = read(tmp_path / "in")
    clip = replace(clip, times=clip.times[[0, 0]])  # pyright: ignore[reportOptionalSubscript]
    with pytest.raises(OutputError, match="two frames"):
        write(clip, tmp_path / "out")
    assert names_in(tmp_path) == {"in"}


def test_a_folder_of_nothing_is_not_made(tmp_path: Path) -> None:
    values = np.zeros((2, 1, 4, 4), np.uint8)
    with pytest.raises(OutputError, match="missing"):
        write(Clip(values, np.zeros((2, 1, 4, 4), bool), ValueScale(0, 255)), tmp_path / "out")
    assert names_in(tmp_path) == set()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("way", ["cut", "empty", "text"])
@pytest.mark.parametrize("bad", [[0], [4], [2, 3], [0, 1, 4]])
def test_files_that_cannot_be_read_are_missing_frames(bad: list[int], way: str, tmp_path: Path) -> None:
    for number in range(5):
        path = picture(tmp_path / "in" / f"{number}.png", number + 1)
        if number in bad:
            cut(path) if way == "cut" else path.write_text("no picture" * (way == "text"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        clip = read(tmp_path / "in")
    assert values_of(clip) == [-1 if number in bad else number + 1 for number in range(5)]
    (text,) = [str(one.message) for one in caught if issubclass(one.category, FrameForecastWarning)]
    assert str(tmp_path / "in" / f"{bad[0]}.png") in text
    assert all(f"{number}.png" in text for number in bad)


@pytest.mark.parametrize("way", ["cut", "empty"])
def test_a_series_of_which_no_file_can_be_read_is_refused(way: str, tmp_path: Path) -> None:
    for number in range(3):
        path = picture(tmp_path / "in" / f"{number}.png", number)
        cut(path) if way == "cut" else path.write_bytes(b"")
    with warnings.catch_warnings(action="error"), pytest.raises(DataError, match=r"0\.png.*none of the 3 files"):
        read(tmp_path / "in")


@pytest.mark.filterwarnings("ignore:.*whose names differ")
def test_what_does_not_belong_to_a_series_is_no_damage(tmp_path: Path) -> None:
    files = [picture(tmp_path / "in" / f"{number}.png", number) for number in range(3)]
    (tmp_path / "in" / "notes.txt").write_text("of the recording")
    with pytest.raises(DataError, match=r"notes\.txt"):
        read(f"{tmp_path}/in/*")
    with pytest.raises(DataError, match=r"7\.png, which is no file"):
        read([*files, tmp_path / "in" / "7.png"])


def test_another_format_among_files_with_times_inside_is_told(tmp_path: Path) -> None:
    dated(tmp_path / "in", [1, 2, 3], ["a.npz", "b.npz", "c.npz"])
    picture(tmp_path / "one.png", 2).rename(tmp_path / "in" / "b.npz")
    with pytest.raises(DataError, match=r"b\.npz, of another format than a\.npz"):
        read(tmp_path / "in")


def dated(folder: Path, hours: list[int], names: list[str]) -> None:
    """Files of one frame with a time inside, whose value is their hour; the second is damaged."""
    folder.mkdir()
    for hour, name in zip(hours, names, strict=True):
        times = np.array([f"2020-01-01T{hour:02d}:00"], "datetime64[s]")
        np.savez(folder / name, frames=np.full((1, 6, 8), hour, np.uint8), layout=np.array("THW"), times=times)
    cut(folder / names[1])


def test_a_file_that_cannot_say_its_time_has_that_of_its_name(tmp_path: Path) -> None:
    hours = [1, 2, 4, 5]  # an hour later than their names
    dated(tmp_path / "in", hours, [f"20200101{hour - 1:02d}00.npz" for hour in hours])
    with pytest.warns(FrameForecastWarning, match="202001010100"):
        clip = read(tmp_path / "in")
    assert values_of(clip) == [1, -1, -1, 4, 5]
    assert clip.times is not None
    assert np.array_equal(clip.times, np.datetime64("2020-01-01T01", "s") + np.arange(5) * np.timedelta64(1, "h"))


def test_a_file_of_which_nothing_says_the_time_is_left_out(tmp_path: Path) -> None:
    dated(tmp_path / "in", [1, 2, 3, 4, 5], [f"scan{letter}.npz" for letter in "abcde"])
    with pytest.warns(FrameForecastWarning, match=r"scanb\.npz.*left out"):
        clip = read(tmp_path / "in")
    assert values_of(clip) == [1, -1, 3, 4, 5]  # where one is missing from the series, as any other
