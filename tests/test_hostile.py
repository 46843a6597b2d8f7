"""Strangers' files: none runs code, and none has other files of this machine read. docs/security.md says what is meant
to hold."""

import ast
import hashlib
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import xarray as xr

from frame_forecast import weights
from frame_forecast.data.idx import read_idx_images
from frame_forecast.data.published import PublishedTestSet
from frame_forecast.errors import DataError, FrameForecastError
from frame_forecast.io.clips import read
from frame_forecast.io.masks import Mask
from frame_forecast.models import create
from frame_forecast.training.checkpoints import read_checkpoint
from frame_forecast.training.recipe import read_recipe
from frame_forecast.training.settings import RunSettings

SOURCES = sorted(Path(__file__).parents[1].joinpath("src").rglob("*.py"))
FRAMES = np.arange(4 * 8 * 8, dtype=np.uint8).reshape(4, 8, 8)


class Trap:
    """Unpickled, it makes the file ``sprung`` in the working directory."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("sprung",)


TRAP = pickle.dumps(Trap())


@pytest.fixture(autouse=True)
def _working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_the_trap_works() -> None:
    pickle.loads(TRAP)
    assert Path("sprung").exists()


def npy_of_objects() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([Trap(), Trap()], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def an_npz(path: Path, **members: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def an_zarr(path: Path, **meta: Any) -> None:
    array = path / "frames"
    array.mkdir(parents=True)
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    usual = {"zarr_format": 2, "shape": FRAMES.shape, "chunks": FRAMES.shape, "dtype": "|u1", "order": "C"}
    usual |= {"compressor": None, "fill_value": 0, "filters": None}
    (array / ".zarray").write_text(json.dumps(usual | meta))
    (array / ".zattrs").write_text('{"_ARRAY_DIMENSIONS": ["time", "y", "x"]}')
    (array / "0.0.0").write_bytes(TRAP)


def some_weights(path: Path) -> None:
    model = create("conv_lstm_autoencoder", hidden=4, layers=1, patch=8)
    size = {"context": 3, "horizon": 2, "channels": 1, "height": 32, "width": 32}
    weights.save(path, model, "conv_lstm_autoencoder", **size)


def hostile_weights(path: Path) -> None:
    some_weights(path)
    (path / "weights.safetensors").write_bytes(TRAP)
    config = json.loads((path / "config.json").read_text())
    config["contract"]["weights_sha256"] = hashlib.sha256(TRAP).hexdigest()  # as its maker would have it
    (path / "config.json").write_text(json.dumps(config))


def hostile_golden(path: Path) -> None:
    some_weights(path)
    objects = npy_of_objects()
    an_npz(path / "golden.npz", frames=objects, observed=objects, prediction=objects)


def a_run(path: Path) -> None:
    path.mkdir()
    (path / "run.json").write_bytes(TRAP)


ATTACKS: dict[str, tuple[str, Callable[[Path], Any], Callable[[Path], Any]]] = {
    "npy of objects": ("in.npy", lambda p: p.write_bytes(npy_of_objects()), read),
    "pickle as npy": ("in.npy", lambda p: p.write_bytes(TRAP), read),
    "pickle as png": ("in.png", lambda p: p.write_bytes(TRAP), read),
    "npz of objects": ("in.npz", lambda p: an_npz(p, frames=npy_of_objects()), read),
    "npz with units of objects": (
        "in.npz",
        lambda p: an_npz(p, frames=npy(FRAMES), scale=npy_of_objects(), times=npy_of_objects()),
        read,
    ),
    "mask of objects": ("in.npy", lambda p: p.write_bytes(npy_of_objects()), lambda p: Mask(str(p))),
    "pickle as mask": ("in.npy", lambda p: p.write_bytes(TRAP), lambda p: Mask(str(p))),
    "zarr with a filter": ("in.zarr", lambda p: an_zarr(p, filters=[{"id": "pickle"}]), read),
    "zarr with a compressor": ("in.zarr", lambda p: an_zarr(p, compressor={"id": "pickle"}), read),
    "zarr of objects": ("in.zarr", lambda p: an_zarr(p, dtype="|O", filters=[{"id": "pickle"}]), read),
    "weights": ("weights", hostile_weights, weights.load),
    "golden output": ("weights", hostile_golden, weights.verify),
    "checkpoint": ("last.ckpt", lambda p: torch.save({"state_dict": Trap()}, p), read_checkpoint),
    "pickle as checkpoint": ("last.ckpt", lambda p: p.write_bytes(TRAP), read_checkpoint),
    "run": ("run", a_run, RunSettings.read),
    "recipe": ("in.toml", lambda p: p.write_bytes(TRAP), read_recipe),
    "published test set": ("in.npy", lambda p: p.write_bytes(npy_of_objects()), PublishedTestSet),
    "MNIST": ("in-idx3-ubyte", lambda p: p.write_bytes(TRAP), read_idx_images),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_no_file_runs_code(name: str) -> None:
    file, make, use = ATTACKS[name]
    make(Path(file))
    with pytest.raises(FrameForecastError):
        use(Path(file))
    assert not Path("sprung").exists()


def h5_external(path: Path) -> None:
    Path("secret").write_bytes(FRAMES.tobytes())
    with h5py.File(path, "w") as file:
        file.create_dataset("frames", FRAMES.shape, "u1", external=[("secret", 0, FRAMES.nbytes)])


def h5_virtual(path: Path) -> None:
    with h5py.File("secret.h5", "w") as file:
        file["frames"] = FRAMES
    layout = h5py.VirtualLayout(FRAMES.shape, "u1")
    layout[:] = h5py.VirtualSource("secret.h5", "frames", FRAMES.shape)
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("frames", layout)


def netcdf_external(path: Path) -> None:
    xr.Dataset({"frames": (("time", "y", "x"), FRAMES)}).to_netcdf(path, engine="h5netcdf")
    Path("secret").write_bytes(FRAMES.tobytes())
    with h5py.File(path, "r+") as file:
        scales = [dimension[0] for dimension in file["frames"].dims]
        del file["frames"]
        frames = file.create_dataset("frames", FRAMES.shape, "u1", external=[("secret", 0, FRAMES.nbytes)])
        for dimension, scale in zip(frames.dims, scales, strict=True):
            dimension.attach_scale(scale)


def netcdf_linked(path: Path) -> None:
    for name in (path, Path("secret.nc")):
        xr.Dataset({"frames": (("time", "y", "x"), FRAMES)}).to_netcdf(name, engine="h5netcdf")
    with h5py.File(path, "r+") as file:
        del file["frames"]
        file["frames"] = h5py.ExternalLink("secret.nc", "frames")


def playlist(text: str) -> Callable[[Path], Any]:
    return lambda path: path.write_text(text)


ELSEWHERE: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "HDF5, external": ("in.h5", h5_external, "in other files"),
    "HDF5, virtual": ("in.h5", h5_virtual, "in other files"),
    "NetCDF, external": ("in.nc", netcdf_external, "in other files"),
    "NetCDF, a link": ("in.nc", netcdf_linked, "in other files"),
    "a playlist": ("in.mp4", playlist("#EXTM3U\n#EXTINF:1,\nfile:secret.ts\n#EXT-X-ENDLIST\n"), "is not video"),
    "a list of files": ("in.mkv", playlist("ffconcat version 1.0\nfile 'secret.mp4'\n"), "is not video"),
    "an address": ("in.avi", playlist("v=0\nc=IN IP4 127.0.0.1\nm=video 1234 RTP/AVP 96\n"), "is not video"),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_no_file_has_others_read(name: str) -> None:
    file, make, reason = ELSEWHERE[name]
    make(Path(file))
    with pytest.raises(DataError, match=reason):
        read(Path(file))


def test_a_virtual_array_of_its_own_file_is_read() -> None:
    layout = h5py.VirtualLayout(FRAMES.shape, "u1")
    layout[:] = h5py.VirtualSource(".", "group/stored", FRAMES.shape)
    with h5py.File("in.h5", "w") as file:
        file["group/stored"] = FRAMES
        file.create_virtual_dataset("frames", layout)
    assert np.array_equal(read(Path("in.h5"), variable="frames").values[:, 0], FRAMES)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_nothing_unpickles_or_evaluates_what_it_reads(path: Path) -> None:
    wanted = {"torch.load": ("weights_only", "True")}
    wanted |= dict.fromkeys(("np.load", "npy.read_array"), ("allow_pickle", "False"))
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
            assert not names & {"pickle", "marshal", "shelve", "dill", "joblib", "yaml", "xml.etree.ElementTree"}
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in ("eval", "exec", "os.system")
            if called in wanted:
                name, value = wanted[called]
                given = [keyword.value for keyword in node.keywords if keyword.arg == name]
                assert [ast.unparse(one) for one in given] == [value], f"line {node.lineno}"
            assert not any(keyword.arg == "shell" for keyword in node.keywords)
