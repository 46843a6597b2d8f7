"""The wheel that is built from this tree holds all that is needed, and works where the tree is not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
REPORT = """
from pathlib import Path
import numpy as np
from frame_forecast.report import Sample, write_report
sample = Sample("forecast", "black", 0, 1, np.zeros((2, 1, 16, 16), np.float32), np.zeros((1, 1, 16, 16), np.float32))
print(write_report(Path("run"), title="From a wheel", summary=[], results=[], samples=[sample], curves=None))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel is installed, alone."""
    wheels, target = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", wheels, ROOT], check=True)
    (wheel,) = wheels.glob("frame_forecast-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", target, wheel], check=True)
    return target


def python(installed: Path, cwd: Path, *arguments: str) -> str:
    """What Python prints, run elsewhere with the installed package before the tree's."""
    environment = os.environ | {"PYTHONPATH": str(installed), "COLUMNS": "120"}
    process = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=True
    )
    return process.stdout


def test_the_installed_package_is_the_one_that_is_used(installed: Path, tmp_path: Path) -> None:
    file = python(installed, tmp_path, "-c", "import frame_forecast; print(frame_forecast.__file__)")
    assert Path(file.strip()) == installed / "frame_forecast" / "__init__.py"


def test_it_holds_every_file_of_the_package_and_no_other(installed: Path) -> None:
    def files(folder: Path) -> set[str]:
        found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
        return {str(path) for path in found if path.suffix != ".pyc"}

    assert files(installed / "frame_forecast") == files(ROOT / "src" / "frame_forecast")


def test_the_command_runs(installed: Path, tmp_path: Path) -> None:
    listed = python(installed, tmp_path, "-m", "frame_forecast", "models")
    assert "conv_lstm_autoencoder" in listed
    script = installed / "bin" / "frame-forecast"
    assert "evaluate" in python(installed, tmp_path, str(script), "--help")


def test_a_report_finds_its_templates(installed: Path, tmp_path: Path) -> None:
    page = tmp_path / python(installed, tmp_path, "-c", REPORT).strip()
    text = page.read_text(encoding="utf-8")
    assert "From a wheel" in text
    assert "<style>" in text
