"""Writes docs/functions.md from the docstrings and the command line's help.

::

    python tools/make_functions.py           write it
    python tools/make_functions.py --check   exit with code 1 if it is not what would be written
"""

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import typer

import frame_forecast
from frame_forecast.cli import app
from frame_forecast.models import presets

TARGET = Path(__file__).parents[1] / "docs" / "functions.md"
MODULES = (
    "predict",
    "clip",
    "header",
    "scale",
    "io.clips",
    "io.streams",
    "io.base",
    "findings",
    "faults",
    "ranges",
    "masks",
    "models",
    "models.base",
    "models.lstm_autoencoder",
    "models.conv_lstm_autoencoder",
    "models.masked_lstm",
    "models.causal",
    "models.conv_lstm",
    "models.predrnn",
    "models.predrnn_pp",
    "models.mim",
    "models.phydnet",
    "models.simvp",
    "models.mau",
    "models.swin_lstm",
    "models.baselines",
    "models.optical_flow",
    "models.summary",
    "metrics",
    "verification",
    "evaluation",
    "results",
    "skill",
    "weights",
    "training.config",
    "training.run",
    "training.recipe",
    "data.moving_mnist",
    "data.moving_scenes",
    "data.masking",
    "data.sources",
    "report",
    "reporting",
    "workflows",
    "scoring",
    "processes",
    "release",
    "backtest",
    "errors",
)
WIDTH = 90
INTRODUCTION = """\
# Functions

What can be called, and every command. Made from the docstrings by `python tools/make_functions.py`;
a test fails when this page is not up to date. Shapes: frame `(C, H, W)`, clip `(T, C, H, W)`, batch
`(B, T, C, H, W)`. Every error that a user can cause is a `FrameForecastError`.
"""
_SECTION = re.compile(r"(Args|Attributes|Returns|Raises|Yields):$")
_MODULE_PREFIX = re.compile(r"\b(?:[a-z_]\w*\.)+(?=\w)")


class _Verbatim:
    """An annotation that `inspect.Signature` prints as it is."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def build() -> str:
    """The whole page."""
    modules = [importlib.import_module(f"frame_forecast.{name}") for name in MODULES]
    names = ", ".join(f"`{name}`" for name in sorted(frame_forecast.__all__))
    parts = [INTRODUCTION, f"`frame_forecast` itself has {names}: start with `load`."]
    parts.append("Presets of models: " + ", ".join(f"`{name}`" for name in presets()) + ".\n")
    documented: set[int] = set()
    for module in modules:
        parts += [f"## {module.__name__}\n", markdown(module)]
        for name, thing in members(module):
            if id(thing) not in documented:  # a package lists what its modules define
                documented.add(id(thing))
                parts += describe(name, thing)
    parts.append("## Command line\n")
    for command, text in help_pages():
        parts.append(f"### {command}\n\n```text\n{text}\n```\n")
    return "\n".join(parts)


def members(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """The classes and functions that a module makes public, in the order of its ``__all__`` or its text."""
    for name in getattr(module, "__all__", vars(module)):
        thing = getattr(module, name)
        own = hasattr(module, "__all__") or getattr(thing, "__module__", None) == module.__name__
        if own and not name.startswith("_") and (inspect.isclass(thing) or inspect.isfunction(thing)):
            yield name, thing


def methods(kind: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties that a class defines and documents itself."""
    for name, attribute in vars(kind).items():
        function = getattr(attribute, "__func__", attribute)
        if name.startswith("_") or not (inspect.isfunction(function) or isinstance(attribute, property)):
            continue
        if function.__doc__:  # an override without one has the text of its base
            yield name, attribute


def describe(name: str, thing: Any) -> list[str]:
    """The Markdown of a class or a function."""
    parts = [f"### {name}\n", signature(name, thing), markdown(thing)]
    for method, attribute in methods(thing) if inspect.isclass(thing) else ():
        parts.append(f"#### {name}.{method}\n")
        if isinstance(attribute, property):
            parts += ["A property.\n", markdown(attribute)]
        else:
            bound = getattr(thing, method)  # a class method without its first argument
            parts += [signature(f"{name}.{method}", bound), markdown(bound)]
    return parts


def signature(name: str, thing: Any) -> str:
    """How to call it, or what it derives from if it is not to be called, as a block of code."""
    if inspect.isclass(thing) and not ("__init__" in vars(thing) and instantiable(thing)):
        bases = ", ".join(base.__name__ for base in thing.__bases__)
        return f"```python\nclass {name}({bases})\n```\n"
    found = inspect.signature(thing)
    parameters: list[str] = []
    for parameter in found.parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not any(text.startswith("*") for text in parameters):
            parameters.append("*")
        parameters.append(str(parameter.replace(annotation=annotation(parameter.annotation))))
    result = "" if inspect.isclass(thing) else f" -> {annotation(found.return_annotation)}"
    text = f"{name}({', '.join(parameters)}){result}"
    if len(text) > WIDTH:
        text = "\n".join([f"{name}(", *(f"    {parameter}," for parameter in parameters), f"){result}"])
    return f"```python\n{text}\n```\n"


def instantiable(kind: type) -> bool:
    """Whether a class is neither abstract nor a protocol."""
    return not inspect.isabstract(kind) and not getattr(kind, "_is_protocol", False)


def annotation(value: Any) -> Any:
    """A type as one reads it: without the modules it is from."""
    if value is inspect.Signature.empty:
        return value
    text = value if isinstance(value, str) else inspect.formatannotation(value)
    return _Verbatim(_MODULE_PREFIX.sub("", text).replace("~", ""))


def markdown(thing: Any) -> str:
    """A docstring, its sections as lists."""
    lines: list[str] = []
    section = ""
    for line in (inspect.getdoc(thing) or "").splitlines():
        heading = _SECTION.match(line)
        if heading:
            section = heading[1]
            lines += [f"**{section}**", ""]
        elif not section or not line.startswith("    "):
            section = section if not line else ""
            lines.append(line)
        elif section != "Returns" and (item := re.match(r" {4}(\w[\w, ]*): (.*)", line)):
            lines.append(f"- `{item[1]}`: {item[2]}")
        else:
            lines.append(line.removeprefix("    ") if section == "Returns" else f"  {line.strip()}")
    return "\n".join(lines) + "\n"


def help_pages() -> Iterator[tuple[str, str]]:
    """Each command and its ``--help``, as wide on every terminal."""
    root = typer.main.get_command(app)

    def walk(command: Any, parent: Any, name: str) -> Iterator[tuple[str, str]]:
        context = command.context_class(command, parent=parent, info_name=name, terminal_width=WIDTH, color=False)
        yield context.command_path, command.get_help(context)
        for child, inner in getattr(command, "commands", {}).items():
            yield from walk(inner, context, child)

    return walk(root, None, "frame-forecast")


def main() -> None:
    """Writes or checks the page."""
    text = build()
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(text, encoding="utf-8")
    elif not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text:
        sys.exit(f"{TARGET.name} is not up to date: run `python tools/make_functions.py`")


if __name__ == "__main__":
    main()
