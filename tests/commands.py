"""The command line, run in the process of the test."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from frame_forecast import __main__


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


Command = Callable[..., Outcome]
"""Runs ``frame-forecast`` with its words."""


def command_of(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs ``frame-forecast`` in this process."""

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["frame-forecast", *map(str, arguments)])
        code = 0
        try:
            __main__.main()
        except SystemExit as end:
            code = end.code
        printed = capsys.readouterr()
        assert isinstance(code, int)
        return Outcome(code, printed.out, printed.err)

    return run


def listing(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder with its content, None for a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def refused(command: Command, *arguments: object, words: tuple[str, ...]) -> Outcome:
    """Asserts one line on stderr with these words, exit code 2, and a working directory as it was."""
    before = listing(Path())
    outcome = command(*arguments)
    assert outcome.code == 2, outcome
    assert outcome.err.startswith("frame-forecast: "), outcome.err
    assert outcome.err.count("\n") == 1, outcome.err
    for word in words:
        assert word in outcome.err
    assert listing(Path()) == before
    return outcome
