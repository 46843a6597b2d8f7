"""Small files that declare, or unpack to, far more than they hold are refused before memory is taken."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bombs import bombs

HERE = Path(__file__).parent
MOST_BYTES = 2**26
"""Of memory beyond what is there before; the limits on frames are lowered: see `judge`."""


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Any]:
    """What came of each, read in another process."""
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("needs Linux, which says what a case took")
    done = subprocess.run([sys.executable, HERE / "bombs.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", bombs())
def test_a_bomb_is_refused(name: str, outcomes: dict[str, Any]) -> None:
    outcome = outcomes[name]
    assert outcome["kind"] == "refused", outcome["what"] + outcome["detail"]
    assert outcome["growth"] < MOST_BYTES
