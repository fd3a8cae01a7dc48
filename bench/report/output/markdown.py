"""Boards as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from slashbench.bench.report.boards.catalog import sections
from slashbench.bench.report.data.results import Results
from slashbench.bench.report.sections import Figure, Section
from slashbench.bench.report.tables import Table, provenance
from slashbench.record import Provenance


def to_markdown(results: Results) -> str:
    """All boards of a store."""
    if not results.rows:
        return "# slashbench\n\nNo records yet: run `bench run --suite smoke` first.\n"
    return document("slashbench leaderboard", sections(results))


def document(title: str, parts: Sequence[Section]) -> str:
    """Sections under a title; figures are pictures beside the file."""
    return "\n\n".join([f"# {title}", *(text for part in parts for text in _section(part))]) + "\n"


def _section(section: Section) -> list[str]:
    said = [f"## {section.title}", section.about]
    sentences: list[str] = []
    for part in section.parts:
        if isinstance(part, str):
            sentences.append(f"- {part}")
        elif isinstance(part, Figure):
            said += [f"### {part.title}", f"![{part.title}]({part.name}.svg)", part.about]
        else:
            said.append(spell(part, "###"))
    return [text for text in [*said, "\n".join(sentences)] if text]


def origin(runs: Sequence[Provenance]) -> list[str]:
    """Return a heading and a list that say where numbers come from."""
    lines = "\n".join(f"- {line}" for line in provenance(runs))
    return ["## Where the numbers come from", lines]


def spell(table: Table, heading: str) -> str:
    """Return a table under its title; heading: the marks of its level."""
    # One line a cell: a failure's reason may have several.
    cells = [[" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in table.rows]
    text = tabulate(cells, table.columns, tablefmt="github", disable_numparse=True)
    about = f"{table.about}\n\n" if table.about else ""
    return f"{heading} {table.title}\n\n{about}{text}"
