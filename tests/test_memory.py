"""Memory of the commands for files of your own: flat in the length of the input."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from frame_forecast.clip import Clip
from frame_forecast.header import Header
from frame_forecast.io.clips import write
from frame_forecast.scale import ValueScale

HEIGHT, WIDTH = 240, 320  # large enough for frames that are kept to show beside what torch takes
STATUS = Path("/proc/self/status")
COMMAND = f"""
import re
from pathlib import Path
from frame_forecast.__main__ import main
try:
    main()
finally:
    print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("{STATUS}").read_text())[1])
"""


def make_video(path: Path, frames: int) -> None:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    texture = (128 + 60 * np.sin(x / 9) + 60 * np.cos(y / 11)).astype(np.uint8)
    values = np.stack([np.roll(texture, 2 * t, axis=1) for t in range(frames)])[:, None].repeat(3, axis=1)
    header = Header("array", *values.shape, values.dtype)
    observed = np.ones((frames, 1, HEIGHT, WIDTH), dtype=bool)
    write(Clip(values, observed, ValueScale.of_dtype(values.dtype), header=header), path)


def peak_of_recreating(source: Path, missing: str, target: Path) -> int:
    """The most memory that the command ever held, in KiB."""
    arguments = ["recreate", str(source), "--missing", missing, "--model", "linear", "-o", str(target)]
    # A fixed threshold: else glibc keeps freed canvases for later, more of them or fewer from run to run.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "131072", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments, "--device", "cpu"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


@pytest.mark.skipif(not STATUS.exists(), reason="needs Linux, which says how much memory a process held")
def test_memory_is_flat_in_the_length_of_a_video(tmp_path: Path) -> None:
    peaks = {}
    for frames in (40, 400):
        source = tmp_path / f"{frames}.mkv"
        make_video(source, frames)
        missing = ",".join(f"{t}-{t + 1}" for t in range(10, frames, 40))
        peaks[frames] = peak_of_recreating(source, missing, tmp_path / f"whole-{frames}.mkv")
    assert peaks[400] < 1.1 * peaks[40]
    held = 360 * 3 * HEIGHT * WIDTH / 1024
    assert held > 0.1 * peaks[40], "frames too small for the test to notice that they are kept"
