"""Digits from files, from a server, from fonts: each named for what it is."""

import gzip
import hashlib
import os
import socket
import struct
import time
import warnings
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from matplotlib import get_data_path
from matplotlib.ft2font import FT2Font

from frame_forecast.data import digits, font_digits
from frame_forecast.data.digits import cache_folder, load_digits, search_folders
from frame_forecast.data.download import MNIST_MD5
from frame_forecast.errors import ConfigError, DataError

REAL_DATA = os.environ.get("FRAME_FORECAST_DATA")


@pytest.fixture(autouse=True)
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data anywhere: what a user has on the first day."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FRAME_FORECAST_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture(scope="module")
def idx_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files in MNIST's layout; every pixel of image i is i modulo 251."""
    folder = tmp_path_factory.mktemp("idx")
    for name, count in (("train-images", 60_000), ("t10k-images", 10_000)):
        images = np.repeat((np.arange(count) % 251).astype(np.uint8), 28 * 28)
        content = struct.pack(">4I", 0x803, count, 28, 28) + images.tobytes()
        (folder / f"{name}-idx3-ubyte.gz").write_bytes(gzip.compress(content, compresslevel=1))
    return folder


@pytest.fixture
def trusted(idx_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes these files pass for MNIST."""
    for stem in MNIST_MD5:
        content = gzip.decompress((idx_files / f"{stem}-idx3-ubyte.gz").read_bytes())
        monkeypatch.setitem(MNIST_MD5, stem, hashlib.md5(content).hexdigest())


@pytest.fixture
def mirror(idx_files: Path) -> Iterator[str]:
    handler = partial(SimpleHTTPRequestHandler, directory=str(idx_files))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.fixture
def closed_mirror() -> str:
    """An address that refuses connections."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"


def link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(source)


@pytest.mark.parametrize(("split", "first", "count"), [("train", 0, 55_000), ("validation", 55_000, 5_000)])
def test_training_file_is_split_for_validation(
    idx_files: Path, trusted: None, monkeypatch: pytest.MonkeyPatch, split: str, first: int, count: int
) -> None:
    monkeypatch.setenv("FRAME_FORECAST_DATA", str(idx_files))
    found = load_digits(split, download=False)
    assert (found.source, found.description, found.note) == ("mnist", "MNIST digits", "")
    assert found.images.shape == (count, 28, 28)
    np.testing.assert_array_equal(found.images[:, 3, 5], np.arange(first, first + count) % 251)


@pytest.mark.parametrize(
    "path",
    [
        "root/t10k-images-idx3-ubyte",
        "root/mnist/t10k-images-idx3-ubyte.gz",
        "here/data/t10k-images.idx3-ubyte",
        "here/data/mnist/t10k-images.idx3-ubyte.gz",
        "here/t10k-images-idx3-ubyte",
        "cache/frame-forecast/t10k-images-idx3-ubyte.gz",
    ],
)
def test_found_under_each_name_and_in_each_folder(
    idx_files: Path, trusted: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    (tmp_path / "root").mkdir()
    monkeypatch.setenv("FRAME_FORECAST_DATA", str(tmp_path / "root"))
    link(idx_files / "t10k-images-idx3-ubyte.gz", tmp_path / path)
    assert load_digits("test", download=False).source == "mnist"


def test_the_named_folder_is_searched_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAME_FORECAST_DATA", str(tmp_path))
    assert search_folders()[0] == tmp_path
    assert search_folders()[-1] == cache_folder() == tmp_path / "cache" / "frame-forecast"


@pytest.mark.parametrize("value", [None, "", "relative/path"])
def test_cache_is_in_the_home_folder_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    if value is None:
        monkeypatch.delenv("XDG_CACHE_HOME")
    else:
        monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert cache_folder() == Path.home() / ".cache" / "frame-forecast"


def test_a_named_folder_that_is_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAME_FORECAST_DATA", str(tmp_path / "mistyped"))
    with pytest.raises(DataError, match=r"FRAME_FORECAST_DATA=.*mistyped"):
        load_digits("train", download=False)


def test_other_images_in_the_same_format_are_not_called_mnist(idx_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAME_FORECAST_DATA", str(idx_files))
    found = load_digits("test", download=False)
    assert found.source == "mnist-like"
    assert found.description == "images in MNIST's format"
    assert str(idx_files) in found.note


def test_damaged_file_is_an_error_and_not_passed_over(
    idx_files: Path, trusted: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (idx_files / "t10k-images-idx3-ubyte.gz").read_bytes()
    Path("t10k-images-idx3-ubyte.gz").write_bytes(content[:-100])
    link(idx_files / "t10k-images-idx3-ubyte.gz", cache_folder() / "t10k-images-idx3-ubyte.gz")  # a good one behind
    with pytest.raises(DataError, match="t10k-images"):
        load_digits("test", download=False)


def test_file_of_another_shape_is_an_error() -> None:
    Path("t10k-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, 2, 8, 8) + bytes(128))
    with pytest.raises(DataError, match="2 images of 8x8"):
        load_digits("test", download=False)


def test_unknown_split_is_an_error() -> None:
    with pytest.raises(ConfigError, match="train, validation, test"):
        load_digits("tset", download=False)


def test_downloaded_once_into_the_cache(trusted: None, mirror: str, closed_mirror: str) -> None:
    found = load_digits("test", mirrors=[closed_mirror, mirror])
    assert found.source == "mnist"
    np.testing.assert_array_equal(found.images[:, 0, 0], np.arange(10_000) % 251)
    assert {path.name for path in cache_folder().iterdir()} == {f"{stem}-idx3-ubyte.gz" for stem in MNIST_MD5}
    assert load_digits("validation", mirrors=[closed_mirror]).source == "mnist"  # found, not fetched


def test_a_mirror_with_other_content_is_refused(mirror: str) -> None:
    found = load_digits("test", mirrors=[mirror])
    assert found.source == "fonts"
    assert MNIST_MD5["train-images"] not in found.note  # the note says what came, not what should have
    assert "gave md5" in found.note
    assert not list(cache_folder().glob("*.gz"))


def test_without_files_and_network_digits_are_drawn_and_it_is_said_so(closed_mirror: str) -> None:
    start = time.monotonic()
    found = load_digits("validation", mirrors=[closed_mirror])
    assert time.monotonic() - start < 10
    assert (found.source, found.description) == ("fonts", "digits drawn from fonts")
    assert found.note.startswith(f"no MNIST found and none could be downloaded ({closed_mirror}")
    assert "refused" in found.note
    assert found.images.shape == (1_000, 28, 28)
    assert not list(Path().iterdir())


def test_the_network_is_tried_once_a_process(closed_mirror: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []
    fetch = digits.fetch_mnist
    monkeypatch.setattr(digits, "fetch_mnist", lambda *args, **settings: tries.append(1) or fetch(*args, **settings))
    notes = {load_digits(split, mirrors=[closed_mirror]).note for split in ("validation", "test", "test")}
    assert len(tries) == 1
    assert len(notes) == 1


def test_without_leave_to_download_no_one_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digits, "fetch_mnist", lambda *_, **__: pytest.fail("asked"))
    assert load_digits("validation", download=False).note == "no MNIST found"


def test_an_unwritable_cache_is_no_obstacle(mirror: str, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    found = load_digits("validation", mirrors=[mirror])
    assert found.source == "fonts"
    assert "writing" in found.note


@pytest.mark.parametrize("font", font_digits.FONTS)
def test_each_font_has_ten_different_digits(font: str) -> None:
    path = Path(get_data_path(), "fonts", "ttf", f"{font}.ttf")
    assert {ord(digit) for digit in "0123456789"} <= set(FT2Font(str(path)).get_charmap())
    drawn = {font_digits._glyph(font_digits._font(path), str(digit), 0).tobytes() for digit in range(10)}
    assert len(drawn) == 10  # a missing glyph is drawn as the same box every time


def test_no_glyph_is_cut_off() -> None:
    canvases = font_digits._glyphs()[0].numpy()
    assert canvases.any(axis=(1, 2)).all()
    assert not canvases[:, [0, -1]].any()
    assert not canvases[:, :, [0, -1]].any()


def test_missing_fonts_are_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="matplotlib"):
        font_digits._font(tmp_path / "DejaVuSans.ttf")


def test_a_drawn_digit_depends_on_its_number_alone() -> None:
    index = np.array([1_999, 3, 700, 3, 0])
    drawn = font_digits.font_digits("test")
    np.testing.assert_array_equal(font_digits.draw_digits("test", index), drawn[index])


def test_splits_share_no_drawn_digit() -> None:
    drawn = [font_digits.draw_digits(split, np.arange(500)) for split in ("train", "validation", "test")]
    assert len({image.tobytes() for images in drawn for image in images}) == 1_500


def test_drawn_digits_look_like_mnist_in_numbers() -> None:
    images = font_digits.font_digits("test")
    assert images.dtype == np.uint8
    assert images.shape == (2_000, 28, 28)
    # MNIST: mean 0.131, above one half 0.132, standard deviation 0.308; its lightest and
    # heaviest percent of digits have means of 0.049 and 0.246.
    assert 0.12 < images.mean() / 255 < 0.145
    assert 0.12 < (images > 127).mean() < 0.145
    assert 0.29 < images.std() / 255 < 0.33
    light, heavy = np.percentile(images.mean(axis=(1, 2)) / 255, [1, 99])
    assert 0.04 < light < 0.07
    assert 0.22 < heavy < 0.27
    # In a box of 20x20, give or take the row or column that antialiasing touches.
    rows = images.any(axis=2).sum(axis=1)
    columns = images.any(axis=1).sum(axis=1)
    assert max(rows.max(), columns.max()) <= 22
    assert np.maximum(rows, columns).min() >= 14


def test_centre_of_mass_of_drawn_digits_is_in_the_middle() -> None:
    images = font_digits.draw_digits("test", np.arange(500)).astype(np.float64)
    mass = images.sum(axis=(1, 2))
    for axis in (1, 2):
        centre = (images.sum(axis=3 - axis) @ (np.arange(28) + 0.5)) / mass
        assert np.abs(centre - 14).max() < 0.6  # half a pixel of it on purpose
        assert np.abs(centre.mean() - 14) < 0.05


def test_digits_cannot_be_changed_by_accident_and_torch_takes_them() -> None:
    images = load_digits("validation", download=False).images
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.tensor(images).shape == (1_000, 28, 28)


def test_mnist_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    if not REAL_DATA or not Path(REAL_DATA, "mnist", "train-images-idx3-ubyte.gz").is_file():
        pytest.skip("MNIST is not in FRAME_FORECAST_DATA")
    monkeypatch.setenv("FRAME_FORECAST_DATA", REAL_DATA)
    splits = {split: load_digits(split, download=False) for split in ("train", "validation", "test")}
    assert {found.source for found in splits.values()} == {"mnist"}
    assert [len(found.images) for found in splits.values()] == [55_000, 5_000, 10_000]
    both = np.concatenate([splits["train"].images, splits["validation"].images])
    assert both.mean() / 255 == pytest.approx(0.1307, abs=5e-5)  # the figures everyone normalises with
    assert both.std() / 255 == pytest.approx(0.3081, abs=5e-5)
