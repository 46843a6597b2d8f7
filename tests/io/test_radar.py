"""Radar products: values by the formulas of their makers, computed here anew from what other libraries read."""

import gzip
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from PIL import Image

from frame_forecast.clip import Clip
from frame_forecast.errors import ConfigError, DataError, FrameForecastWarning, OutputError
from frame_forecast.io.clips import read, write
from frame_forecast.io.formats.hdf5 import SKELETON
from frame_forecast.io.formats.mch import RAIN, codes_of
from frame_forecast.scale import ValueScale
from radar_files import fmi_file, knmi_file, mch_file
from real_data import DATA


def mch_codes(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def mch_values(codes: np.ndarray) -> np.ndarray:
    """As pysteps' ``import_mch_gif`` has it, code by code."""
    table = np.zeros(256)
    for code in range(2, 251):
        table[code] = (10.0 ** ((code - 71.5) / 20.0) / 316.0) ** (1.0 / 1.5)
    table[255] = np.nan
    return table[codes]


def fmi_codes(path: Path) -> np.ndarray:
    data = gzip.decompress(path.read_bytes())
    match = re.search(rb"\n(\d+) (\d+)\n255\n", data)
    assert match
    return np.frombuffer(data[match.end() :], np.uint8).reshape(int(match[2]), int(match[1]))


def fmi_values(codes: np.ndarray) -> np.ndarray:
    return np.where(codes == 255, np.nan, (codes - 64.0) / 2.0)


def knmi_codes(path: Path) -> np.ndarray:
    with h5py.File(path) as file:
        return file["image1/image_data"][()]


def knmi_values(codes: np.ndarray) -> np.ndarray:
    return np.where(np.isin(codes, (762, 765, 65535)), np.nan, 0.01 * codes + 0.0)


PRODUCTS = {
    "mch": (mch_file, mch_codes, mch_values, "2015-05-15T18:00", "mm"),
    "fmi": (fmi_file, fmi_codes, fmi_values, "2016-09-28T14:00", "dBZ"),
    "knmi": (knmi_file, knmi_codes, knmi_values, "2010-08-26T00:00", "mm"),
}
REAL = {
    "mch": "mch/20150515",
    "fmi": "fmi/pgm/20160928",
    "knmi": "KNMI/2010/08",
    "bom": "bom/prcp-c10/66/2020/10/31",
}


def real(kind: str) -> Path:
    """The folder of real scans; tests that need it are skipped by name without it."""
    folder = DATA / "radar" / REAL[kind]
    if not folder.is_dir():
        pytest.skip(f"needs real radar data of {kind}: set FRAME_FORECAST_DATA")
    return folder


def made(kind: str, tmp_path: Path, minutes: tuple[int, ...] = (0, 5, 10, 25, 30)) -> Path:
    """A folder of scans, those of minutes 15 and 20 missing from it; every code occurs."""
    folder = tmp_path / "in"
    folder.mkdir()
    rng = np.random.default_rng(2)
    codes = rng.permutation(np.arange(max(256, 35 * len(minutes))) % 256)[: 35 * len(minutes)].astype(np.uint8)
    for scan, minute in zip(codes.reshape(-1, 5, 7), minutes, strict=True):
        PRODUCTS[kind][0](folder, scan, minute)
    return folder


def check_scans(
    clip: Clip,
    files: list[Path],
    codes_of_file: Callable[[Path], np.ndarray],
    values: Callable[[np.ndarray], np.ndarray],
) -> None:
    seen = [t for t in range(len(clip.values)) if clip.observed[t].any()]
    assert len(seen) == len(files)
    for t, file in zip(seen, files, strict=True):
        expected = values(codes_of_file(file))
        known = ~np.isnan(expected)
        assert np.array_equal(clip.observed[t, 0], known)
        assert np.array_equal(clip.values[t, 0][known], expected[known].astype(np.float32))


@pytest.mark.parametrize("kind", PRODUCTS)
def test_scans_are_read_by_the_formula_and_written_as_they_were(kind: str, tmp_path: Path) -> None:
    _, codes, values, start, units = PRODUCTS[kind]
    folder = made(kind, tmp_path)
    files = sorted(folder.iterdir())
    clip = read(folder)
    check_scans(clip, files, codes, values)
    assert clip.header is not None
    assert (clip.header.kind, clip.header.units) == (kind, units)
    assert clip.observed.any(axis=(1, 2, 3)).tolist() == [True, True, True, False, False, True, True]
    assert np.array_equal(clip.times, np.datetime64(start) + 5 * np.arange(7) * np.timedelta64(1, "m"))  # pyright: ignore
    write(clip, tmp_path / "out")
    assert [file.name for file in sorted((tmp_path / "out").iterdir())] == [file.name for file in files]
    for file in files:
        known = ~np.isnan(values(codes(file)))
        known &= (kind != "mch") | (codes(file) < 251)  # codes in no product, which mean no rain
        assert np.array_equal(codes(tmp_path / "out" / file.name)[known], codes(file)[known])
    again = read(tmp_path / "out")
    assert np.array_equal(again.observed, clip.observed)
    assert np.array_equal(again.times, clip.times)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("kind", PRODUCTS)
def test_scans_that_were_missing_are_written_with_their_own_time(kind: str, tmp_path: Path) -> None:
    clip = read(made(kind, tmp_path))
    whole = clip.filled(np.full(clip.values.shape, 0.25, np.float32))
    write(whole, tmp_path / "out")
    again = read(tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == 7
    assert again.observed.all()
    assert np.array_equal(again.times, clip.times)  # pyright: ignore[reportArgumentType]
    seen = clip.observed
    assert np.array_equal(again.values[seen], clip.values[seen])
    step = {"mch": 0.05, "fmi": 0.25, "knmi": 0.006}[kind] * (whole.values[~seen] if kind == "mch" else 1)
    assert (np.abs(again.values[~seen] - whole.values[~seen]) <= step).all()
    dry = clip.filled(np.zeros(clip.values.shape, np.float32))
    write(dry, tmp_path / "dry")
    assert (read(tmp_path / "dry").values[3] == (-32 if kind == "fmi" else 0)).all()  # no rain is none at all


@pytest.mark.parametrize(("kind", "suffix"), [("mch", ".gif"), ("fmi", ".pgm"), ("knmi", ".h5")])
def test_many_scans_need_a_folder(kind: str, suffix: str, tmp_path: Path) -> None:
    clip = read(made(kind, tmp_path))
    with pytest.raises(OutputError, match="folder"):
        write(clip, tmp_path / f"out{suffix}")
    write(clip, tmp_path / "out.nc")  # a format that can hold them
    again = read(tmp_path / "out.nc")
    assert np.array_equal(again.observed, clip.observed)
    assert np.array_equal(again.values[again.observed], clip.values[clip.observed])
    assert np.array_equal(again.times, clip.times)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("share", [0.3, 0.97])
@pytest.mark.parametrize("kind", PRODUCTS)
def test_truncated_scans_are_missing(kind: str, share: float, number: int, tmp_path: Path) -> None:
    folder = made(kind, tmp_path)
    path = sorted(folder.iterdir())[number]
    before = read(folder)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.warns(FrameForecastWarning, match=re.escape(path.name)):
        clip = read(folder)
    assert not clip.observed[number].any()
    others = np.arange(len(clip.values)) != number
    assert np.array_equal(clip.observed[others], before.observed[others])
    assert np.array_equal(clip.times, before.times)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("kind", PRODUCTS)
def test_scans_without_any_coverage_are_refused(kind: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for minute in (0, 5):
        PRODUCTS[kind][0](tmp_path / "in", np.full((5, 7), 255, np.uint8), minute)
    with pytest.raises(DataError, match="no pixel has a value"):
        read(tmp_path / "in")


def test_meteoswiss_classes() -> None:
    codes = np.arange(256, dtype=np.uint8)
    assert np.array_equal(RAIN, mch_values(codes).astype(np.float32), equal_nan=True)
    again = codes_of(RAIN, codes != 255)
    used = (codes < 251) | (codes == 255)
    assert np.array_equal(again[used], codes[used])
    assert (again[~used] == 0).all()


def test_knmi_calibrations(tmp_path: Path) -> None:
    folder = made("knmi", tmp_path)
    for path in folder.iterdir():
        with h5py.File(path, "a") as file:
            file["image1"].attrs["image_geo_parameter"] = np.bytes_("REFLECTIVITY_[DBZ]")
            file["image1/calibration"].attrs["calibration_formulas"] = np.bytes_("GEO = 0.5*PV + -32.0")
    clip = read(folder)
    assert clip.header is not None
    assert clip.header.units == "dBZ"
    check_scans(clip, sorted(folder.iterdir()), knmi_codes, lambda codes: knmi_values(codes) * 0 + 0.5 * codes - 32.0)
    for path in folder.iterdir():
        with h5py.File(path, "a") as file:
            file.copy("image1", "image2")
    with pytest.raises(DataError, match=r"image1.*image2"):
        read(folder)
    assert np.array_equal(read(folder, variable="image2").values, clip.values)
    with pytest.raises(ConfigError, match="image3"):
        read(folder, variable="image3")
    path = sorted(folder.iterdir())[0]
    with h5py.File(path, "a") as file:
        del file["image2"]
        file["image1/calibration"].attrs["calibration_formulas"] = np.bytes_("GEO=log(PV)")
    with pytest.raises(DataError, match="log"):
        read(folder)


def test_knmi_statistics_are_of_the_scan(tmp_path: Path) -> None:
    clip = read(made("knmi", tmp_path))
    write(clip, tmp_path / "out")
    file = sorted((tmp_path / "out").iterdir())[0]
    with h5py.File(file) as scan:
        largest = scan["image1/statistics"].attrs["stat_max_value"]
    assert largest == pytest.approx([clip.values[0, 0][clip.observed[0, 0]].max()])


def test_knmi_on_a_full_disk(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    resource = pytest.importorskip("resource", reason="limits of POSIX systems")
    clip = read(made("knmi", tmp_path))
    assert clip.header is not None
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(clip.header.meta[SKELETON]) + 100, hard))
    try:
        with pytest.raises(OutputError, match="too large"):
            write(clip, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", PRODUCTS)
def test_real_scans(kind: str, tmp_path: Path) -> None:
    _, codes, values, _, _ = PRODUCTS[kind]
    if kind == "knmi":
        values = lambda codes: np.where(codes == 65535, np.nan, 0.01 * codes + 0.0)  # noqa: E731
    files = sorted(real(kind).iterdir())[:12]
    kept = [file for number, file in enumerate(files) if number not in (3, 7, 8)]
    clip = read(kept)
    assert len(clip.values) == 12
    check_scans(clip, kept, codes, values)
    stamps = [re.search(r"\d{9,12}", file.name) for file in files]
    assert clip.times is not None
    shown = [
        f"{time.astype('datetime64[s]').item():{'%y%j%H%M' if kind == 'mch' else '%Y%m%d%H%M'}}" for time in clip.times
    ]
    assert shown == [stamp[0] for stamp in stamps if stamp]
    write(clip, tmp_path / "out")
    assert [file.name for file in sorted((tmp_path / "out").iterdir())] == [file.name for file in kept]
    for file in kept:
        again = tmp_path / "out" / file.name
        assert np.array_equal(codes(again), codes(file))
        if kind == "fmi":
            assert gzip.decompress(again.read_bytes()) == gzip.decompress(file.read_bytes())
        if kind == "mch":
            with Image.open(again) as after, Image.open(file) as before:
                assert after.info["comment"] == before.info["comment"]
                assert after.getpalette() == before.getpalette()


def test_real_knmi_attributes_stay(tmp_path: Path) -> None:
    files = sorted(real("knmi").iterdir())[:3]
    write(read(files), tmp_path / "out")
    for file in files:
        with h5py.File(file) as before, h5py.File(tmp_path / "out" / file.name) as after:
            objects: list[str] = []
            before.visit(objects.append)
            for name in objects:
                assert set(before[name].attrs) == set(after[name].attrs)
                for key, value in before[name].attrs.items():
                    assert "statistics" in name or np.array_equal(after[name].attrs[key], value)


def test_real_bom(tmp_path: Path) -> None:
    files = sorted(real("bom").iterdir())[:8]
    (tmp_path / "in").mkdir()
    for number, file in enumerate(files):
        if number not in (2, 3):
            shutil.copy(file, tmp_path / "in")
    clip = read(tmp_path / "in")
    assert clip.observed.any(axis=(1, 2, 3)).tolist() == [number not in (2, 3) for number in range(8)]
    assert clip.scale.kind == "log1p"
    assert (clip.scale.low, clip.scale.high) == pytest.approx((0.1 / 6, 200 / 6))
    whole = clip.filled(np.zeros(clip.values.shape, np.float32))
    write(whole, tmp_path / "out")
    for number, file in enumerate(files):
        assert clip.times is not None
        with h5py.File(file) as before, h5py.File(tmp_path / "out" / file.name) as after:
            assert clip.times[number] == np.datetime64(int(before["valid_time"][()]), "s")
            for time in ("valid_time", "start_time"):
                assert after[time][()] == before[time][()]
            if number in (2, 3):
                assert (after["precipitation"][()] == 0).all()
                continue
            codes = before["precipitation"][()]
            known = codes != -1
            assert np.array_equal(clip.observed[number, 0], known)
            assert np.array_equal(clip.values[number, 0][known], (codes[known] * 0.05 + 0.0).astype(np.float32))
            assert np.array_equal(after["precipitation"][()][known], codes[known])
    with (
        xr.open_dataset(files[0], engine="h5netcdf") as before,
        xr.open_dataset(tmp_path / "out" / files[0].name, engine="h5netcdf") as after,
    ):
        left_out = ["precipitation", "proj"]  # the first is compared above, the other's value is random
        xr.testing.assert_identical(before.drop_vars(left_out), after.drop_vars(left_out))
        assert before.precipitation.attrs == after.precipitation.attrs
        assert before.proj.attrs.keys() == after.proj.attrs.keys()


def test_the_scale_of_reflectivity_holds_every_code(tmp_path: Path) -> None:
    assert read(made("fmi", tmp_path)).scale == ValueScale(-32.0, 95.0)
