"""Dataclasses made of JSON: every field of its type."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from frame_forecast.records import check_types, read_json


@dataclass
class Inner:
    name: str


@dataclass
class Outer:
    number: int = 1
    real: float = 0.5
    maybe: str | None = None
    kind: Literal["a", "b"] = "a"
    pair: tuple[float, float] = (0.0, 1.0)
    inner: Inner = field(default_factory=lambda: Inner("x"))
    many: list[Inner] = field(default_factory=list)
    named: dict[str, int] = field(default_factory=dict)
    anything: Any = None


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"real": 2},
        {"maybe": "x", "kind": "b"},
        {"many": [Inner("y"), Inner("z")], "named": {"a": 1}},
        {"anything": [object()]},
    ],
    ids=str,
)
def test_what_fits_is_taken(values: dict[str, Any]) -> None:
    check_types(Outer(**values))


@pytest.mark.parametrize(
    "values",
    [
        {"number": True},
        {"number": 1.0},
        {"real": "0.5"},
        {"real": 10**400},
        {"real": None},
        {"maybe": 1},
        {"kind": "c"},
        {"kind": []},
        {"pair": [0.0, 1.0]},
        {"pair": (0.0,)},
        {"inner": {"name": "x"}},
        {"inner": Inner(1)},  # pyright: ignore[reportArgumentType]
        {"many": [Inner("y"), "z"]},
        {"many": (Inner("y"),)},
        {"named": {"a": "1"}},
        {"named": {1: 1}},
    ],
    ids=str,
)
def test_what_does_not_fit_is_named(values: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=next(iter(values))):
        check_types(Outer(**values))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 10**5, b"9" * 5000])
def test_what_is_no_json_is_a_value_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "in.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"."):
        read_json(tmp_path / "in.json")
