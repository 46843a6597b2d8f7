"""Everything public is documented, in the code and in docs/functions.md."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import frame_forecast
from frame_forecast import models
from frame_forecast.cli import app

ROOT = Path(__file__).parents[1]
TOOL = ROOT / "tools" / "make_functions.py"
PAGE = ROOT / "docs" / "functions.md"
MODULES = [info.name for info in pkgutil.walk_packages(frame_forecast.__path__, "frame_forecast.")]


def test_the_page_is_what_the_tool_would_write() -> None:
    process = subprocess.run([sys.executable, TOOL, "--check"], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr


def test_a_stale_page_is_noticed(tmp_path: Path) -> None:
    tool = tmp_path / "tools" / TOOL.name  # the tool writes the page of the tree that it is in
    page = tmp_path / "docs" / PAGE.name
    tool.parent.mkdir()
    page.parent.mkdir()
    tool.write_bytes(TOOL.read_bytes())
    page.write_bytes(PAGE.read_bytes() + b"more\n")
    process = subprocess.run([sys.executable, tool, "--check"], capture_output=True, text=True, check=False)
    assert process.returncode == 1
    assert "make_functions.py" in process.stderr
    assert page.read_bytes() == PAGE.read_bytes() + b"more\n"


def undocumented(name: str, thing: Any) -> Iterator[str]:
    """The public parts of a class or function, itself included, that have no text of their own or of a base."""
    text = thing.__doc__
    if not text or text.startswith(f"{thing.__name__}("):  # what a dataclass makes up
        yield name
    if inspect.isclass(thing):
        for key, attribute in vars(thing).items():
            function = getattr(attribute, "__func__", attribute)
            public = not key.startswith("_") and (inspect.isfunction(function) or isinstance(attribute, property))
            if public and not inspect.getdoc(getattr(thing, key)):
                yield f"{name}.{key}"


@pytest.mark.parametrize("name", MODULES)
def test_every_public_thing_has_a_docstring(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    missing = [
        part
        for key, thing in vars(module).items()
        if not key.startswith("_")
        and (inspect.isclass(thing) or inspect.isfunction(thing))
        and thing.__module__ == name
        for part in undocumented(key, thing)
    ]
    assert missing == []


def commands(command: Any, path: str) -> Iterator[str]:
    yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{path} {name}")


@pytest.mark.parametrize("path", list(commands(typer.main.get_command(app), "frame-forecast")))
def test_every_command_is_on_the_page(path: str) -> None:
    assert f"\n### {path}\n" in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("entry", models.entries(), ids=lambda entry: entry.name)
def test_every_model_is_on_the_page(entry: models.Entry) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert isinstance(entry.model, type)
    assert f"\n### {entry.model.__name__}\n" in page
    for preset in entry.presets:
        assert f"`{preset}`" in page
