"""Sidecars: what was made is read back bit for bit, and what is damaged or hostile is refused."""

import base64
import io
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from frame_forecast.errors import DataError
from frame_forecast.io.sidecar import SidecarWriter, made_masks, read_sidecar, sidecar_of

FACTS = {"source": "a.npy", "task": "recreate", "request": {"missing": "1-2"}, "weights_sha256": None}


def write(path: Path, masks: np.ndarray, facts: dict[str, Any] = FACTS) -> dict[str, Any]:
    """A sidecar of masks ``(T, 1, H, W)``; what it says, as JSON has it."""
    text = io.StringIO()
    writer = SidecarWriter(text, facts, *masks.shape[2:])
    for mask in masks:
        writer.add(mask)
    writer.finish()
    path.write_text(text.getvalue())
    return json.loads(text.getvalue())


def masks_of(path: Path) -> np.ndarray:
    return np.stack(list(made_masks(read_sidecar(path))))


@pytest.fixture
def masks() -> np.ndarray:
    """Nothing, all, some, the same again, all, the same again, others, nothing."""
    some, others = np.random.default_rng(0).random((2, 1, 5, 7)) > 0.5
    none, every = np.zeros_like(some), np.ones_like(some)
    return np.stack([none, every, some, some, every, some, others, none])


@pytest.fixture
def good(tmp_path: Path, masks: np.ndarray) -> dict[str, Any]:
    return write(tmp_path / "good.json", masks)


def test_the_sidecar_lies_beside_the_file() -> None:
    assert sidecar_of(Path("out/clip.mkv")) == Path("out/clip.mkv.made.json")
    assert sidecar_of(Path("out/scans/")) == Path("out/scans.made.json")


@given(
    masks=arrays.array_shapes(min_dims=2, max_dims=2, max_side=9).flatmap(
        lambda size: st.integers(1, 6).flatmap(lambda count: arrays.arrays(bool, (count, 1, *size)))
    )
)
def test_masks_come_back(masks: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("made") / "x.made.json"
    write(path, masks)
    np.testing.assert_array_equal(masks_of(path), masks)


def test_what_it_says(good: dict[str, Any], masks: np.ndarray, tmp_path: Path) -> None:
    said = read_sidecar(tmp_path / "good.json")
    assert said == good
    assert {key: said[key] for key in FACTS} == FACTS
    assert (said["schema"], said["height"], said["width"], said["frames_written"]) == (1, 5, 7, 8)
    assert [entry["frame"] for entry in said["frames"]] == [1, 2, 3, 4, 5, 6]
    assert [entry["pixels"] for entry in said["frames"]] == [int(mask.sum()) for mask in masks[1:7]]
    assert [sorted(entry.keys() - {"frame", "pixels"}) for entry in said["frames"]] == [
        [],
        ["made"],
        ["like"],
        [],
        ["like"],
        ["made"],
    ]
    bits = np.frombuffer(zlib.decompress(base64.b64decode(said["frames"][1]["made"])), np.uint8)
    np.testing.assert_array_equal(np.unpackbits(bits)[:35].reshape(1, 5, 7), masks[2])
    np.testing.assert_array_equal(masks_of(tmp_path / "good.json"), masks)


def test_a_sidecar_of_frames_of_which_nothing_was_made(tmp_path: Path) -> None:
    said = write(tmp_path / "x.json", np.zeros((3, 1, 2, 2), bool), {})
    assert said["frames"] == []
    assert not masks_of(tmp_path / "x.json").any()


def packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


Damage = Callable[[dict[str, Any]], Any]
HEADS: dict[str, Damage] = {
    "no sidecar": lambda said: {"frames": []},
    "a list": lambda said: [said],
    "a number": lambda said: 7,
    "another schema": lambda said: said | {"schema": 2},
    "no height": lambda said: {key: value for key, value in said.items() if key != "height"},
    "no frames": lambda said: {key: value for key, value in said.items() if key != "frames"},
    "no end": lambda said: {key: value for key, value in said.items() if key != "frames_written"},
    "a height of 0": lambda said: said | {"height": 0},
    "a width below 0": lambda said: said | {"width": -7},
    "a height that is no number": lambda said: said | {"height": "5"},
    "a height that is not whole": lambda said: said | {"height": 5.5},
    "a height that is true": lambda said: said | {"height": True},
    "a huge size": lambda said: said | {"height": 10**9, "width": 10**9},
    "a size beyond any": lambda said: said | {"height": 10**400},
    "an infinite size": lambda said: said | {"height": float("inf")},
    "no frames at all": lambda said: said | {"frames_written": 0},
    "frames that are not a number": lambda said: said | {"frames_written": float("nan")},
    "frames that are no list": lambda said: said | {"frames": 3},
    "frames that are an object": lambda said: said | {"frames": {"frame": 1}},
    "an entry that is a number": lambda said: said | {"frames": [3]},
    "an entry of no frame": lambda said: said | {"frames": [{"pixels": 35}]},
    "a frame below 0": lambda said: said | {"frames": [{"frame": -1, "pixels": 35}]},
    "a frame after the last": lambda said: said | {"frames": [{"frame": 8, "pixels": 35}]},
    "a frame twice": lambda said: said | {"frames": [said["frames"][0]] * 2},
    "frames in another order": lambda said: said | {"frames": said["frames"][::-1]},
    "a frame that is no number": lambda said: said | {"frames": [{"frame": "1", "pixels": 35}]},
}


@pytest.mark.parametrize("kind", HEADS)
def test_damage_is_seen_before_the_first_frame(kind: str, good: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "bad.made.json"
    path.write_text(json.dumps(HEADS[kind](good)))
    with pytest.raises(DataError) as error:
        read_sidecar(path)
    assert str(path) in error.value.given
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 800


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\x00\xff\xfe", b"\x1f\x8b", b"null", b'"schema"', b"[" * 100_000, b'{"schema": 1' + b"0" * 5000],
)
def test_what_is_no_json_or_none_of_ours_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.made.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.made\.json"):
        read_sidecar(path)


def test_no_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.made.json", tmp_path):
        with pytest.raises(DataError, match=str(path)):
            read_sidecar(path)


def test_a_sidecar_that_was_cut_off_is_refused(tmp_path: Path, masks: np.ndarray) -> None:
    path = tmp_path / "x.json"
    write(path, masks)
    whole = path.read_bytes()
    for length in range(0, len(whole) - 2, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError):
            read_sidecar(path)


BITS = packed(np.packbits(np.arange(35) < 10).tobytes())
ENTRIES: dict[str, dict[str, Any]] = {
    "no base64": {"made": "????", "pixels": 10},
    "base64 with other letters": {"made": BITS[:4] + "\n" + BITS[4:], "pixels": 10},
    "letters beyond ASCII": {"made": "ü", "pixels": 10},
    "no text": {"made": 7, "pixels": 10},
    "no zlib": {"made": base64.b64encode(b"nothing packed").decode(), "pixels": 10},
    "zlib that was cut off": {"made": base64.b64encode(base64.b64decode(BITS)[:-3]).decode(), "pixels": 10},
    "too few bits": {"made": packed(b"\xff"), "pixels": 8},
    "too many bits": {"made": packed(b"\xff" * 50), "pixels": 35},
    "a bomb": {"made": packed(bytes(200_000_000)), "pixels": 0},
    "another count": {"made": BITS, "pixels": 11},
    "no count": {"made": BITS},
    "a count that is none": {"made": BITS, "pixels": None},
    "like none": {"like": 0, "pixels": 10},
    "like itself": {"like": 2, "pixels": 10},
    "like what is no number": {"like": [], "pixels": 10},
    "nothing made, but not all": {"pixels": 10},
}


@pytest.mark.parametrize("kind", ENTRIES)
def test_damaged_entries_are_refused_when_their_frame_comes(kind: str, good: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "x.made.json"
    path.write_text(json.dumps(good | {"frames": [{"frame": 1, "pixels": 35}, {"frame": 2, **ENTRIES[kind]}]}))
    frames = made_masks(read_sidecar(path))
    assert not next(frames).any()
    assert next(frames).all()
    with pytest.raises(DataError, match="frame 2") as error:
        next(frames)
    assert "\n" not in str(error.value)


def test_the_same_entries_undamaged(good: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "x.made.json"
    entries = [{"frame": 1, "pixels": 35}, {"frame": 2, "made": BITS, "pixels": 10}]
    path.write_text(json.dumps(good | {"frames": entries}))
    np.testing.assert_array_equal(masks_of(path)[2].ravel(), np.arange(35) < 10)


def test_a_bomb_fills_no_memory(good: dict[str, Any], tmp_path: Path) -> None:
    tracemalloc = pytest.importorskip("tracemalloc")
    path = tmp_path / "x.made.json"
    path.write_text(json.dumps(good | {"frames": [{"frame": 0, **ENTRIES["a bomb"]}]}))
    tracemalloc.start()
    with pytest.raises(DataError):
        next(made_masks(read_sidecar(path)))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 20_000_000
