"""Files that say what is missing: of every format, one for all frames or one for each."""

import json
from itertools import islice
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
import zarr
from PIL import Image

from frame_forecast.errors import DataError
from frame_forecast.header import Header
from frame_forecast.io.base import Frame
from frame_forecast.io.masks import Mask
from frame_forecast.io.sidecar import SidecarWriter
from frame_forecast.io.streams import open_reader, open_writer

H, W = 6, 9
SEEN = np.random.default_rng(0).random((4, 1, H, W)) > 0.4


def first(mask: Mask, count: int) -> np.ndarray:
    return np.stack(list(islice(iter(mask), count)))


@pytest.mark.parametrize("dtype", ["?", "u1", "i2", ">f4", "f8"])
@pytest.mark.parametrize("axes", [3, 4])
def test_an_array_of_a_mask_for_each_frame(dtype: str, axes: int, tmp_path: Path) -> None:
    array = SEEN.astype(dtype) * np.array(3).astype(dtype)
    np.save(tmp_path / "m.npy", array if axes == 4 else array[:, 0])
    mask = Mask(str(tmp_path / "m.npy"), H, W)
    assert not mask.repeats
    for _ in range(2):  # any number of times
        np.testing.assert_array_equal(np.stack(list(mask)), SEEN)


@pytest.mark.parametrize("shape", [(H, W), (1, H, W), (1, 1, H, W)])
def test_an_array_of_one_mask_for_all(shape: tuple[int, ...], tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", np.asfortranarray(SEEN[0].reshape(shape)))
    mask = Mask(str(tmp_path / "m.npy"), H, W)
    assert mask.repeats
    np.testing.assert_array_equal(first(mask, 9), np.repeat(SEEN[:1], 9, axis=0))


def save(path: Path, array: np.ndarray) -> None:
    """An array alone in a file of any format of arrays, written with its own library."""
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".npz":
        np.savez(path, array)
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["mask"] = array
    elif path.suffix == ".zarr":
        zarr.open_group(path, mode="w")["mask"] = array
    else:
        axes = {2: ("y", "x"), 3: ("time", "y", "x"), 4: ("time", "channel", "y", "x")}[array.ndim]
        xr.Dataset({"mask": (axes, array)}).to_netcdf(path, engine="h5netcdf")


@pytest.mark.parametrize("name", ["m.npy", "m.npz", "m.h5", "m.nc", "m.zarr"])
@pytest.mark.parametrize("dtype", ["?", "u1", "f4"])
def test_every_format_of_arrays_takes_masks_of_every_type(name: str, dtype: str, tmp_path: Path) -> None:
    for shape in ((4, H, W), (4, 1, H, W), (1, H, W), (H, W)):
        array = SEEN[: 4 if shape[0] == 4 else 1].reshape(shape)
        save(tmp_path / name, array.astype(dtype))
        mask = Mask(str(tmp_path / name), H, W)
        assert mask.repeats is (shape[0] != 4)
        np.testing.assert_array_equal(first(mask, 4), np.broadcast_to(array.reshape(-1, 1, H, W), (4, 1, H, W)))


@pytest.mark.parametrize("name", ["m.npy", "m.npz", "m.h5", "m.zarr"])
def test_a_mask_alone_is_no_file_of_frames(name: str, tmp_path: Path) -> None:
    save(tmp_path / name, SEEN[:, 0])
    with pytest.raises(DataError, match="an array of bool: expected integers or floats"):
        open_reader(tmp_path / name)


def test_of_numbers_and_their_mask_the_numbers_are_the_frames(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "in.h5", "w") as file:
        file["frames"], file["mask"] = np.arange(4 * H * W).reshape(4, H, W), SEEN[:, 0]
    with open_reader(tmp_path / "in.h5") as stream:
        assert stream.header.dtype.kind == "i"


def test_what_is_no_number_is_missing(tmp_path: Path) -> None:
    array = np.where(SEEN, 1.0, np.nan)
    array[0, 0, 0, 0] = -0.0
    expected = SEEN.copy()
    expected[0, 0, 0, 0] = False
    np.save(tmp_path / "m.npy", array)
    np.testing.assert_array_equal(np.stack(list(Mask(str(tmp_path / "m.npy"), H, W))), expected)
    np.savez(tmp_path / "m.npz", array)
    np.testing.assert_array_equal(np.stack(list(Mask(str(tmp_path / "m.npz"), H, W))), expected)


def picture(path: Path, seen: np.ndarray, mode: str = "L") -> None:
    """White where it is seen."""
    Image.fromarray(seen[0].astype(np.uint8) * 255).convert(mode).save(path)


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGB", "RGBA", "I;16"])
def test_a_picture_is_one_mask_for_all(mode: str, tmp_path: Path) -> None:
    picture(tmp_path / "m.png", SEEN[0], mode)
    mask = Mask(str(tmp_path / "m.png"), H, W)
    assert mask.repeats
    np.testing.assert_array_equal(first(mask, 3), np.repeat(SEEN[:1], 3, axis=0))


def test_what_is_transparent_is_missing(tmp_path: Path) -> None:
    colours = np.full((H, W, 4), 200, np.uint8)
    colours[..., 3] = SEEN[0, 0] * 90
    Image.fromarray(colours).save(tmp_path / "m.png")
    np.testing.assert_array_equal(first(Mask(str(tmp_path / "m.png"), H, W), 1), SEEN[:1])


def test_colours_are_seen_if_any_of_them_is_there(tmp_path: Path) -> None:
    colours = np.zeros((H, W, 3), np.uint8)
    colours[..., 2] = SEEN[0, 0] * 90
    Image.fromarray(colours).save(tmp_path / "m.png")
    np.testing.assert_array_equal(first(Mask(str(tmp_path / "m.png"), H, W), 1), SEEN[:1])


@pytest.mark.parametrize("way", ["folder", "glob", "gif", "tif", "mkv", "npz"])
def test_a_series_is_a_mask_for_each_frame(way: str, tmp_path: Path) -> None:
    source = tmp_path / "masks" if way in ("folder", "glob") else tmp_path / f"m.{way}"
    if way in ("folder", "glob"):
        source.mkdir()
        for number, seen in enumerate(SEEN):
            picture(source / f"m{number + 8}.png", seen)  # 8, 9, 10, 11: natural order
    else:
        header = Header("array", 4, 1, H, W, np.dtype(np.uint8))
        with open_writer(source, header) as writer:
            for seen in SEEN:
                writer.write(Frame.whole(seen.astype(np.uint8) * 255))
    mask = Mask(f"{source}/*.png" if way == "glob" else str(source), H, W)
    assert not mask.repeats
    for _ in range(2):
        np.testing.assert_array_equal(np.stack(list(mask)), SEEN)


def test_a_picture_that_a_series_lacks_hides_its_frame(tmp_path: Path) -> None:
    for number in (0, 1, 3):
        picture(tmp_path / f"m{number}.png", SEEN[number])
    seen = np.stack(list(Mask(str(tmp_path), H, W)))
    np.testing.assert_array_equal(seen[[0, 1, 3]], SEEN[[0, 1, 3]])
    assert not seen[2].any()


def test_of_a_sidecar_what_was_made_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "x.npy.made.json"
    with path.open("w") as file:
        writer = SidecarWriter(file, {}, H, W)
        for seen in SEEN:
            writer.add(~seen)
        writer.finish()
    mask = Mask(str(path), H, W)
    assert not mask.repeats
    for _ in range(2):
        np.testing.assert_array_equal(np.stack(list(mask)), SEEN)
    with pytest.raises(DataError, match="6x9 pixels"):
        Mask(str(path), W, H)


def test_a_sidecar_of_a_huge_size_fills_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.made.json"
    said = {"schema": 1, "height": 2**15, "width": 2**15, "frames": [{"frame": 0, "pixels": 2**30}]}
    path.write_text(json.dumps(said | {"frames_written": 10**15}))
    with pytest.raises(DataError, match="32768x32768"):
        Mask(str(path), H, W)


@pytest.mark.parametrize("name", ["m.npy", "m.png", "m.tif"])
def test_another_size_than_the_frames_is_refused(name: str, tmp_path: Path) -> None:
    if name == "m.png":
        picture(tmp_path / name, SEEN[0])
    elif name == "m.npy":
        np.save(tmp_path / name, SEEN)
    else:
        Image.fromarray(SEEN[0, 0]).convert("L").save(
            tmp_path / name, save_all=True, append_images=[Image.fromarray(SEEN[1, 0]).convert("L")]
        )
    with pytest.raises(DataError, match=r"6x9 pixels: expected 9x6"):
        Mask(str(tmp_path / name), W, H)


@pytest.mark.parametrize(
    "array",
    [
        np.ones(9),
        np.ones((2, 3, H, W)),
        np.ones((1, 2, 1, H, W)),
        np.ones((0, H, W)),
        np.ones((3, H, 0)),
        np.ones((3, H, W), complex),
        np.full((3, H, W), "x"),
        np.float64(3),
    ],
)
def test_arrays_that_are_no_masks_are_refused(array: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", array)
    with pytest.raises(DataError, match=r"m\.npy"):
        Mask(str(tmp_path / "m.npy"), H, W)


def damaged(tmp_path: Path) -> dict[str, Path]:
    """Files that are no masks, by what they are."""
    whole, paths = tmp_path / "whole.npy", {}
    np.save(whole, np.ones((3, H, W)))
    content = whole.read_bytes()
    huge = content.replace(b"(3, 6, 9)", b"(999999999999, 6, 9)").replace(b" " * 11 + b"\n", b"\n")
    for name, data in {
        "empty.npy": b"",
        "cut.npy": content[:-8],
        "head.npy": content[:40],
        "huge.npy": huge,
        "text.npy": b"0 1 0 1",
        "empty.png": b"",
        "cut.png": b"\x89PNG\r\n\x1a\n",
        "text.png": b"0 1 0 1",
        "empty.made.json": b"",
        "what": b"0 1 0 1",
    }.items():
        paths[name] = tmp_path / name
        paths[name].write_bytes(data)
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "several.npz", a=np.ones((3, H, W)))
    (tmp_path / "several.npz").rename(tmp_path / "several.npy")
    (tmp_path / "hollow").mkdir()
    names = ("objects.npy", "several.npy", "hollow", "none.npy", "none.png", "none.made.json", "no*.png")
    return paths | {name: tmp_path / name for name in names}


@pytest.mark.parametrize("index", range(17))
def test_what_is_damaged_or_not_there_is_refused(index: int, tmp_path: Path) -> None:
    paths = damaged(tmp_path)
    assert len(paths) == 17
    path = list(paths.values())[index]
    with pytest.raises(DataError) as error:
        Mask(str(path), H, W)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_damage_in_a_later_frame_is_said_when_it_comes(tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / f"m{number}.png", SEEN[number])
    (tmp_path / "m2.png").write_bytes((tmp_path / "m2.png").read_bytes()[:60])
    mask = iter(Mask(str(tmp_path), H, W))
    next(mask)
    next(mask)
    with pytest.raises(DataError, match=r"m2\.png"):
        next(mask)


def test_a_mask_in_a_format_that_blurs_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 9), 255, np.uint8)).save(tmp_path / "m.jpg")
    with pytest.raises(DataError, match=r"a mask whose format blurs what is 0: expected one without loss"):
        Mask(str(tmp_path / "m.jpg"), 8, 9)


def test_whether_a_mask_can_be_read_is_known_without_frames(tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", SEEN[:, 0])
    np.testing.assert_array_equal(np.stack(list(Mask(str(tmp_path / "m.npy")))), SEEN)
    with pytest.raises(DataError, match=r"none\.npy"):
        Mask(str(tmp_path / "none.npy"))
