"""Small files in the published one's layout, against NumPy's own indexing."""

import hashlib
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from frame_forecast.data import published
from frame_forecast.data.published import PublishedTestSet, find_published
from frame_forecast.errors import DataError

FRAMES = np.random.default_rng(0).integers(0, 256, (20, 6, 64, 64), dtype=np.uint8)
NAME = "mnist_test_seq.npy"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    np.save(tmp_path / NAME, FRAMES)
    return tmp_path / NAME


@pytest.mark.parametrize("index", [[0], [5, 0, 0, 3], range(6), []])
def test_clips_by_number(path: Path, index) -> None:
    index = np.array(index, dtype=np.int64)
    source = PublishedTestSet(path)
    clips = source.clips(index)
    assert (len(source), source.split) == (6, "test")
    assert clips.dtype == torch.uint8
    assert clips.shape == (len(index), 20, 1, 64, 64)
    for b, number in enumerate(index):
        for t in range(20):
            np.testing.assert_array_equal(clips[b, t, 0].numpy(), FRAMES[t, number])


def test_a_clip_can_be_changed_without_changing_the_file(path: Path) -> None:
    before = path.read_bytes()
    source = PublishedTestSet(path)
    source.clips(np.array([2])).zero_()
    assert path.read_bytes() == before
    np.testing.assert_array_equal(source.clips(np.array([2]))[0, :, 0].numpy(), FRAMES[:, 2])


@pytest.mark.parametrize("index", [[6], [-1], [0, 100]])
def test_numbers_outside_are_refused(path: Path, index: list[int]) -> None:
    with pytest.raises(DataError, match="0 to 5"):
        PublishedTestSet(path).clips(np.array(index))


def test_fortran_order_is_read_as_well(tmp_path: Path) -> None:
    np.save(tmp_path / NAME, np.asfortranarray(FRAMES))
    clips = PublishedTestSet(tmp_path / NAME).clips(np.array([4]))
    np.testing.assert_array_equal(clips[0, :, 0].numpy(), FRAMES[:, 4])


def test_pickle_carries_the_path_alone(path: Path) -> None:
    pickled = pickle.dumps(PublishedTestSet(path))
    assert len(pickled) < 1000
    copy = pickle.loads(pickled)
    np.testing.assert_array_equal(copy.clips(np.array([1]))[0, :, 0].numpy(), FRAMES[:, 1])


def test_other_bytes_are_not_called_published(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = PublishedTestSet(path)
    assert not source.verified
    assert source.name == "mnist_test_seq.npy (not the published bytes)"
    # The same size is not enough.
    monkeypatch.setattr(published, "PUBLISHED_SIZE", path.stat().st_size)
    assert not PublishedTestSet(path).verified


def test_the_published_bytes_are_known(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "PUBLISHED_SIZE", path.stat().st_size)
    monkeypatch.setattr(published, "PUBLISHED_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    source = PublishedTestSet(path)
    assert source.verified
    assert source.name == "mnist_test_seq.npy"
    assert source.images_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_of_another_size_is_not_hashed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published, "digest", lambda *_: pytest.fail("hashed"))
    assert not PublishedTestSet(path).verified


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


WHOLE = npy("{'descr': '|u1', 'fortran_order': False, 'shape': (20, 6, 64, 64)}", FRAMES.tobytes())
DAMAGED = {
    "empty": b"",
    "not npy": b"<!doctype html><title>Moved</title>",
    "zip's first bytes": b"PK\x03\x04" + bytes(100),
    "half a header": WHOLE[:40],
    "a header that is no dict": npy("import os"),
    "a header that has no end": npy("{'shape': (20"),
    "truncated": WHOLE[:-1],
    "more than a file can hold": npy(f"{{'descr': '|u1', 'fortran_order': False, 'shape': (20, {10**18}, 64, 64)}}"),
    "more than a number can hold": npy(f"{{'descr': '|u1', 'fortran_order': False, 'shape': (20, {10**30}, 64, 64)}}"),
    "a number of bytes that is 0 in 64 bits": npy(
        f"{{'descr': '|u1', 'fortran_order': False, 'shape': (20, {2**50}, 64, 64)}}"
    ),
    "negative": npy("{'descr': '|u1', 'fortran_order': False, 'shape': (20, -1, 64, 64)}"),
    "no clips": npy("{'descr': '|u1', 'fortran_order': False, 'shape': (20, 0, 64, 64)}"),
    "version of the future": b"\x93NUMPY\x09\x00" + WHOLE[8:],
}


def test_the_hand_written_file_is_right_when_whole(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(WHOLE)
    np.testing.assert_array_equal(PublishedTestSet(tmp_path / NAME).clips(np.array([3]))[0, :, 0].numpy(), FRAMES[:, 3])


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_files_are_data_errors_that_name_the_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / NAME
    path.write_bytes(content)
    with pytest.raises(DataError, match=str(path)):
        PublishedTestSet(path)


@pytest.mark.parametrize(
    "array",
    [
        FRAMES.swapaxes(0, 1),
        FRAMES[:10],
        FRAMES[:, 0],
        FRAMES[..., :32],
        FRAMES[None],
        np.float32(FRAMES),
        np.int8(FRAMES),
        np.uint8(3),
    ],
    ids=lambda array: f"{array.dtype}-{array.shape}",
)
def test_other_arrays_are_refused(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / NAME, array)
    with pytest.raises(DataError, match=r"uint8 \(20, N, 64, 64\)"):
        PublishedTestSet(tmp_path / NAME)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    np.save(tmp_path / NAME, np.array([Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(DataError):
        PublishedTestSet(tmp_path / NAME)
    (tmp_path / NAME).write_bytes(pickle.dumps(Trap()))
    with pytest.raises(DataError):
        PublishedTestSet(tmp_path / NAME)
    assert not (tmp_path / "sprung").exists()


def test_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        PublishedTestSet(tmp_path / NAME)


def test_found_in_the_named_folder_then_here_then_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, here, cache = (tmp_path / name for name in ("root", "here", "cache"))
    for folder in (root, here / "data", cache / "frame-forecast"):
        folder.mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("FRAME_FORECAST_DATA", str(root))
    assert find_published() is None
    for folder in (cache / "frame-forecast", here, here / "data", root):  # each goes before the last
        np.save(folder / NAME, FRAMES)
        found = find_published()
        assert found is not None
        assert found.resolve() == (folder / NAME).resolve()
