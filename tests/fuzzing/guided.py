"""Fuzzing that looks for new ways through the code, with atheris (pip install atheris), for what is read in Python:

    python tests/fuzzing/guided.py recipe -max_total_time=600

What follows the target is for libFuzzer; a folder among it keeps what led to new code. A finding is a crash of this
program, which names the file that it left.
"""

import sys
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # what all tests share

import atheris  # pyright: ignore[reportMissingImports]

with atheris.instrument_imports(include=["frame_forecast", "tomllib", "json"]):
    from seeds import put
    from targets import TARGETS

    from frame_forecast.errors import FrameForecastError

FILES = {
    "recipe": "in.toml",
    "run": "in/run.json",
    "show-results": "results.json",
    "show-backtest": "in/backtest.json",
    "show-run": "in/logs/version_0/metrics.csv",
    "weights": "in/config.json",
    "sidecar": "out.npy.made.json",
    "request": "job.json",
    "upload-drawn": "frames",
    "idx": "in-idx3-ubyte",
    "npy": "in.npy",
    "pgm": "in/0.pgm",
    "gif": "in.gif",
    "mkv": "in.mkv",
}
"""The file of each target that is changed; the others stay as they are."""


def main() -> None:
    """Runs libFuzzer until it is told to end, or something is found."""
    name, *options = sys.argv[1:]
    target, own = TARGETS[name], FILES[name]
    trees = [tree for tree in target.trees() if own in tree]
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as place:
        corpus = Path(place, "corpus")
        corpus.mkdir()
        for number, tree in enumerate(trees):
            (corpus / str(number)).write_bytes(tree[own])

        def one(data: bytes) -> None:
            with tempfile.TemporaryDirectory(dir=place) as folder:
                put({**trees[0], own: data}, Path(folder))
                with suppress(FrameForecastError):
                    target.use(Path(folder, target.entry))

        atheris.Setup([sys.argv[0], *options, str(corpus)], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
