"""Codes and values: by the CF conventions' formulas, and back to the same codes."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frame_forecast.errors import DataError
from frame_forecast.io.packing import Packing
from frame_forecast.io.rain import rain_scale, value_of_rate
from frame_forecast.scale import ValueScale

HERE = Path("file.nc")


@given(
    st.sampled_from(["u1", "i1", "u2", ">i2", "i4"]),
    st.sampled_from([0.01, 0.1, 1.0, 0.05, 2.0, 1 / 3, -0.5]),
    st.sampled_from([0.0, 273.15, -32.0, 1e4]),
    st.integers(0, 2**16),
)
def test_every_code_comes_back(dtype: str, factor: float, offset: float, seed: int) -> None:
    limits = np.iinfo(dtype)
    codes = np.random.default_rng(seed).integers(limits.min, limits.max, (1, 8, 9), endpoint=True).astype(dtype)
    packing = Packing(np.dtype(dtype), factor, offset, (codes[0, 0, 0], codes[0, 1, 1]))
    values, known = packing.unpack(codes)
    assert np.array_equal(known, (codes != codes[0, 0, 0]) & (codes != codes[0, 1, 1]))
    if packing.is_plain:
        assert np.array_equal(values, codes)
    else:
        assert np.array_equal(values, (codes.astype(np.float64) * factor + offset).astype(values.dtype))
    again = packing.pack(values, known)
    assert again.dtype == np.dtype(dtype)
    assert np.array_equal(again[known], codes[known])
    assert (again[~known] == codes[0, 0, 0]).all()


@pytest.mark.parametrize(
    ("dtype", "factor", "offset", "expected"),
    [
        ("u2", 0.01, 0.0, "f4"),
        ("i2", 0.01, 273.15, "f4"),
        ("i2", 1e-6, 1000.0, "f8"),  # float32 has 6e-5 there, and would make many codes one
        ("i4", 0.01, 0.0, "f8"),
        (">i2", 1.0, 0.0, "i2"),
    ],
)
def test_values_are_as_precise_as_need_be(dtype: str, factor: float, offset: float, expected: str) -> None:
    assert Packing(np.dtype(dtype), factor, offset).values_dtype == np.dtype(expected)


def test_what_was_made_never_falls_on_a_code_for_what_is_missing() -> None:
    packing = Packing(np.dtype(np.uint8), 0.5, 0.0, (255, 254, 0))
    values = np.array([127.5, 127.0, 500.0, 0.0, -3.0, 7.2], np.float32)
    assert packing.pack(values, np.ones(6, bool)).tolist() == [253, 253, 253, 1, 1, 14]
    known = np.array([True, False] * 3)
    assert packing.pack(np.where(known, values, np.nan), known)[~known].tolist() == [255] * 3


def test_attributes_of_cf() -> None:
    attributes = {
        "scale_factor": np.array([0.5], np.float32),
        "add_offset": 10,
        "_FillValue": np.int16(-1),
        "missing_value": np.array([-2, -3, 1e20]),  # the last is no code of 16 bits
        "valid_min": np.int16(0),
        "valid_max": np.int16(100),
    }
    packing = Packing.of_attributes(HERE, np.dtype(np.int16), attributes)
    values, known = packing.unpack(np.array([-1, -2, -3, -4, 0, 100, 101], np.int16))
    assert known.tolist() == [False] * 4 + [True] * 2 + [False]
    assert values[known].tolist() == [10.0, 60.0]
    assert packing.missing == (-1, -2, -3)
    assert packing.pack(np.array([1e9]), np.array([True])).tolist() == [100]


def test_floats_with_a_fill_value_keep_their_bits() -> None:
    codes = np.array([1.1, np.nan, 9.96921e36, -0.0], np.float32)
    packing = Packing.of_attributes(HERE, codes.dtype, {"_FillValue": np.float64(9.96921e36)})
    values, known = packing.unpack(codes)
    assert known.tolist() == [True, True, False, True]
    assert packing.pack(values, known)[known].tobytes() == codes[known].tobytes()


@pytest.mark.parametrize(
    "attributes", [{"scale_factor": "0.1 mm"}, {"scale_factor": 0.0}, {"add_offset": np.nan}, {"_FillValue": "none"}]
)
def test_attributes_that_are_no_numbers(attributes: dict) -> None:
    with pytest.raises(DataError, match=r"file\.nc"):
        Packing.of_attributes(HERE, np.dtype(np.int16), attributes)


def test_the_scale_of_rain() -> None:
    rate, five, hour = rain_scale("mm/h", None), rain_scale("mm", 1 / 12), rain_scale("kg m-2", 1)
    assert rate is not None
    assert five is not None
    assert hour == rate
    amounts = np.array([0.0, 0.1, 4.4, 200.0, 500.0])
    unit = rate.to_unit(amounts)
    assert unit == pytest.approx([0, np.log(2) / np.log(2001), 0.5, 1, 1], abs=2e-3)
    assert np.array_equal(five.to_unit(amounts / 12)[[0, 3, 4]], unit[[0, 3, 4]])
    back = rate.from_unit(unit, np.dtype(np.float32))
    assert back[0] == 0  # none is none
    assert back[1:4] == pytest.approx(amounts[1:4], rel=1e-5)
    assert rain_scale("dBZ", 1) is None
    assert rain_scale("mm", None) is None


def test_rates_of_rain_in_the_units_of_a_source() -> None:
    assert value_of_rate(3.0, "mm/h", rain_scale("mm/h", None)) == pytest.approx(3)
    assert value_of_rate(3.0, "mm", rain_scale("mm", 1 / 12)) == pytest.approx(0.25)
    assert value_of_rate(3.6, "kg m-2 s-1", rain_scale("kg m-2 s-1", None)) == pytest.approx(1e-3)
    # Z = 200 R^1.6: 1 mm/h are 200 mm^6 m^-3, 10 mm/h 7962.
    assert value_of_rate(1.0, "dBZ", None) == pytest.approx(23.0103)
    assert value_of_rate(10.0, "dBZ", ValueScale(-32.0, 95.0)) == pytest.approx(39.0103)
    for units, scale in (
        ("mm", None),
        ("mm", ValueScale(0.0, 1.0)),
        ("mm", ValueScale(1.0, 10.0, "log1p")),
        ("K", None),
    ):
        assert value_of_rate(1.0, units, scale) is None
    assert value_of_rate(1.0, "photons", ValueScale(0.1, 200.0, "log1p")) is None
