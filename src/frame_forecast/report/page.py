"""The report as one HTML page that needs nothing else: no script, no font, no other file."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from html import escape
from importlib.resources import files
from pathlib import PurePosixPath
from string import Template
from typing import TYPE_CHECKING

from frame_forecast.report.content import Content, Picture, Scene, conventions, heading, measured
from frame_forecast.report.tables import METRICS, Table, findings, score_tables

if TYPE_CHECKING:
    from frame_forecast.results import Results

_MEDIA_TYPES = {".svg": "image/svg+xml", ".png": "image/png", ".gif": "image/gif"}


def page(content: Content) -> str:
    """The whole page."""
    sections = []
    if content.scenes:
        sections += ["<h2>Pictures</h2>", *map(_scene, content.scenes)]
    if content.results:
        sections += ["<h2>Scores</h2>", *map(_scores, content.results)]
    if content.curves:
        sections += ["<h2>Curves</h2>", _block("grid", map(_figure, content.curves))]
    if content.results:
        sections += ["<h2>How it was measured</h2>", *map(_measured, content.results)]
        sections += ["<h3>Conventions</h3>", _list(conventions(content.results))]
    here = files(__package__ or "")
    return Template(here.joinpath("page.html").read_text("utf-8")).substitute(
        title=escape(content.title),
        style=here.joinpath("page.css").read_text("utf-8"),
        summary=escape(" ".join(content.summary)),
        sections="\n".join(sections),
    )


def _scene(scene: Scene) -> str:
    moving = _block("grid moving", map(_figure, scene.animations))
    still = _block("stack", (_figure(picture, scrolls=True) for picture in scene.strips))
    return f"<h3>{escape(scene.heading)}</h3>\n{moving}\n{still}"


def _scores(results: Results) -> str:
    said = "".join(f"<li>{escape(sentence)}</li>" for sentence in findings(results))
    tables = "".join(_table(table, heading(results)) for table in score_tables(results))
    return f"<h3>{escape(heading(results))}</h3>\n<ul>{said}</ul>\n{tables}"


def _table(table: Table, task: str) -> str:
    heads = "".join(
        f'<th scope="col">{escape(name)} {METRICS[name].arrow}'
        f"<small>{METRICS[name].unit}</small><small>{METRICS[name].direction}</small></th>"
        for name in table.metrics
    )
    rows = "\n".join(
        f'<tr><th scope="row">{escape(model)}</th>'
        + "".join(f"<td><strong>{cell.text}</strong></td>" if cell.best else f"<td>{cell.text}</td>" for cell in cells)
        + "</tr>"
        for model, cells in table.rows
    )
    return _scrolling(
        f"{task}. {table.caption}",
        f"<table><caption>{escape(table.caption)}, best in bold</caption>\n"
        f'<thead><tr><th scope="col">model</th>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody></table>',
    )


def _measured(results: Results) -> str:
    return f"<h3>{escape(heading(results))}</h3>\n{_list(measured(results))}"


def _list(entries: dict[str, str]) -> str:
    lines = "\n".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in entries.items())
    return f"<dl>\n{lines}\n</dl>"


def _figure(picture: Picture, scrolls: bool = False) -> str:
    image = f'<img src="{_embedded(picture, picture.data)}" alt="{escape(picture.alt)}">'
    if picture.dark is not None:
        dark = _embedded(picture, picture.dark)
        image = f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">{image}</picture>'
    if scrolls:
        image = _scrolling(picture.caption, image)
    return f"<figure>{image}<figcaption>{escape(picture.caption)}</figcaption></figure>"


def _scrolling(label: str, inside: str) -> str:
    """What may be wider than a phone; it can be reached and moved by keyboard."""
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(label)}">{inside}</div>'


def _block(kind: str, inside: Iterable[str]) -> str:
    return f'<div class="{kind}">\n' + "\n".join(inside) + "\n</div>"


def _embedded(picture: Picture, data: bytes) -> str:
    media_type = _MEDIA_TYPES[PurePosixPath(picture.path).suffix]
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
