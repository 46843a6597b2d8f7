"""A part of the fuzzing, the same each time; docs/security.md says how to go on for longer."""

import json
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mutate import mutated
from targets import TARGETS

from frame_forecast.io.registry import readers

HERE = Path(__file__).parent
CASES = 20
"""Of each target, the whole files that they begin with among them."""


needs_linux = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="needs Linux, which says what a case took"
)


def test_every_registered_format_is_fuzzed() -> None:
    assert {entry.kind for entry in readers()} <= {target.kind for target in TARGETS.values()}


@needs_linux
def test_mutated_files_are_read_or_refused(tmp_path: Path) -> None:
    made = [name for name in TARGETS if not name.startswith("real-")]  # the same cases with real files and without
    command = [sys.executable, HERE, *made, "--cases", str(CASES), "--keep", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{CASES * len(made)} cases of {len(made)} targets, 0 findings" in done.stdout


@needs_linux
def test_what_a_case_must_not_do_is_found(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, HERE / "misdeeds.py", tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("another error").startswith("finding KeyError at misdeeds.py")
    assert re.fullmatch(r"finding 5\d\d MiB of memory", found.pop("memory"))
    assert found == {
        "a crash": "finding ended by SIGSEGV",
        "a hang": "finding over 5 s",
        "a file elsewhere": f"finding open of {tmp_path / 'elsewhere'}",
        "noise": "finding stderr: Exception ignored in: somewhere",
        "a refusal": "finding nothing is wrong, but it is refused",
        "nothing": "read ",
    }


def test_a_case_is_the_same_each_time() -> None:
    tree = {"in.json": b'{"a": [1, 2, {"b": "c"}]}', "in.bin": bytes(range(256))}
    one, again, other = (mutated(tree, [tree], random.Random(seed)) for seed in ("x/7", "x/7", "x/8"))
    assert one == again
    assert other not in (one, tree)
