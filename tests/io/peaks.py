"""How much memory it takes to copy a file."""

import subprocess
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")
COPY = f"""
import re, sys
from pathlib import Path
from frame_forecast.io.streams import open_reader, open_writer
source, target = sys.argv[1:]
with open_reader(source) as stream, open_writer(target, stream.header) as writer:
    for frame in stream:
        writer.write(frame)
assert "torch" not in sys.modules
# Not getrusage: what it says begins with what the parent of this process had.
print(re.search(r"VmHWM:\\s+(\\d+)", Path("{STATUS}").read_text())[1])
"""


def peak_of_copying(source: Path, target: Path) -> int:
    """The most memory, in KiB, that a process took which read a file and wrote it anew."""
    arguments = [sys.executable, "-c", COPY, source, target]
    return int(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout)
