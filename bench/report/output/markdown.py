"""Boards as Markdown."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tabulate import tabulate

from slashbench.bench.report.boards import coverage
from slashbench.bench.report.boards.catalog import sections
from slashbench.bench.report.boards.first_screen import names_section
from slashbench.bench.report.data.results import Results
from slashbench.bench.report.output.fitted_screen import fitted
from slashbench.bench.report.output.terminal import EMPTY
from slashbench.bench.report.sections import Figure, Section
from slashbench.bench.report.tables import Table, provenance
from slashbench.record import Provenance


def to_markdown(results: Results, boards: Sequence[str] = ()) -> str:
    """Return the first screen of a store, or the boards of those names.

    The recipes named on the screen and where the numbers come from follow it.
    """
    if not results.every_row:
        return f"# slashbench\n\n{EMPTY}\n"
    if boards:
        return document("slashbench boards", sections(results, boards))
    screen = fitted(results)
    names = names_section(results)
    tables = [part for part in screen.parts if isinstance(part, Table)]
    shown = {cell for table in tables for row in table.rows for cell in row}
    listed = [
        dataclasses.replace(table, rows=[row for row in table.rows if row[0] in shown])
        for table in names.parts
        if isinstance(table, Table)
    ]
    said = [part for part in screen.parts if isinstance(part, str)]
    parts = [
        "# slashbench summary",
        screen.about,
        *(spell(table, "##") for table in tables),
        "## Findings" if said else "",
        "\n".join(f"- {text}" for text in said),
        "All boards: `bench report --all`, or one page with `--html FILE`.",
        *(spell(table, "##") for table in listed if table.rows),
        *_section(coverage.origin(results)),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def document(title: str, parts: Sequence[Section]) -> str:
    """Return sections under a title; figures are pictures beside the file."""
    return "\n\n".join([f"# {title}", *(text for part in parts for text in _section(part))]) + "\n"


def _section(section: Section) -> list[str]:
    said = [f"## {section.title}", section.about]
    sentences: list[str] = []
    for part in section.parts:
        if isinstance(part, str):
            sentences.append(f"- {part}")
        elif isinstance(part, Figure):
            said += [f"### {part.title}", f"![{part.title}]({part.name}.svg)", part.about]
        elif isinstance(part, Table):
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
