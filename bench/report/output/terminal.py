"""The boards in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from slashbench.bench.report.boards.catalog import BOARDS, sections
from slashbench.bench.report.data.results import Results
from slashbench.bench.report.output.terminal_table import WORDS, grid
from slashbench.bench.report.tables import Table

EMPTY = "no records yet: run `bench run --suite smoke` first"

#: Columns a narrow terminal does without, first to go first; the files have them all.
SPARE = ("machine", "steps", "candidates", "ratio", "other", "embed", "train s", "entropy", "Δ",
         "coded", "seeds", "quantisers", "float Δ", "contended", "cells", "least", "most",
         "payload", "RAM", "SATA disk", "tolerance")  # fmt: skip


def show(results: Results, console: Console, names: Sequence[str] = tuple(BOARDS)) -> None:
    """Print boards, and the names of the others."""
    if not results.every_row:
        console.print(EMPTY)
        return
    found = sections(results, names)
    for section in found:
        console.print(Text(f"\n{section.title}", style="bold underline"))
        if section.about:
            console.print(Text(section.about, style="dim"))
        for part in section.parts:
            if isinstance(part, Table):
                print_table(part, console)
            elif isinstance(part, str):
                console.print(Text(part))
    empty = [name for name in names if name not in {section.name for section in found}]
    if empty:
        console.print(Text(f"\nno records for: {', '.join(empty)}", style="dim"))
    others = [name for name in BOARDS if name not in names]
    if others:
        console.print(Text(f"\nmore: bench report --boards {','.join(others)}", style="dim"))


def print_table(table: Table, console: Console) -> None:
    """Print a table, without its spare columns where the terminal is too narrow for all."""
    if not table.rows:
        return
    console.print(Text(f"\n{table.title}", style="bold"))
    if table.about:
        console.print(Text(table.about, style="dim"))
    hidden: list[str] = []
    spare = [name for name in SPARE if name in table.columns]
    spare += [name for name in reversed(table.columns) if name.endswith((" enc", " dec", " bits"))]
    while _width(table, hidden) > console.width and spare:
        hidden.append(spare.pop(0))
    console.print(grid(table, hidden))
    if hidden:
        console.print(Text(f"too narrow to show: {', '.join(hidden)}", style="dim"))


def _width(table: Table, hidden: Sequence[str]) -> int:
    """Return the characters that the shown columns take at least, two blanks after each."""
    return sum(
        2 + WORDS.get(column, max(len(row[i]) for row in [table.columns, *table.rows]))
        for i, column in enumerate(table.columns)
        if column not in hidden
    )
