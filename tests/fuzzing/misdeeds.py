"""What the fuzzer makes of cases that do what no reader may do, as JSON.

python tests/fuzzing/misdeeds.py FOLDER
"""

import ctypes
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # what all tests share

from pool import run
from targets import Target

from frame_forecast.errors import DataError

ELSEWHERE = Path(sys.argv[-1]) / "elsewhere"


def commit(path: Path) -> None:
    """Does what the file says."""
    match path.read_text():
        case "another error":
            raise KeyError("a")
        case "a crash":
            ctypes.string_at(0)
        case "a hang":
            while True:
                pass
        case "memory":
            (b"x" * 2**29).count(b"y")
        case "a file elsewhere":
            ELSEWHERE.write_bytes(b"x")
        case "noise":
            os.write(2, b"Exception ignored in: somewhere")
        case "a refusal":
            raise DataError("a whole file", "less", "do not")


MISDEEDS = ("another error", "a crash", "a hang", "memory", "a file elsewhere", "noise", "a refusal", "nothing")


def main() -> None:
    """Prints what each came to; one after another, so that a crash must not end those after it."""
    trees = [{"in": misdeed.encode()} for misdeed in MISDEEDS]
    target = Target("misdeeds", "in", [], commit)
    found = {MISDEEDS[number]: f"{one.kind} {one.what}" for number, one in run(target, trees, range(len(trees)))}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
