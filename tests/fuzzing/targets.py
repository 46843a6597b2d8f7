"""What is fuzzed: every format that is registered, and all else that reads files of strangers."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pydantic
import seeds
from mutate import Tree

from frame_forecast import weights
from frame_forecast.data.idx import read_idx_images
from frame_forecast.data.published import PublishedTestSet
from frame_forecast.errors import ConfigError
from frame_forecast.io.masks import Mask
from frame_forecast.io.streams import open_reader, open_writer
from frame_forecast.predict import Forecaster, load
from frame_forecast.release import release
from frame_forecast.studio import clips
from frame_forecast.studio.answers import Asked, Holes, answer
from frame_forecast.studio.limits import Limits
from frame_forecast.studio.runs import Shown
from frame_forecast.studio.strangers import check_alone
from frame_forecast.training.checkpoints import prepare_to_resume
from frame_forecast.training.recipe import read_recipe
from frame_forecast.training.settings import RunSettings
from frame_forecast.viewer import schema
from radar_files import fmi_file, knmi_file, mch_file
from real_data import DATA

Use = Callable[[Path], object]
_LIMITS = Limits(frames=500, pixels=2**22)


@dataclass(frozen=True)
class Target:
    """One kind of file and what reads it.

    Args:
        name: to be typed.
        entry: what is read, in a case's folder.
        makers: of what cases begin with.
        use: reads the entry.
        kind: of the reader that is registered for it; empty for what is no file of frames.
        mend: what makes damage pass a check that whoever does harm would pass.
    """

    name: str
    entry: str
    makers: Sequence[seeds.Maker]
    use: Use
    kind: str = ""
    mend: Callable[[Tree], Tree] | None = None

    def trees(self) -> list[dict[str, bytes]]:
        """What cases begin with."""
        return [seeds.tree_of(make) for make in self.makers]


def _copy(path: Path) -> None:
    """Reads frames and writes them in the format that they came in, as the commands do."""
    name = path.name.replace("in", "out", 1).replace(".webm", ".mkv")  # VP9 looks many frames ahead, in a gigabyte
    target = path.with_name(name)
    with open_reader(path) as stream, open_writer(target, stream.header) as writer:
        for frame in stream:
            writer.write(frame)


def _upload(path: Path) -> None:
    """What the page does with a file that is dropped on it."""
    check_alone(path, path.name)
    clip = clips.read(path, path.name, _LIMITS)
    clips.keep(path.parent / "kept", clip)
    clips.load(path.parent / "kept")
    clips.write(path.parent / "kept", "out", ".gif")


def _unpack(path: Path) -> None:
    clips.keep(path.parent / "kept", clips.unpack(path, path.name, _LIMITS))


def _mask(path: Path) -> None:
    mask = Mask(str(path), 12, 10)
    for number, _ in enumerate(mask):
        if mask.repeats or number == 100:
            break


def _published(path: Path) -> None:
    test_set = PublishedTestSet(path)
    test_set.clips(np.arange(min(2, len(test_set))))


def _show(path: Path) -> None:
    """What the page shows of a run, an evaluation or weights."""
    shown = Shown(path, "title")
    shown.check()
    shown.describe()


def _release(path: Path) -> None:
    """Weights and their scores, of which a model card is made."""
    release(path, path.with_name("out.tag"), [path / "results.json"])


def _request(path: Path) -> None:
    """What the page is asked for, as far as it is JSON."""
    try:
        job = schema.Job.model_validate_json(path.read_bytes()).model_dump()
    except pydantic.ValidationError as error:  # the server's own answer to it
        raise ConfigError("a request", "one that fits the schema", str(error)[:100]) from error
    asked = {key: job[key] for key in ("task", "start", "horizon", "missing")}
    asked["holes"] = [Holes(**holes) for holes in job["holes"]]
    answer(_clip(), Asked(**asked), _linear(), _LIMITS, progress=lambda *_: None, cancel=lambda: False)


@cache
def _clip() -> clips.Clip:
    return clips.Clip.from_array(np.arange(6 * 64, dtype=np.uint8).reshape(6, 1, 8, 8))


@cache
def _linear() -> Forecaster:
    return load("linear", device="cpu")


def _request_seed(folder: Path) -> None:
    job = {"clip": "a", "task": "recreate", "model": "linear", "missing": [2, 4]}
    job["holes"] = [{"frames": [1], "mask": "AAAAAAAA//8="}, {"frames": None, "mask": "AAAAAP8AAAA="}]
    (folder / "job.json").write_text(json.dumps(job))


def _forecast_seed(folder: Path) -> None:
    job = {"clip": "a", "task": "forecast", "model": "linear", "start": 4, "horizon": 3}
    (folder / "job.json").write_text(json.dumps(job))


def with_digest(tree: Tree) -> Tree:
    """Weights whose config names the SHA-256 that they have."""
    tensors, config = tree.get(f"in/{weights.files.TENSORS}"), tree.get(f"in/{weights.files.CONFIG}")
    if tensors is None or config is None:
        return tree
    try:
        fields = json.loads(config)
        fields["contract"]["weights_sha256"] = hashlib.sha256(tensors).hexdigest()
        return {**tree, f"in/{weights.files.CONFIG}": json.dumps(fields).encode()}
    except (ValueError, TypeError, KeyError, RecursionError):  # no config any more
        return tree


def _frames(kind: str, entry: str, *makers: seeds.Maker, name: str = "") -> Target:
    return Target(name or kind, entry, makers, _copy, kind)


def _real() -> list[Target]:
    """Targets that begin with real files, where those are."""
    found = []
    for kind, folder in (("mch", "mch"), ("fmi", "fmi"), ("knmi", "KNMI"), ("netcdf", "bom")):
        if (DATA / "radar" / folder).is_dir():
            found.append(_frames(kind, "in", seeds.real_scans(folder), name=f"real-{kind}"))
    if (video := DATA / "video" / "cockatoo.mp4").is_file():
        for suffix in ("mp4", "mkv"):
            makers = seeds.remuxed(f"in.{suffix}", video, 6)
            found.append(_frames("video", f"in.{suffix}", makers, name=f"real-{suffix}"))
    return found


_PNGS = [seeds.pictures(".png", mode) for mode in ("L", "LA", "RGB", "RGBA", "P", "1", "I;16")]
_PGMS = [seeds.pictures(".pgm", "L"), seeds.pictures(".ppm", "RGB"), seeds.pictures(".pgm", "I;16")]
_JPEGS = [seeds.pictures(".jpg", "L"), seeds.pictures(".jpg", "CMYK"), seeds.an_exif]
_GIFS = [seeds.animation(".gif", "L"), seeds.animation(".gif", "P", loop=3, disposal=2), seeds.written("in.gif", 3)]
_WEBPS = [
    seeds.animation(".webp", "RGB"),
    seeds.animation(".webp", "RGBA", lossless=True),
    seeds.written("in.webp", 3),
]
_TIFFS = [
    seeds.written("in.tif"),
    seeds.tiff(compression="zlib", predictor=True),
    seeds.tiff(compression="zlib", tile=(16, 16), byteorder=">"),
    seeds.tiff(imagej=True),
    seeds.tiff(ome=True, bigtiff=True),
    *(seeds.tiff_by_pillow(name) for name in ("packbits", "tiff_deflate", "raw")),
]
_HDF5S = [
    seeds.hdf5(),
    seeds.hdf5(chunks=(1, 12, 10), compression="gzip", shuffle=True, fletcher32=True),
    seeds.hdf5(chunks=(2, 5, 5), libver="latest"),
]
_NPYS = [seeds.written("in.npy"), seeds.written("in.npy", 3, "f4", holes=True), seeds.npy_in_other_order]

TARGETS = {
    target.name: target
    for target in (
        _frames("npy", "in.npy", *_NPYS),
        _frames("npz", "in.npz", seeds.written("in.npz", 1, "u2", holes=True), seeds.npz_by_numpy),
        _frames("png", "in", *_PNGS),
        _frames("jpg", "in", *_JPEGS),
        _frames("gif", "in.gif", *_GIFS),
        _frames("webp", "in.webp", *_WEBPS),
        _frames("tif", "in.tif", *_TIFFS),
        _frames("tif", "in.tif.gz", seeds.packed(_TIFFS[0]), name="tif.gz"),
        _frames("pgm", "in", *_PGMS),
        _frames("mch", "in", seeds.radar(mch_file)),
        _frames("fmi", "in", seeds.radar(fmi_file)),
        _frames("knmi", "in", seeds.radar(knmi_file)),
        _frames("hdf5", "in.h5", *_HDF5S),
        _frames("netcdf", "in.nc", seeds.netcdf, seeds.netcdf_packed),
        _frames("zarr", "in.zarr", seeds.zarr(2), seeds.zarr(3)),
        *(_frames("video", f"in.{one}", seeds.written(f"in.{one}", 3), name=one) for one in ("mp4", "mov", "webm")),
        *(_frames("video", f"in.{one}", seeds.written(f"in.{one}"), name=one) for one in ("mkv", "avi")),
        *_real(),
        Target("upload-gif", "in.gif", _GIFS, _upload),
        Target("upload-tif", "in.tif", _TIFFS, _upload),
        Target("upload-npz", "in.npz", [seeds.written("in.npz", 1, "f4", holes=True), seeds.npz_by_numpy], _upload),
        Target("upload-drawn", "frames", [seeds.drawn], _unpack),
        Target("request", "job.json", [_request_seed, _forecast_seed], _request),
        Target("mask", "mask.npy", [seeds.mask_array], _mask),
        Target("mask-pictures", "in", _PNGS[:3], _mask),
        Target("sidecar", "out.npy.made.json", [seeds.sidecar], _mask),
        Target("idx", "in-idx3-ubyte", [seeds.idx], read_idx_images),
        Target("idx.gz", "in-idx3-ubyte.gz", [seeds.packed(seeds.idx)], read_idx_images),
        Target("published", "mnist_test_seq.npy", [seeds.published], _published),
        Target("weights", "in", [seeds.weights_folder], weights.load, mend=with_digest),
        Target("golden", "in", [seeds.golden], weights.verify, mend=with_digest),
        Target("checkpoint", "in", [seeds.checkpoint], lambda path: prepare_to_resume(path, seeds.tiny_module())),
        Target("run", "in", [seeds.run], RunSettings.read),
        Target("recipe", "in.toml", [*map(seeds.recipe, seeds.RECIPES)], read_recipe),
        Target("release", "in", [seeds.weights_with_results], _release, mend=with_digest),
        Target("show-run", "in", [seeds.run], _show),
        Target("show-results", "results.json", [seeds.results], _show),
        Target("show-backtest", "in", [seeds.backtest], _show),
        Target("show-weights", "in", [seeds.weights_folder], _show),
    )
}
