"""A report as Markdown, its figures as SVG files beside it."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from tabulate import tabulate

from slashbench.bench.report.sections import Figure, Section
from slashbench.bench.report.tables import Table


def render(title: str, about: str, sections: Sequence[Section]) -> str:
    """The whole document; figures are links to figures/NAME.svg."""
    parts = [f"# {title}", about]
    for section in sections:
        parts.append(f"## {section.title}")
        if section.about:
            parts.append(section.about)
        parts += [_part(part) for part in section.parts]
    return "\n\n".join(parts) + "\n"


def svg(figure: Figure) -> str:
    """The figure drawn dark on white."""
    import vl_convert

    spec = copy.deepcopy(figure.spec)
    spec["background"] = "white"
    text: str = vl_convert.vegalite_to_svg(spec)
    return text


def _part(part: Table | Figure | str) -> str:
    if isinstance(part, str):
        return f"- {part}"
    if isinstance(part, Figure):
        return f"![{part.title}](figures/{part.name}.svg)\n\n*{part.title}.* {part.about}"
    rows = [[" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in part.rows]
    text = tabulate(rows, part.columns, tablefmt="github", disable_numparse=True)
    about = f"{part.about}\n\n" if part.about else ""
    return f"### {part.title}\n\n{about}{text}"
