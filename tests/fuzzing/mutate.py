"""Damage and malice, by a number: `mutated` gives the same bytes for the same random numbers."""

import gzip
import io
import json
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Tree = Mapping[str, bytes]
"""The files of one case by name: one, or those of a folder."""

_INTERESTING = (0, 1, -1, 2, 3, 7, 16, 127, 128, 255, 256, 1000, 4096, 32767, 65535, 65536, 2**24, 2**30, 2**31 - 1)
_LARGE = (2**31, 2**32 - 1, 2**32, 2**40, 2**53, 2**63 - 1, 2**63, 2**64 - 1, -(2**31), -(2**63), 10**18, 10**30)
_MOST_BYTES = 2**20  # of a mutated file: time goes into many small ones
_DEEP = 20_000
_TEXTS = (
    "",
    "x",
    "0",
    "nan",
    "../../etc/passwd",
    "/",
    "\0",
    "\ud7ff",
    "é" * 50,
    "a" * 5000,
    "1" * 5000,
    "%s{0}",
    "T,H,W",
)
_PNG = b"\x89PNG\r\n\x1a\n"


def mutated(tree: Tree, others: Sequence[Tree], rng: random.Random) -> dict[str, bytes]:
    """A tree with one file or a few changed, or gone.

    Args:
        tree: as it is when nothing is wrong with it.
        others: more of the same kind, of which parts are taken.
        rng: by which everything is chosen.
    """
    changed = dict(tree)
    for _ in range(_few(rng)):
        name = rng.choice(sorted(changed))
        if len(changed) > 1 and rng.random() < 0.03:
            del changed[name]
            continue
        donors = [one[name] for one in others if name in one] or [changed[name]]
        changed[name] = mutated_bytes(changed[name], rng.choice(donors), rng, name)[:_MOST_BYTES]
    return changed


def mutated_bytes(data: bytes, donor: bytes, rng: random.Random, name: str = "") -> bytes:
    """One file changed: inside what packs it, by its syntax, or as plain bytes.

    Args:
        data: the file.
        donor: another one like it.
        rng: by which everything is chosen.
        name: its suffix says whether it is text of a known syntax.
    """
    if rng.random() < 0.75:
        for is_so, change in _BY_FORM:
            if is_so(data, name):
                try:
                    return change(data, donor, rng)
                except Exception:  # it was damaged before: then as plain bytes
                    break
    for _ in range(_few(rng)):
        data = rng.choice(_ON_BYTES)(data, donor, rng)
    if data.startswith(_PNG) and rng.random() < 0.75:
        data = with_png_checksums(data)
    return data


def _few(rng: random.Random) -> int:
    return next((count for count in (1, 2, 3) if rng.random() < 0.6), 6)


def _place(data: bytes, rng: random.Random) -> int:
    """Where to change something: headers are at the beginning, and some at the end."""
    end = max(len(data), 1)
    last = min(end, 64)
    return rng.choice(
        (rng.randrange(end), rng.randrange(min(end, 512)), rng.randrange(last), end - 1 - rng.randrange(last))
    )


def _flip(data: bytes, donor: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data or b"\0")
    for _ in range(rng.choice((1, 1, 1, 8))):
        changed[_place(changed, rng)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _set(data: bytes, donor: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]


def _cut(data: bytes, donor: bytes, rng: random.Random) -> bytes:
    return data[: _place(data, rng)]


def _remove(data: bytes, donor: bytes, rng: random.Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + data[at + rng.choice((1, 2, 4, 8, 64, 512)) :]


def _insert(data: bytes, donor: bytes, rng: random.Random) -> bytes:
    at, count = _place(data, rng), rng.choice((1, 2, 4, 8, 64, 512))
    return data[:at] + rng.choice((bytes(count), b"\xff" * count, rng.randbytes(count))) + data[at:]


def _fill(data: bytes, donor: bytes, rng: random.Random) -> bytes:
    at, count = _place(data, rng), rng.choice((2, 4, 8, 64, 512))
    return data[:at] + bytes([rng.choice((0, 255, 32, rng.randrange(256)))]) * count + data[at + count :]


def _repeat(data: bytes, donor: bytes, rng: random.Random) -> bytes:
    at, count = _place(data, rng), rng.choice((1, 4, 12, 64, 512))
    return data[:at] + data[at : at + count] * rng.choice((2, 3, 50)) + data[at + count :]


def _splice(data: bytes, donor: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.5:
        return data[: _place(data, rng)] + donor[_place(donor, rng) :]
    at, start, count = _place(data, rng), _place(donor, rng), rng.choice((4, 16, 64, 512))
    return data[:at] + donor[start : start + count] + data[at + count :]


def _integer(data: bytes, donor: bytes, rng: random.Random) -> bytes:
    """An integer that is likely to be a size, an offset or a count: another one, or a little more or less."""
    width = rng.choice((1, 2, 4, 4, 8))
    at = _place(data, rng)
    at -= at % width if rng.random() < 0.6 else 0
    form = rng.choice("<>") + {1: "B", 2: "H", 4: "I", 8: "Q"}[width]
    part = data[at : at + width]
    if len(part) < width:
        return data
    (value,) = struct.unpack(form, part)
    value = rng.choice((value + 1, value - 1, value * 2, value // 2, -value, rng.choice(_INTERESTING + _LARGE)))
    return data[:at] + struct.pack(form, value % 2 ** (8 * width)) + data[at + width :]


def _digits(data: bytes, donor: bytes, rng: random.Random) -> bytes:
    """A number in text."""
    found = [match.span() for match in re.finditer(rb"\d+(?:\.\d+)?", data[:8192])]
    if not found:
        return _integer(data, donor, rng)
    start, end = rng.choice(found)
    return data[:start] + _number(rng).encode() + data[end:]


def _number(rng: random.Random) -> str:
    return rng.choice((*map(str, _INTERESTING + _LARGE), "0.5", "1e308", "1e999", "-0.0", "9" * 40, "9" * 5000))


_ON_BYTES: tuple[Callable[[bytes, bytes, random.Random], bytes], ...] = (
    _flip, _flip, _set, _cut, _remove, _insert, _fill, _repeat, _splice, _integer, _integer, _integer, _digits,
)  # fmt: skip


def _in_gzip(data: bytes, donor: bytes, rng: random.Random) -> bytes:
    inside = mutated_bytes(gzip.decompress(data), gzip.decompress(donor), rng)
    return gzip.compress(inside, 1, mtime=0)


def _in_zip(data: bytes, donor: bytes, rng: random.Random) -> bytes:
    """Members changed, their checksums right again."""
    members, others = zip_members(data), zip_members(donor)
    for _ in range(_few(rng)):
        name = rng.choice(sorted(members))
        if rng.random() < 0.05 and len(members) > 1:
            del members[name]
        elif rng.random() < 0.05:
            members[rng.choice(sorted(members))] = members[name]
        else:
            members[name] = mutated_bytes(members[name], others.get(name, members[name]), rng, name)
    return zipped(members, rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))


def zip_members(data: bytes) -> dict[str, bytes]:
    """The files of a zip archive by name."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(members: Tree, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive, the same bytes each time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, method, 1)
    return buffer.getvalue()


def with_png_checksums(data: bytes) -> bytes:
    """A PNG whose chunks have the checksums that belong to them, as far as it has chunks."""
    parts, at = [data[:8]], 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            break
        parts.append(data[at:end] + struct.pack(">I", zlib.crc32(data[at + 4 : end])))
        at = end + 4
    return b"".join(parts) + data[at:]


def _in_png(data: bytes, donor: bytes, rng: random.Random) -> bytes:
    """The header or the pixels as they are before they are packed."""
    at = data.find(b"IDAT")
    size = int.from_bytes(data[at - 4 : at], "big")
    pixels = zlib.decompress(data[at + 4 : at + 4 + size])
    packed = zlib.compress(mutated_bytes(pixels, pixels, rng), 1)
    body = struct.pack(">I", len(packed)) + b"IDAT" + packed + bytes(4)
    return with_png_checksums(data[: at - 4] + body + data[at + 8 + size :])


def _in_json(data: bytes, donor: bytes, rng: random.Random) -> bytes:
    value: Any = {"": json.loads(data)}
    for _ in range(_few(rng)):
        _change_node(value, rng)
    text = json.dumps(value[""], indent=rng.choice((None, 2)))
    for mark, raw in _RAW.items():
        text = text.replace(f'"{mark}"', raw)
    keys = list(re.finditer(r'"[^"]+": ', text))
    if keys and rng.random() < 0.1:  # a key twice
        match = rng.choice(keys)
        text = f"{text[: match.start()]}{match[0]}{_number(rng)}, {text[match.start() :]}"
    return text.encode("utf-8", "surrogatepass")


_RAW = {
    "@digits": "9" * 5000,
    "@nested": "[" * _DEEP + "]" * _DEEP,
    "@objects": '{"a":' * _DEEP + "1" + "}" * _DEEP,
    "@exponent": "1e999",
    "@open": "[" * 50,
}
"""What Python's writer of JSON does not write, by the text that stands for it."""


def _odd_value(rng: random.Random) -> Any:
    numbers = (*_INTERESTING, *_LARGE, 0.5, -1.5, 1e308, float("nan"), float("inf"), -float("inf"))
    others = (None, True, False, [], {}, [[]], {"a": 1}, [0] * 100, *_TEXTS, *_RAW)
    return rng.choice(numbers) if rng.random() < 0.5 else rng.choice(others)


def _change_node(root: dict[str, Any], rng: random.Random) -> None:
    """Replaces, removes, renames, copies or wraps one value somewhere in JSON."""
    places: list[tuple[Any, Any]] = []
    waiting: list[Any] = [root]
    while waiting:
        node = waiting.pop()
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                waiting.append(node[key])
    node, key = rng.choice(places)
    what = rng.random()
    if what < 0.6 or node is root:
        node[key] = _odd_value(rng)
    elif what < 0.7:
        del node[key]
    elif what < 0.8:
        other, place = rng.choice(places)
        node[key] = json.loads(json.dumps(other[place])) if other is not root else None
    elif what < 0.9:
        node[key] = rng.choice(([node[key]], {"": node[key]}, str(node[key])[:100]))
    elif isinstance(node, dict):
        node[rng.choice(_TEXTS)] = node.pop(key)
    else:
        node.extend([node[key]] * rng.choice((1, 3, 1000)))


def _in_toml(data: bytes, donor: bytes, rng: random.Random) -> bytes:
    lines = data.decode().splitlines()
    for _ in range(_few(rng)):
        number = rng.randrange(len(lines))
        key, equals, value = lines[number].partition("=")
        odd = rng.choice((_number(rng), *map(json.dumps, _TEXTS[:-1]), *_TOML))
        what = rng.random()
        if what < 0.5 and equals:
            lines[number] = f"{key}= {odd}"
        elif what < 0.6:
            del lines[number]
        elif what < 0.7:
            lines.insert(rng.randrange(len(lines) + 1), lines[number])
        elif what < 0.8 and equals:
            lines[number] = f"{rng.choice((key.strip() + '.a', 'a', '.' * 50, 'a.' * 3000 + 'a'))} = {value}"
        elif what < 0.9:
            lines.insert(number, rng.choice(("[model]", "[[model]]", "[train.a]", "[frames]", "[", "[a.a]")))
        else:
            lines[number] = mutated_bytes(lines[number].encode(), donor, rng).decode("latin-1")[:1000]
        lines = lines or [""]
    return "\n".join(lines).encode("utf-8", "replace")


_TOML = (
    "true", "[]", "{}", "nan", "inf", "-inf", "1979-05-27", "07:32:00", "9999-12-31T23:59:60Z", "{a = 1}", "'''", '"""',
    "[1, [2]]", "[" * 5000 + "]" * 5000, "{a=" * 5000 + "1" + "}" * 5000, "0x" + "f" * 5000, "1_000", "0o7", "\\u0000",
)  # fmt: skip

_BY_FORM: tuple[tuple[Callable[[bytes, str], bool], Callable[[bytes, bytes, random.Random], bytes]], ...] = (
    (lambda data, name: data.startswith(b"\x1f\x8b"), _in_gzip),
    (lambda data, name: data.startswith(b"PK\3\4"), _in_zip),
    (lambda data, name: data.startswith(_PNG), _in_png),
    (lambda data, name: name.endswith((".json", ".zarray", ".zattrs", ".zgroup")), _in_json),
    (lambda data, name: name.endswith(".toml"), _in_toml),
)
