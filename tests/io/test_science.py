"""NetCDF, HDF5 and Zarr: files made with their own libraries, read, written and read again."""

import gc
import pickle
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5netcdf
import h5py
import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from frame_forecast.clip import Clip
from frame_forecast.errors import ConfigError, DataError, FrameForecastError, FrameForecastWarning, OutputError
from frame_forecast.io.clips import read, write
from frame_forecast.io.streams import open_reader, open_writer
from frame_forecast.scale import ValueScale

RNG = np.random.default_rng(0)
CODES = RNG.integers(-30000, 30000, (6, 5, 7)).astype(np.int16)
CODES[2, 1, 3] = CODES[4, 0, 0] = -32768
TIMES = np.datetime64("2021-03-01T12:00", "us") + np.arange(6) * np.timedelta64(10, "m")


def dataset(codes: np.ndarray = CODES, **attributes: Any) -> xr.Dataset:
    """What a weather service might write; not decoded, so that what is here is what is in the file."""
    attributes = {
        "units": "K",
        "scale_factor": 0.01,
        "add_offset": 273.15,
        "_FillValue": np.int16(-32768),
        "coordinates": "lat lon",
        "grid_mapping": "crs",
        "valid_note": "by hand",
    } | attributes
    minutes = np.arange(6, dtype=np.int32) * 10
    rng = np.random.default_rng(1)  # its own, so that a test's files do not depend on the tests before
    return xr.Dataset(
        {
            "t2m": (("time", "y", "x"), codes, attributes),
            "orography": (("y", "x"), rng.random((5, 7)), {"units": "m"}),
            "crs": ((), np.int32(0), {"grid_mapping_name": "latitude_longitude"}),
        },
        {
            "time": ("time", minutes, {"units": "minutes since 2021-03-01 12:00:00", "standard_name": "time"}),
            "y": ("y", np.linspace(45, 47, 5), {"standard_name": "projection_y_coordinate"}),
            "x": ("x", np.linspace(5, 9, 7).astype(np.float32), {}),
            "lat": (("y", "x"), rng.random((5, 7)), {"standard_name": "latitude"}),
            "lon": (("y", "x"), rng.random((5, 7)), {"standard_name": "longitude"}),
            "station": ("site", np.array(["Bern", "Genève"], dtype=object), {}),
        },
        {"title": "test", "history": "made", "version": np.int32(3), "corners": np.array([1.5, 2.5])},
    )


def save(data: xr.Dataset, path: Path, **encoding: Any) -> Path:
    if path.suffix == ".zarr":
        for one in data.variables.values():
            if "_FillValue" in one.attrs:  # xarray wants it there, to write it as Zarr has it
                one.encoding["_FillValue"] = one.attrs.pop("_FillValue")
        data.drop_vars("station", errors="ignore").to_zarr(path, consolidated=False, **encoding)
    else:
        data.to_netcdf(path, engine="h5netcdf", **encoding)
    return path


def made(path: Path, codes: np.ndarray = CODES) -> Path:
    """A file of any of these formats with ``codes``, of which -32768 is what is missing."""
    if path.suffix != ".h5":
        return save(dataset(codes), path)
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=codes).attrs["_FillValue"] = np.int16(-32768)
    return path


def opened(path: Path) -> xr.Dataset:
    if path.suffix == ".zarr":
        return xr.open_zarr(path, consolidated=False, decode_cf=False).load()
    with xr.open_dataset(path, engine="h5netcdf", decode_cf=False) as data:
        return data.load()


FORMATS = [("in.nc", {}), ("in.zarr", {"zarr_format": 2}), ("in.zarr", {"zarr_format": 3})]


@pytest.mark.parametrize(("name", "options"), FORMATS)
def test_values_are_those_of_the_formula_and_all_else_comes_back(name: str, options: dict, tmp_path: Path) -> None:
    path = save(dataset(), tmp_path / name, **options)
    clip = read(path)
    assert np.array_equal(clip.observed[:, 0], CODES != -32768)
    expected = 0.01 * CODES.astype(np.float64) + 273.15
    assert np.array_equal(clip.values[:, 0], expected.astype(clip.values.dtype))
    assert clip.times is not None
    assert np.array_equal(clip.times, TIMES)
    assert clip.header is not None
    assert (clip.header.units, 1 / (clip.header.rate or 1)) == ("K", 600)
    target = tmp_path / f"out{path.suffix}"
    write(clip, target)
    before, after = opened(path), opened(target)
    xr.testing.assert_identical(before, after)  # names, dims, codes, coordinates, attributes
    assert all(before[key].dtype == after[key].dtype for key in before.variables)
    again = read(target)
    assert np.array_equal(again.values[again.observed], clip.values[clip.observed])


def test_compression_chunks_and_unlimited_axes_stay(tmp_path: Path) -> None:
    encoding = {"t2m": {"zlib": True, "complevel": 7, "shuffle": True, "chunksizes": (4, 5, 7)}}
    path = save(dataset(), tmp_path / "in.nc", encoding=encoding, unlimited_dims=["time"])
    write(read(path), tmp_path / "out.nc")
    with h5netcdf.File(tmp_path / "out.nc") as file:
        stored = file["t2m"]._h5ds
        assert (stored.chunks, stored.compression_opts, stored.shuffle) == ((4, 5, 7), 7, True)
        assert file.dimensions["time"].isunlimited()
    assert np.array_equal(opened(tmp_path / "out.nc").t2m.values, CODES)


@pytest.mark.parametrize("name", ["in.nc", "in.zarr"])
def test_a_missing_time_is_a_missing_frame_and_is_written_as_one(name: str, tmp_path: Path) -> None:
    path = save(dataset().isel(time=[0, 1, 4, 5]), tmp_path / name)
    clip = read(path)
    assert clip.observed.any(axis=(1, 2, 3)).tolist() == [True, True, False, False, True, True]
    assert np.array_equal(clip.times, TIMES)  # pyright: ignore[reportArgumentType]
    target = tmp_path / f"out{path.suffix}"
    write(clip, target)
    expected = CODES.copy()
    expected[2:4] = -32768
    assert np.array_equal(opened(target).t2m.values, expected)
    assert opened(target).time.values.tolist() == [0, 10, 20, 30, 40, 50]
    filled = clip.filled(np.full(clip.values.shape, 0.5, np.float32))
    write(filled, target, force=True)
    codes = opened(target).t2m.values
    known = CODES != -32768
    known[2:4] = False
    assert np.array_equal(codes[known], CODES[known])
    assert not (codes == -32768).any()


def test_without_knowing_the_number_of_frames(tmp_path: Path) -> None:
    for name in ("in.nc", "in.zarr", "in.h5"):
        path = made(tmp_path / name)
        target = tmp_path / f"out{path.suffix}"
        with open_reader(path) as stream, open_writer(target, replace(stream.header, frames=None)) as writer:
            for frame in stream:
                writer.write(frame)
        assert np.array_equal(read(target).values, read(path).values)


@pytest.mark.parametrize("order", [("x", "y", "time"), ("y", "time", "x"), ("time", "x", "y")])
def test_axes_are_found_by_name(order: tuple[str, ...], tmp_path: Path) -> None:
    path = save(dataset().transpose(*order, ...), tmp_path / "in.nc")
    clip = read(path)
    assert np.array_equal(clip.observed[:, 0], CODES != -32768)
    write(clip, tmp_path / "out.nc")
    xr.testing.assert_identical(opened(path), opened(tmp_path / "out.nc"))


def test_levels_and_channels(tmp_path: Path) -> None:
    values = RNG.random((4, 1, 3, 5, 6)).astype(np.float32)
    data = xr.Dataset({"v": (("time", "height", "band", "lat", "lon"), values)})
    clip = read(save(data, tmp_path / "in.nc"))
    assert np.array_equal(clip.values, values[:, 0])
    write(clip, tmp_path / "out.nc")
    assert np.array_equal(opened(tmp_path / "out.nc").v.values, values)
    data = xr.Dataset({"v": (("time", "height", "band", "lat", "lon"), np.repeat(values, 2, axis=1))})
    with pytest.raises(DataError, match="height 2"):
        read(save(data, tmp_path / "five.nc"))


def test_several_variables_are_listed_and_one_can_be_chosen(tmp_path: Path) -> None:
    data = dataset()
    data["rain"] = (("time", "y", "x"), RNG.random((6, 5, 7)).astype(np.float32), {"units": "mm"})
    for name in ("in.nc", "in.zarr"):
        path = save(data, tmp_path / name)
        with pytest.raises(DataError, match=r"(?=.*t2m \(6, 5, 7\))(?=.*rain \(6, 5, 7\))"):
            read(path)
        clip = read(path, variable="rain")
        assert np.array_equal(clip.values[:, 0], data.rain.values)
        with pytest.raises(ConfigError, match=r"'snow'(?=.*t2m)(?=.*rain)"):
            read(path, variable="snow")


def test_no_variable_of_frames(tmp_path: Path) -> None:
    data = xr.Dataset({"a": ("x", np.zeros(4))}, {"x": np.arange(4)})
    for name in ("in.nc", "in.zarr"):
        with pytest.raises(DataError, match="2 axes or more"):
            read(save(data, tmp_path / name))


def test_a_variable_is_of_no_use_to_other_formats(tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", np.zeros((3, 8, 8), np.uint8))
    with pytest.raises(ConfigError, match="no variables"):
        read(tmp_path / "in.npy", variable="frames")


def test_groups_of_netcdf(tmp_path: Path) -> None:
    data = dataset()
    data.to_netcdf(tmp_path / "in.nc", engine="h5netcdf", group="upper/air")
    with pytest.raises(DataError, match="variables none"):
        read(tmp_path / "in.nc")
    clip = read(tmp_path / "in.nc", variable="upper/air/t2m")
    assert np.array_equal(clip.times, TIMES)  # pyright: ignore[reportArgumentType]
    write(clip, tmp_path / "out.nc")
    with xr.open_dataset(tmp_path / "out.nc", engine="h5netcdf", group="upper/air", decode_cf=False) as again:
        assert np.array_equal(again.t2m.values, CODES)
    with pytest.raises(ConfigError, match="'lower'"):
        read(tmp_path / "in.nc", variable="lower/t2m")


@pytest.mark.parametrize("name", ["in.nc", "in.zarr", "in.h5"])
def test_all_fill_values_is_an_error(name: str, tmp_path: Path) -> None:
    path = made(tmp_path / name, np.full_like(CODES, -32768))
    with pytest.raises(DataError, match="no pixel has a value"):
        read(path)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.97])
@pytest.mark.parametrize("suffix", [".nc", ".h5"])
def test_truncated_files_are_refused(suffix: str, share: float, tmp_path: Path) -> None:
    path = made(tmp_path / f"in{suffix}")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DataError) as error:
        read(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")  # which Python prints past all handlers
@pytest.mark.parametrize("name", ["in.nc", "in.h5"])
def test_damage_gives_our_errors_or_frames_and_no_library_complains(name: str, tmp_path: Path) -> None:
    path = made(tmp_path / name)
    whole = path.read_bytes()
    rng = np.random.default_rng(3)
    for _ in range(40):
        data = bytearray(whole)
        for place in rng.integers(8, len(data), 20):
            data[place] = rng.integers(256)
        path.write_bytes(data)
        with suppress(FrameForecastError):
            read(path)


def test_zarr_says_what_is_wrong_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = save(dataset(), tmp_path / "in.zarr", zarr_format=2)
    for name in ("t2m", "crs", "lat"):
        (path / name / ".zarray").write_text('{"zarr_format": 2}')
    with pytest.raises(DataError, match=r"in\.zarr"):
        read(path)
    gc.collect()  # what was never looked at is reported when it is let go of
    assert not caplog.records


def test_zarr_axes_that_have_no_names_need_none(tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "in.zarr", mode="w", zarr_format=2)
    group.create_array("frames", data=CODES, attributes={"_ARRAY_DIMENSIONS": [["time"], "y", 3]})
    write(read(tmp_path / "in.zarr"), tmp_path / "out.zarr")
    assert np.array_equal(read(tmp_path / "out.zarr").values[:, 0], CODES)


def test_damaged_zarr(tmp_path: Path) -> None:
    path = save(dataset(), tmp_path / "in.zarr", zarr_format=3)
    (path / "t2m" / "zarr.json").write_text("{")
    with pytest.raises(DataError, match=r"in\.zarr"):
        read(path)
    zarr.save_array(tmp_path / "array.zarr", CODES)
    with pytest.raises(DataError, match="group"):
        read(tmp_path / "array.zarr")


def test_classic_netcdf_says_how_to_convert_it(tmp_path: Path) -> None:
    (tmp_path / "in.nc").write_bytes(b"CDF\x01" + bytes(100))
    with pytest.raises(DataError, match="nccopy"):
        read(tmp_path / "in.nc")


@pytest.mark.parametrize("name", ["in.nc", "in.h5", "in.zarr"])
def test_a_package_that_is_not_there_is_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path / name)
    for module in ("h5py", "h5netcdf", "zarr"):
        monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(ConfigError, match=r"frame-forecast\[science\]"):
        read(path)


def test_hdf5_keeps_the_rest_of_the_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "in.h5", "w") as file:
        file.attrs["microscope"] = "A"
        stack = file.create_dataset("exp/run1/stack", data=CODES, chunks=(1, 5, 7), compression="gzip", fletcher32=True)
        stack.attrs.update({"scale_factor": 0.5, "_FillValue": np.int16(-32768), "units": "counts"})
        file["exp/run1"].attrs["gain"] = np.arange(3)
        file["exp/positions"] = RNG.random((9, 2))
        file["names"] = np.array(["a", "b"], dtype=h5py.string_dtype())
        file["link"] = h5py.SoftLink("/nowhere")
        file["self"] = h5py.SoftLink("/")
    clip = read(tmp_path / "in.h5")
    assert np.array_equal(clip.values[clip.observed], 0.5 * CODES[CODES != -32768])
    write(clip, tmp_path / "out.h5")
    with h5py.File(tmp_path / "in.h5") as before, h5py.File(tmp_path / "out.h5") as after:
        assert after.attrs["microscope"] == "A"
        stack = after["exp/run1/stack"]
        assert np.array_equal(stack[:], CODES)
        assert (stack.dtype, stack.chunks, stack.compression, stack.fletcher32) == (np.int16, (1, 5, 7), "gzip", True)
        assert dict(stack.attrs) == dict(before["exp/run1/stack"].attrs)
        assert after["exp/run1"].attrs["gain"].tolist() == [0, 1, 2]
        assert np.array_equal(after["exp/positions"][:], before["exp/positions"][:])
        assert after["names"][1] == b"b"
        assert after.get("link", getlink=True).path == "/nowhere"
    with h5py.File(tmp_path / "in.h5", "a") as file:
        file["other"] = CODES
    with pytest.raises(DataError, match=r"exp/run1/stack.*other"):
        read(tmp_path / "in.h5")
    assert np.array_equal(read(tmp_path / "in.h5", variable="other").values[:, 0], CODES)


def test_hdf5_with_times_and_a_layout(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "in.h5", "w") as file:
        file["video"] = CODES.transpose(1, 2, 0)
        file["time"] = np.array([0.0, 1, 2, 4, 5, 6])
        file["time"].attrs["units"] = "seconds since 2020-01-01"
    clip = read(tmp_path / "in.h5", "HWT")
    assert np.array_equal(clip.values[[0, 1, 2, 4, 5, 6], 0], CODES)
    assert not clip.observed[3].any()
    with pytest.raises(OutputError, match="no code"):
        write(clip, tmp_path / "out.h5")
    write(clip.filled(np.zeros(clip.values.shape, np.float32)), tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["time"][:].tolist() == [0, 1, 2, 3, 4, 5, 6]
        assert np.array_equal(file["video"][..., [0, 1, 2, 4, 5, 6]], CODES.transpose(1, 2, 0))


def test_a_series_of_files_becomes_one_file_or_many(tmp_path: Path) -> None:
    data = dataset(units="kg m-2", standard_name="precipitation_amount", scale_factor=0.05, add_offset=0.0)
    data["start"] = ("time", data.time.values - 10, {"units": data.time.attrs["units"]})
    data = data.drop_vars(["orography", "station"])
    (tmp_path / "in").mkdir()
    for number in (0, 1, 2, 5):  # the time is a single number in each
        save(data.isel(time=number), tmp_path / "in" / f"scan_{number}.nc")
    clip = read(tmp_path / "in")
    assert clip.observed.any(axis=(1, 2, 3)).tolist() == [True, True, True, False, False, True]
    assert np.array_equal(clip.times, TIMES)  # pyright: ignore[reportArgumentType]
    assert clip.scale.kind == "log1p"
    assert (clip.scale.low, clip.scale.high) == pytest.approx((0.1 / 6, 200 / 6))  # in ten minutes from its start
    whole = clip.filled(np.zeros(clip.values.shape, np.float32))
    write(whole, tmp_path / "out")
    for number in range(6):
        again = opened(tmp_path / "out" / f"scan_{number}.nc")
        assert (again.time.values, again.start.values) == (number * 10, number * 10 - 10)
        assert number not in (3, 4) or (again.t2m.values == 0).all()  # no rain is none, not the least there is
    write(clip, tmp_path / "same")
    for number in (0, 1, 2, 5):
        name = f"scan_{number}.nc"
        xr.testing.assert_identical(opened(tmp_path / "same" / name), opened(tmp_path / "in" / name))
    write(whole, tmp_path / "out.nc")
    joined = opened(tmp_path / "out.nc")
    assert joined.t2m.dims == ("time", "y", "x")
    assert joined.time.values.tolist() == list(range(0, 60, 10))
    assert joined.start.values.tolist() == list(range(-10, 50, 10))


def test_rates_of_rain_and_bounds_of_time(tmp_path: Path) -> None:
    data = dataset(units="mm/h", standard_name="rainfall_rate", scale_factor=0.01, add_offset=0.0)
    assert read(save(data, tmp_path / "rate.nc")).scale == ValueScale(0.1, 200, "log1p")
    data = dataset(units="mm", long_name="rain", standard_name="precipitation_amount")
    data.time.attrs["bounds"] = "time_bnds"
    data["time_bnds"] = (("time", "nv"), np.stack([data.time.values - 30, data.time.values], axis=1))
    path = save(data, tmp_path / "sum.nc")
    clip = read(path)
    assert clip.scale == ValueScale(0.05, 100, "log1p")
    write(clip, tmp_path / "out.nc")
    assert "time_bnds" not in opened(tmp_path / "out.nc")
    assert "bounds" not in opened(tmp_path / "out.nc").time.attrs
    del data["time_bnds"], data.time.attrs["bounds"]
    assert read(save(data, tmp_path / "unknown.nc")).scale.kind == "linear"  # gathered in nobody knows how long


@pytest.mark.parametrize("calendar", ["noleap", "360_day"])
def test_calendars_that_are_not_ours_are_told(calendar: str, tmp_path: Path) -> None:
    data = dataset()
    data.time.attrs["calendar"] = calendar
    path = save(data, tmp_path / "in.nc")
    with pytest.warns(FrameForecastWarning, match=calendar):
        clip = read(path)
    assert clip.times is None
    write(clip, tmp_path / "out.nc")
    assert "time" not in opened(tmp_path / "out.nc").variables


def test_unsigned_codes_of_old_and_limits(tmp_path: Path) -> None:
    codes = RNG.integers(0, 256, (6, 5, 7)).astype(np.uint8)
    attributes = {
        "_Unsigned": "true",
        "_FillValue": np.int8(-1),
        "valid_range": np.array([3, -6], np.int8),
        "scale_factor": 2.0,
    }
    data = xr.Dataset({"v": (("time", "y", "x"), codes.view(np.int8), attributes)})
    path = save(data, tmp_path / "in.nc")
    clip = read(path)
    known = (codes >= 3) & (codes <= 250)
    assert np.array_equal(clip.observed[:, 0], known)
    assert np.array_equal(clip.values[:, 0][known], 2.0 * codes[known])
    write(clip, tmp_path / "out.nc")
    again = opened(tmp_path / "out.nc").v
    assert again.dtype == np.int8
    assert np.array_equal(again.values.view(np.uint8), np.where(known, codes, 255))


@pytest.mark.parametrize("suffix", [".nc", ".h5", ".zarr"])
@pytest.mark.parametrize("dated", [True, False])
@settings(max_examples=12)
@given(data=st.data())
def test_clips_of_other_formats(suffix: str, dated: bool, data: st.DataObject, tmp_path_factory: Any) -> None:
    dtype = np.dtype(data.draw(st.sampled_from(["u1", "u2", ">i2", "i4", ">f4", "f8"])))
    C = data.draw(st.sampled_from([1, 2, 3]))
    T, H, W = data.draw(st.tuples(st.integers(2, 4), st.integers(5, 8), st.integers(5, 8)))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    values = rng.integers(0, 200, (T, C, H, W)).astype(dtype)
    observed = rng.random((T, 1, H, W)) > (0.3 if dtype.kind == "f" else -1)
    observed[0, 0, 0, 0] = True
    times = np.arange(T) * 0.04 if not dated else TIMES[:T]
    path = tmp_path_factory.mktemp("science") / f"out{suffix}"
    write(Clip(values, observed, ValueScale(0, 255), times), path)
    again = read(path, "TCHW" if C > 1 and suffix == ".h5" else None)
    assert again.values.dtype == dtype.newbyteorder("=")
    assert np.array_equal(again.observed, observed)
    seen = np.broadcast_to(observed, values.shape)
    assert np.array_equal(again.values[seen], values[seen])
    if suffix != ".h5" or dated:
        np.testing.assert_array_equal(again.times, times)


def test_missing_integers_without_a_code_are_refused(tmp_path: Path) -> None:
    values = np.zeros((2, 1, 4, 4), np.uint8)
    observed = np.ones((2, 1, 4, 4), bool)
    observed[1, 0, 0, 0] = False
    for name in ("out.nc", "out.h5", "out.zarr"):
        with pytest.raises(OutputError, match=name):
            write(Clip(values, observed, ValueScale(0, 255)), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_stores_are_replaced_by_force_alone(tmp_path: Path) -> None:
    clip = Clip.from_array(np.zeros((2, 4, 4), np.uint8))
    write(clip, tmp_path / "out.zarr")
    with pytest.raises(OutputError, match="there already"):
        write(clip, tmp_path / "out.zarr")
    write(Clip.from_array(np.ones((3, 4, 4), np.uint8)), tmp_path / "out.zarr", force=True)
    assert len(read(tmp_path / "out.zarr").values) == 3
    assert len(read(f"{tmp_path}/*.zarr").values) == 3
    (tmp_path / "mine.zarr").mkdir()
    (tmp_path / "mine.zarr" / "letter.txt").write_text("dear")
    with pytest.raises(OutputError, match="no file of frames"):
        write(clip, tmp_path / "mine.zarr", force=True)


@pytest.mark.parametrize("name", ["in.nc", "in.zarr"])
def test_headers_can_be_compared_and_pickled(name: str, tmp_path: Path) -> None:
    header = read(save(dataset(), tmp_path / name)).header
    assert header is not None
    assert header == header
    again = pickle.loads(pickle.dumps(header))
    assert again.meta["template"].name == "t2m"
