"""Files with nothing wrong, small, from which cases are made: one folder's content for each."""

import gzip
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import av
import h5py
import numpy as np
import tifffile
import torch
import xarray as xr
from mutate import Tree
from PIL import Image

from frame_forecast import weights
from frame_forecast.clip import Clip
from frame_forecast.io.clips import write
from frame_forecast.io.sidecar import SidecarWriter
from frame_forecast.models import Model, create
from frame_forecast.report.backtest import JSON_FILE
from frame_forecast.results import EvaluatedClips, Machine, Results, Row
from frame_forecast.scale import ValueScale
from frame_forecast.skill import Backtest, Method, Threshold
from frame_forecast.skill import Row as SkillRow
from frame_forecast.studio.wire import Wire
from frame_forecast.training.config import Budget, TrainConfig
from frame_forecast.training.module import TrainingModule
from frame_forecast.training.settings import RunSettings
from real_data import DATA

Maker = Callable[[Path], object]
"""Writes what a case begins with into an empty folder."""

RECIPES = sorted(Path(__file__).parents[2].joinpath("recipes").glob("*.toml"))
_T, _H, _W = 4, 12, 10
_CODES = np.random.default_rng(0).integers(0, 250, (_T, 3, _H, _W)).astype(np.uint8)


def tree_of(make: Maker) -> dict[str, bytes]:
    """What a maker wrote."""
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder))
        return taken(Path(folder))


def taken(folder: Path) -> dict[str, bytes]:
    """What a folder holds."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def put(tree: Tree, folder: Path) -> None:
    """The opposite of `taken`."""
    for name, content in tree.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def written(name: str, channels: int = 1, dtype: str = "u1", holes: bool = False) -> Maker:
    """A file or folder as this package writes it."""
    values = _CODES[:, :channels].astype(dtype)
    observed = np.ones((_T, 1, _H, _W), bool)
    observed[1, 0, 2:5] = not holes
    clip = Clip(values, observed, ValueScale(0.0, 255.0))
    return lambda folder: write(clip, folder / name)


def npy_in_other_order(folder: Path) -> None:
    np.save(folder / "in.npy", np.asfortranarray(_CODES.transpose(0, 2, 3, 1).astype(">i2")))


def npz_by_numpy(folder: Path) -> None:
    np.savez(
        folder / "in.npz",
        frames=_CODES[:, 0].astype(np.float32),
        layout="THW",
        times=np.datetime64("2020-01-01", "s") + np.arange(_T),
        scale=np.array([0.0, 255.0]),
        units="mm",
    )


def pictures(suffix: str, mode: str, form: str | None = None, **options: object) -> Maker:
    """Two pictures by Pillow."""

    def make(folder: Path) -> None:
        (folder / "in").mkdir()
        for number in range(2):
            picture = Image.fromarray(_CODES[number].transpose(1, 2, 0))
            if mode == "I;16":
                picture = Image.fromarray(_CODES[number, 0].astype(np.uint16) * 200)
            picture.convert(mode).save(folder / "in" / f"{number}{suffix}", form, **options)

    return make


def an_exif(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    pictures(".jpg", "RGB", exif=exif, progressive=True)(folder)


def animation(suffix: str, mode: str, **options: object) -> Maker:
    """Frames of which each has but a part of the picture."""

    def make(folder: Path) -> None:
        frames = []
        for number in range(_T):
            array = _CODES[0].copy()
            array[:, number : number + 3, 2:6] = 200
            frames.append(Image.fromarray(array.transpose(1, 2, 0)).convert(mode))
        durations = [40, 40, 120, 60]
        frames[0].save(folder / f"in{suffix}", save_all=True, append_images=frames[1:], duration=durations, **options)

    return make


def tiff(**options: object) -> Maker:
    """A stack by tifffile; ``big``, ``ome``, ``imagej`` and ``byteorder`` are of the file."""
    of_file = {key: options.pop(key) for key in ("bigtiff", "ome", "imagej", "byteorder") if key in options}

    def make(folder: Path) -> None:
        name = "in.tif"
        with tifffile.TiffWriter(folder / name, **of_file) as file:  # pyright: ignore[reportArgumentType]
            values = _CODES[:, 0].astype(np.uint16)
            file.write(values, photometric="minisblack", metadata={"axes": "TYX"}, **options)  # pyright: ignore

    return make


def tiff_by_pillow(compression: str) -> Maker:
    def make(folder: Path) -> None:
        frames = [Image.fromarray(one[0]) for one in _CODES]
        frames[0].save(folder / "in.tif", save_all=True, append_images=frames[1:], compression=compression)

    return make


def packed(make: Maker) -> Maker:
    """The same files packed with gzip."""

    def make_packed(folder: Path) -> None:
        make(folder)
        for path in [path for path in folder.rglob("*") if path.is_file()]:
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
            path.unlink()

    return make_packed


def radar(make: Callable[[Path, np.ndarray, int], None]) -> Maker:
    """Two scans."""

    def make_scans(folder: Path) -> None:
        _made(folder / "in")
        for number in range(2):
            make(folder / "in", _CODES[number, 0, :5, :7], 5 * number)  # the size of those of Finland

    return make_scans


def _dataset() -> xr.Dataset:
    packing = {"units": "K", "scale_factor": 0.01, "add_offset": 273.15, "valid_range": np.array([0, 300], np.int16)}
    time = {"units": "minutes since 2021-03-01 12:00:00", "standard_name": "time", "bounds": "ends"}
    minutes = np.arange(_T, dtype=np.int32) * 10
    return xr.Dataset(
        {
            "t2m": (("time", "y", "x"), _CODES[:, 0].astype(np.int16), {**packing, "grid_mapping": "crs"}),
            "crs": ((), np.int32(0), {"grid_mapping_name": "latitude_longitude"}),
            "ends": (("time", "two"), np.stack([minutes - 10, minutes], axis=1)),
        },
        {"time": ("time", minutes, time), "y": ("y", np.linspace(45, 47, _H), {"standard_name": "latitude"})},
        {"title": "test"},
    )


def netcdf(folder: Path) -> None:
    _dataset().to_netcdf(folder / "in.nc", engine="h5netcdf")


def netcdf_packed(folder: Path) -> None:
    encoding = {"t2m": {"zlib": True, "shuffle": True, "fletcher32": True, "chunksizes": (2, _H, _W)}}
    _dataset().to_netcdf(folder / "in.nc", engine="h5netcdf", encoding=encoding, unlimited_dims=["time"])


def zarr(version: int) -> Maker:
    return lambda folder: _dataset().to_zarr(folder / "in.zarr", consolidated=False, zarr_format=version)


def hdf5(**options: object) -> Maker:
    def make(folder: Path) -> None:
        with h5py.File(folder / "in.h5", "w", **{"libver": options.pop("libver", None)}) as file:
            file.attrs["made"] = "by hand"
            file.create_dataset("group/data", data=_CODES[:, 0], **options).attrs["_FillValue"] = np.uint8(3)
            file["note"] = np.array([b"one", b"two"])

    options = dict(options)
    return make


def remuxed(name: str, path: Path, packets: int) -> Maker:
    """The first packets of a real video, in another file."""

    def make(folder: Path) -> None:
        with av.open(path) as source, av.open(folder / name, "w") as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            for number, packet in enumerate(source.demux(video=0)):
                if packet.dts is None or number == packets:
                    break
                packet.stream = stream
                target.mux(packet)

    return make


def real_scans(kind: str) -> Maker:
    """The first two scans of a folder of real ones."""

    def make(folder: Path) -> None:
        (folder / "in").mkdir()
        for path in sorted(path for path in (DATA / "radar" / kind).rglob("*") if path.is_file())[:2]:
            shutil.copyfile(path, folder / "in" / path.name)

    return make


def mask_array(folder: Path) -> None:
    np.save(folder / "mask.npy", _CODES[:, 0] > 30)


def sidecar(folder: Path) -> None:
    with (folder / "out.npy.made.json").open("w") as file:
        writer = SidecarWriter(file, {"model": "linear"}, _H, _W)
        for kept in (255, 200, 200, 0):
            writer.add(_CODES[:1, 0] > kept)
        writer.finish()


def idx(folder: Path) -> None:
    head = bytes([0, 0, 8, 3]) + np.array([_T, _H, _W], ">u4").tobytes()
    (folder / "in-idx3-ubyte").write_bytes(head + _CODES[:, 0].tobytes())


def published(folder: Path) -> None:
    np.save(folder / "mnist_test_seq.npy", np.zeros((20, 2, 64, 64), np.uint8))


def tiny_model() -> Model:
    torch.manual_seed(0)
    return create("conv_lstm_autoencoder", hidden=4, layers=1, patch=8)


def weights_folder(folder: Path) -> None:
    size = {"context": 3, "horizon": 2, "channels": 1, "height": 32, "width": 32}
    facts = {"training": {"steps": 6, "seconds": 1.5}, "splits": {"train": "a" * 64}, "data": {"name": "digits"}}
    weights.save(folder / "in", tiny_model(), "conv_lstm_autoencoder", **size, **facts)


def golden(folder: Path) -> None:
    weights_folder(folder)
    weights.write_golden(folder / "in", tiny_model())


def tiny_module() -> TrainingModule:
    """What the checkpoint of `checkpoint` belongs to."""
    module = TrainingModule(tiny_model(), TrainConfig(), Budget(steps=6))
    module.save_hyperparameters({"preset": "conv_lstm_autoencoder", "train": {"seed": 0}}, logger=False)
    return module


def checkpoint(folder: Path) -> None:
    module = tiny_module()
    kept = {
        "pytorch-lightning_version": "2.6.0",
        "global_step": 3,
        "loops": {"fit_loop": {"state_dict": {}}},
        "callbacks": {"Timer": {"time_elapsed": {"train": 1.5}}},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1, "params": [0]}]}],
        "hyper_parameters": dict(module.hparams),
        "state_dict": module.state_dict(),
    }
    (folder / "in" / "checkpoints").mkdir(parents=True)
    torch.save(kept, folder / "in" / "checkpoints" / "last.ckpt")


def run(folder: Path) -> None:
    RunSettings("conv_lstm_autoencoder", Budget(steps=6), {"hidden": 4}).save(_made(folder / "in"))
    log = folder / "in" / "logs" / "version_0" / "metrics.csv"
    log.parent.mkdir(parents=True)
    rows = [f"{step},{0.5 / (step + 1)},{step}.5,," for step in range(4)] + ["3,,,0.2,4.0"]
    head = "step,train/loss,train/seconds,validation/loss,validation/seconds"
    log.write_text("\n".join([head, *rows]) + "\n")


def recipe(path: Path) -> Maker:
    """One that is shipped."""
    return lambda folder: (folder / "in.toml").write_bytes(path.read_bytes())


def weights_with_results(folder: Path) -> None:
    weights_folder(folder)
    digest = hashlib.sha256((folder / "in" / weights.files.TENSORS).read_bytes()).hexdigest()
    results(folder / "in", digest)


def results(folder: Path, digest: str | None = None) -> None:
    rows = [
        Row(model, metric, value, [value] * 3)
        for model, value in (("lstm", 0.25), ("black", 0.5))
        for metric in ("mse_frame", "bin_accuracy", "bin_f1")
    ]
    clips, machine = EvaluatedClips("moving_mnist", "test", 10, "c0ffee"), Machine("a processor", 2, "2.13.0", "cpu")
    found = Results("lstm", digest, "forecast", clips, 10, 3, None, {"mse_frame": "a sum"}, rows, machine, 12.3)
    (folder / "results.json").write_text(json.dumps([found.to_json_dict()]))


def backtest(folder: Path) -> None:
    rows = [
        SkillRow(method, score, threshold, value, [value] * 3)
        for method, value in (("linear", 0.25), ("copy_last", 0.5))
        for score, threshold in (("psnr", None), ("csi", Threshold(3.5)))
    ]
    methods = [Method("linear", None, 2), Method("copy_last", None, 1)]
    scale, machine = ValueScale(0.0, 255.0), Machine("a processor", 2, "2.13.0", "cpu")
    found = Backtest("in.npy", 9, 3, [4, 6], 300.0, "mm", scale, methods, {"psnr": "in dB"}, rows, machine, 1.5)
    (_made(folder / "in") / JSON_FILE).write_text(json.dumps(found.to_json_dict()))


def drawn(folder: Path) -> None:
    wire = Wire("uint8", (_T, 1, _H, _W), "pixels")
    masks = np.packbits(np.ones((_T, _H * _W), bool), axis=1)
    (folder / "frames").write_bytes(wire.head(0, _T) + _CODES[:, 0].tobytes() + masks.tobytes())


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
