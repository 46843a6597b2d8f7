"""Whether memory is flat in the length of a video: `recreate` on one minute and on ten, with as many frames missing a
minute.

Through the command line, in a process of its own, on moving texture that is made here::

    python benchmarks/own_frames.py --out benchmarks/results/own_frames.csv
"""

import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import av
import numpy as np
import typer
from PIL import Image

from common import record, run_command

HEIGHT, WIDTH, RATE = 720, 1280, 25
MINUTES = [1.0, 10.0]
GAP = 2  # frames in a row that are missing
EVERY = 6  # seconds from a gap to the next
_GRAIN = 16  # pixels of a grain of the texture


def write_video(path: Path, frames: int, height: int, width: int) -> None:
    """Texture that moves by two pixels down and three to the right each frame, in H.264, coded in little time."""
    grains = np.random.default_rng(0).integers(0, 256, (-(-height // _GRAIN), -(-width // _GRAIN), 3), np.uint8)
    texture = np.asarray(Image.fromarray(grains).resize((width, height), Image.Resampling.BICUBIC))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast"})
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        unit = stream.time_base = stream.codec_context.time_base = Fraction(1, RATE)
        for t in range(frames):
            picture = av.VideoFrame.from_ndarray(np.roll(texture, (2 * t, 3 * t), (0, 1)), "rgb24")
            picture.pts, picture.time_base = t, unit
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def missing(frames: int) -> str:
    """Gaps as ``--missing`` takes them, in the middle between one and the next."""
    step = EVERY * RATE
    return ",".join(f"{t}-{t + GAP - 1}" for t in range(step // 2, frames - GAP, step))


def measurements(minutes: list[float], height: int, width: int, model: str, suffix: str) -> Iterator[dict[str, object]]:
    """A row for each length."""
    first = None
    for length in minutes:
        frames = round(60 * length * RATE)
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, "source.mp4"), Path(folder, f"target{suffix}")
            write_video(source, frames, height, width)
            ranges = missing(frames)
            cost = run_command(
                "recreate", str(source), "--missing", ranges, "--model", model, "-o", str(target), "--device", "cpu"
            )
        first = first or cost["peak_mib"]
        yield {
            "model": model,
            "output": suffix,
            "height": height,
            "width": width,
            "frames": frames,
            "frames_missing": GAP * len(ranges.split(",")),
            **cost,
            "peak_ratio_to_first": round(cost["peak_mib"] / first, 3),
        }


def main(
    out: Annotated[Path, typer.Option(help="CSV file to write.")] = Path("benchmarks/results/own_frames.csv"),
    minutes: Annotated[list[float], typer.Option(help="Of video; may be given several times.")] = MINUTES,
    height: Annotated[int, typer.Option(min=2, help="Of the frames, even.")] = HEIGHT,
    width: Annotated[int, typer.Option(min=2, help="Of the frames, even.")] = WIDTH,
    model: Annotated[str, typer.Option(help="As for `frame-forecast recreate`.")] = "linear",
    suffix: Annotated[str, typer.Option(help="Of the file that is written.")] = ".mp4",
) -> None:
    """Measures, prints and writes."""
    record(out, measurements(minutes, height, width, model, suffix))


if __name__ == "__main__":
    typer.run(main)
