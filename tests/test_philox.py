"""Random bits against the vectors published with the generator."""

import numpy as np
import pytest

from frame_forecast.philox import philox4x32, stream_key, uniform

# From the known-answer tests of Random123, the authors' library.
KNOWN = [
    ([0] * 4, (0, 0), [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([0xFFFFFFFF] * 4, (0xFFFFFFFF, 0xFFFFFFFF), [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        (0xA4093822, 0x299F31D0),
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize(("counter", "key", "bits"), KNOWN)
def test_known_answers(counter: list[int], key: tuple[int, int], bits: list[int]) -> None:
    assert philox4x32(np.array(counter), key).tolist() == bits


def test_a_row_depends_on_its_index_alone() -> None:
    key = stream_key(0, "train")
    index = np.array([7, 2**40, 0, 7], dtype=np.uint64)
    rows = uniform(index, 5, key)
    for i, row in zip(index, rows, strict=True):
        np.testing.assert_array_equal(uniform(np.array([i]), 5, key)[0], row)
    np.testing.assert_array_equal(uniform(index, 3, key), rows[:, :3])


def test_uniform_and_different_between_streams() -> None:
    a = uniform(np.arange(20_000), 4, stream_key(0, "train"))
    b = uniform(np.arange(20_000), 4, stream_key(1, "train"))
    assert a.min() >= 0
    assert a.max() < 1
    assert abs(a.mean() - 0.5) < 0.005
    assert abs(a.var() - 1 / 12) < 0.002
    correlations = np.corrcoef(np.concatenate([a.T, b.T])) - np.eye(8)
    assert np.abs(correlations).max() < 0.03
