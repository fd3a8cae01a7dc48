"""Each picture and chart of the boards as an SVG file of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from slashbench.bench.machine.atomic_files import write_atomically
from slashbench.bench.report.data.results import Results
from slashbench.bench.report.output.html import PAGE
from slashbench.bench.report.output.pictures import pictures
from slashbench.bench.report.sections import Figure, Picture

WIDTH = 680  # of a chart that is as wide as its place


def write_drawings(results: Results, folder: Path) -> list[str]:
    """Write them to `folder`, which is made where it is missing; return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    made = dict(drawings(results))
    for name, text in made.items():
        write_atomically(folder / name, text.encode())
    return list(made)


def drawings(results: Results) -> Iterator[tuple[str, str]]:
    """Yield the name of each file and its text: a picture a model, then the charts."""
    from slashbench.bench.report.output.figures.catalog import figures  # altair takes a second

    for picture in pictures(results):
        yield f"{file_name(picture.name)}.svg", to_svg(picture)
    for drawn in figures(results).values():
        for figure in drawn:
            yield f"{figure.name}.svg", chart_to_svg(figure)


def to_svg(picture: Picture) -> str:
    """Return a picture as SVG, with its legend inside and the style that it has on the page."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    lines = (PAGE / "page.css").read_text(encoding="utf-8").splitlines()
    style = "\n".join(line for line in lines if line.startswith(".canvas"))
    return environment.get_template("drawing.svg.j2").render(picture=picture, style=Markup(style))


def file_name(name: str) -> str:
    """Return the name of a picture as every file system takes it."""
    return re.sub(r"[^\w.-]+", "-", name)


def chart_to_svg(figure: Figure) -> str:
    """Return a chart as SVG, as it is before a reader chooses anything."""
    import vl_convert

    drawn = vl_convert.vegalite_to_svg({**figure.spec, "width": WIDTH, "background": "white"})
    return str(drawn)
