"""What is loaded before anything is asked for; a process of its own, because this one has loaded it all."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "lightning", "matplotlib", "PIL", "cv2")
IMPORT = "import frame_forecast, sys"
HELP = """
import sys
sys.argv = ["frame-forecast", "--help"]
from frame_forecast.__main__ import main
try:
    main()
except SystemExit as end:
    assert not end.code
"""


@pytest.mark.parametrize("code", [IMPORT, HELP], ids=["import", "help"])
def test_loads_nothing_heavy(code: str) -> None:
    check = f"print('loaded:', sorted(set({HEAVY}) & set(sys.modules)))"
    process = subprocess.run([sys.executable, "-c", f"{code}\n{check}"], capture_output=True, text=True, check=True)
    assert process.stdout.splitlines()[-1] == "loaded: []"


def test_the_check_above_can_fail() -> None:
    code = "import sys, frame_forecast; frame_forecast.Clip; print('numpy' in sys.modules)"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout == "True\n"
