"""The gallery: pictures and charts of published records, drawn when the pages are built."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from generated_pages import titled, write
from sphinx.application import Sphinx

from slashbench.bench.report.data import results
from slashbench.bench.report.data.results import Results
from slashbench.bench.report.output import drawings
from slashbench.bench.report.output.figures.catalog import figures
from slashbench.bench.report.output.pictures import HOW, pictures
from slashbench.bench.store.published import NAME
from slashbench.bench.store.store import Store

PUBLISHED = Path(__file__).parents[2] / "results"
REPRODUCED = PUBLISHED / "backslash"
#: Whose charts are drawn beside the pictures: the first of these that is published.
CHARTED = ("core-v1", "core")

_FIGURE = re.compile(r"^### (.+)\n+!\[.*\]\((.+\.svg)\)\n+(.+)$", re.MULTILINE)


def setup(app: Sphinx) -> dict[str, bool]:
    """Draw when a build begins."""
    app.connect("builder-inited", _write)
    return {"parallel_read_safe": True}


def _write(app: Sphinx) -> None:
    folder = Path(app.srcdir) / "generated"
    folder.mkdir(exist_ok=True)
    write(folder / "gallery.rst", _page(folder))


def _page(folder: Path) -> Iterator[str]:
    yield from titled("Gallery", "=")
    yield from ["Made from the records in ``results/`` when these pages were built.", ""]
    yield from titled("Quality against bits", "-")
    yield from [HOW.split(" Point at a point")[0], ""]
    boards = {
        path.parent.name: results.load(Store(path.parent))
        for path in sorted(PUBLISHED.glob(f"*/{NAME}"))
        if path.parent != REPRODUCED
    }
    for name, found in boards.items():
        yield from _pictures(folder, name, found)
    charted = next(name for name in CHARTED if name in boards)
    yield from titled("Charts", "-")
    yield from [
        f"Of ``results/{charted}``. On the page of boards a reader chooses model and recipe: "
        f"``bench report --out results/{charted} --html FILE``.",
        "",
    ]
    for figure in (f for drawn in figures(boards[charted]).values() for f in drawn):
        yield from titled(figure.title, "~")
        file = f"{charted}-{figure.name}.svg"
        write(folder / file, [drawings.chart_to_svg(figure)])
        yield from _image(file, figure.title)
        yield from [figure.about, ""]
    yield from titled("The BackSlash paper, reproduced", "-")
    for title, file, about in _FIGURE.findall((REPRODUCED / "report.md").read_text("utf-8")):
        yield from titled(title, "~")
        write(folder / f"backslash-{file}", [(REPRODUCED / file).read_text("utf-8").rstrip("\n")])
        yield from _image(f"backslash-{file}", title)
        yield from [about.replace("*", r"\*").replace("|", r"\|"), ""]


def _pictures(folder: Path, name: str, found: Results) -> Iterator[str]:
    for picture in pictures(found):
        if len(picture.dots) < 3:
            continue
        yield from titled(picture.title, "~")
        file = f"{name}-{drawings.file_name(picture.name)}.svg"
        write(folder / file, [drawings.to_svg(picture)])
        yield from _image(file, picture.title)
        yield from [f"``results/{name}``. {picture.about}", ""]


def _image(file: str, title: str) -> list[str]:
    return [f".. image:: {file}", f"   :alt: {title}", "   :width: 100%", ""]
