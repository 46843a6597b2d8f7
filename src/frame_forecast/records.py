"""JSON that anyone may have written: read, and checked against the dataclasses that are made of it."""

import dataclasses
import json
import types
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

_EXACT_IN_FLOAT = 2**53


def read_json(path: Path) -> Any:
    """What a JSON file says.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no JSON in UTF-8, or values lie too deep in others.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError("values too deep in others") from error


def check_types(record: Any) -> None:
    """Raises TypeError unless each field of a dataclass, and of those within it, has a value of its declared type.

    A whole number that a float holds exactly will do for a float.
    """
    for name, kind in get_type_hints(type(record)).items():
        value = getattr(record, name)
        if not _fits(value, kind):
            raise TypeError(f"{name}={value!r:.60}")


def _fits(value: Any, kind: Any) -> bool:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is types.UnionType:
        return any(_fits(value, one) for one in inner)
    if origin is Literal:
        return value in inner
    if origin is list:
        return type(value) is list and all(_fits(one, inner[0]) for one in value)
    if origin is tuple:
        return type(value) is tuple and len(value) == len(inner) and all(map(_fits, value, inner))
    if origin is dict:
        return type(value) is dict and all(_fits(key, inner[0]) and _fits(one, inner[1]) for key, one in value.items())
    if dataclasses.is_dataclass(kind):
        return type(value) is kind and all(
            _fits(getattr(value, name), one) for name, one in get_type_hints(kind).items()
        )
    if kind is float and type(value) is int:
        return abs(value) <= _EXACT_IN_FLOAT
    return kind is Any or type(value) is kind
