"""The boards in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import rich.table
from rich.console import Console
from rich.text import Text

from slashbench.bench.report import tables
from slashbench.bench.report.leaderboard import blocks
from slashbench.bench.report.rows import rows
from slashbench.bench.store import Store

#: Columns of words, aligned left, and the width each keeps; the longer ones fold.
WORDS = {"codec": 14, "model": 12, "side": 13, "recipe": 24, "reason": 30, "machine": 12}

#: Columns a narrow terminal does without, first to go first; the files have them all.
SPARE = ("machine", "steps", "ratio", "other", "embed", "train s", "entropy", "Δ", "coded")


def show(store: Store, console: Console) -> None:
    """Print both boards and what failed."""
    found = rows(store)
    if not found:
        console.print("no records yet: run `bench run --suite smoke` first")
        return
    board = blocks(found)
    for table in tables.leaderboard(board):
        print_table(table, console)
    console.print(Text(tables.LEGEND, style="dim"))
    for table in tables.training_against_post_training(board):
        print_table(table, console)
    print_table(tables.failures(found), console)


def print_table(table: tables.Table, console: Console) -> None:
    """Print a table, without its spare columns where the terminal is too narrow for all."""
    if not table.rows:
        return
    console.print(Text(f"\n{table.title}", style="bold"))
    if table.about:
        console.print(Text(table.about, style="dim"))
    hidden: list[str] = []
    while _width(table, hidden) > console.width:
        left = [name for name in SPARE if name in table.columns and name not in hidden]
        if not left:
            break
        hidden.append(left[0])
    console.print(_grid(table, hidden))
    if hidden:
        console.print(Text(f"too narrow to show: {', '.join(hidden)}", style="dim"))


def _grid(table: tables.Table, hidden: Sequence[str]) -> rich.table.Table:
    grid = rich.table.Table(box=None, padding=(0, 2, 0, 0), header_style="cyan")
    shown = [i for i, column in enumerate(table.columns) if column not in hidden]
    for i in shown:
        column = table.columns[i]
        words = column in WORDS
        grid.add_column(
            column,
            justify="left" if words else "right",
            overflow="fold",
            no_wrap=not words,
            min_width=WORDS.get(column),
        )
    for index, row in enumerate(table.rows):
        style = "dim" if index in table.faint else ""
        grid.add_row(*(Text(row[i]) for i in shown), style=style)
    return grid


def _width(table: tables.Table, hidden: Sequence[str]) -> int:
    """Characters the shown columns take at least, two blanks after each."""
    return sum(
        2 + WORDS.get(column, max(len(row[i]) for row in [table.columns, *table.rows]))
        for i, column in enumerate(table.columns)
        if column not in hidden
    )
