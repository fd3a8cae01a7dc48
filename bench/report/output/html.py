"""One self-contained HTML page: tables that sort and filter, charts, data to take away.

Everything is inside the file: no request leaves it. Charts are drawn by Vega-Lite, whose scripts
vl-convert brings; the rest is in `page/`.
"""

from __future__ import annotations

import base64
import functools
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slashbench.bench.report.sections import Figure, Picture, Section
from slashbench.bench.report.tables import Table

PAGE = Path(__file__).parent / "page"

_NUMBER = re.compile(r"[-+−]?\d")


@dataclass(frozen=True, slots=True)
class Download:
    """A file inside the page, offered under a name."""

    name: str
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Cells:
    """A long table to explore: rows are shown as the reader filters them."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str | float | bool | None]]
    shown: Sequence[str]  # columns of the table; files that are taken away have all
    facets: Sequence[str] = ()  # columns to choose values of
    legend: Mapping[str, str] = field(default_factory=dict)  # column -> what it is


def page(
    title: str,
    about: str,
    sections: Sequence[Section],
    cells: Cells | None = None,
    downloads: Sequence[Download] = (),
) -> str:
    """Return the page as text. `cells` become the last section."""
    import jinja2

    scripts = _scripts()
    documents: list[Any] = []

    def keep(document: Any) -> int:
        documents.append(document)
        return len(documents) - 1

    shown = [
        {
            "name": section.name,
            "title": section.title,
            "about": section.about,
            "parts": [_part(part, keep) for part in _listed(section.parts)],
        }
        for section in sections
    ]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html.j2").render(
        title=title,
        about=about,
        sections=shown,
        cells=None if cells is None else keep(_columnar(cells)),
        legend={} if cells is None else cells.legend,
        downloads=[
            (d.name, d.media_type, base64.b64encode(d.data).decode(), len(d.data))
            for d in downloads
        ],
        documents=_inside_script(documents),
        style=(PAGE / "page.css").read_text(encoding="utf-8"),
        script=(PAGE / "page.js").read_text(encoding="utf-8"),
        charts=_guarded(scripts.result()) if any("chart" in p for s in shown for p in s["parts"])
        else "",
    )  # fmt: skip


def prepare() -> None:
    """Begin to gather the chart library, which takes seconds, while other work is done."""
    _scripts()


@functools.cache
def _scripts() -> Future[str]:
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(_bundle)
    finally:
        pool.shutdown(wait=False)


def _bundle() -> str:
    import vl_convert

    text: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return text


def _part(part: Table | Figure | Picture | str | list[str], keep: Any) -> dict[str, Any]:
    if isinstance(part, list):
        return {"list": list(map(_code, part))}
    if isinstance(part, str):
        return {"text": _code(part)}
    if isinstance(part, Picture):
        return {"picture": part}
    if isinstance(part, Figure):
        return {
            "chart": keep(part.spec),
            "name": part.name,
            "title": part.title,
            "about": part.about,
        }
    table = {
        "columns": part.columns,
        "rows": part.rows,
        "numeric": [_numeric(part, i) for i in range(len(part.columns))],
        "faint": sorted(part.faint),
        "title": part.title,
        "details": part.details,
    }
    return {"table": keep(table), "title": part.title, "about": part.about, "n": len(part.rows)}


def _listed(
    parts: Sequence[Table | Figure | Picture | str],
) -> list[Table | Figure | Picture | str | list[str]]:
    """Return sentences that follow each other as one list."""
    made: list[Table | Figure | Picture | str | list[str]] = []
    for is_text, group in itertools.groupby(parts, key=lambda part: isinstance(part, str)):
        found = list(group)
        texts = [part for part in found if isinstance(part, str)]
        made += [texts] if is_text and len(texts) > 1 else found
    return made


def _code(text: str) -> list[tuple[str, bool]]:
    """Return pieces of a sentence, and whether each stands in backquotes."""
    return [(piece, i % 2 == 1) for i, piece in enumerate(text.split("`"))]


def _numeric(table: Table, column: int) -> bool:
    """Return whether most cells of a column are numbers."""
    said = [row[column] for row in table.rows if row[column] not in ("", "–", "bound")]
    return sum(bool(_NUMBER.match(text)) for text in said) * 2 > len(said)


def _columnar(cells: Cells) -> dict[str, Any]:
    """Lay rows out column by column; texts are numbered."""
    columns = []
    for i, name in enumerate(cells.columns):
        values = [row[i] for row in cells.rows]
        entry: dict[str, Any] = {"name": name}
        if any(isinstance(value, str) for value in values):
            words = sorted({str(value) for value in values if value is not None})
            place = {word: n for n, word in enumerate(words)}
            entry |= {"words": words, "values": [place.get(str(v), -1) for v in values]}
        else:
            entry["values"] = [_short(value) for value in values]
        columns.append(entry)
    shown = [list(cells.columns).index(name) for name in cells.shown]
    facets = [list(cells.shown).index(name) for name in cells.facets]
    return {"columns": columns, "shown": shown, "facets": facets, "n": len(cells.rows)}


def _short(value: Any) -> Any:
    """Round to nine significant digits; whole numbers become int."""
    if not isinstance(value, float):
        return value
    return int(value) if value.is_integer() else float(f"{value:.9g}")


def _inside_script(document: Any) -> str:
    """Return JSON that can't end the script element it stands in."""
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def _guarded(script: str) -> str:
    """Return a library's script in a scope of its own, without what would end the element."""
    return "(()=>{" + script.replace("</script", "<\\/script") + "})();"
