"""A table laid out for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import rich.table
from rich.text import Text

from slashbench.bench.report.tables import Table

#: Columns of words, aligned left, and the width each keeps; the longer ones fold.
WORDS = {"codec": 14, "model": 12, "side": 13, "recipe": 24, "name": 24, "regime": 24,
         "reason": 30, "training saves [95 %]": 27, "machine": 12, "BD-rate": 18}  # fmt: skip


def grid(table: Table, hidden: Sequence[str] = ()) -> rich.table.Table:
    """Lay a table out; columns of words fold, numbers never do."""
    made = rich.table.Table(box=None, padding=(0, 2, 0, 0), header_style="cyan")
    shown = [i for i, column in enumerate(table.columns) if column not in hidden]
    for i in shown:
        column = table.columns[i]
        words = column in WORDS
        made.add_column(
            column,
            justify="left" if words else "right",
            overflow="fold",
            no_wrap=not words,
            min_width=min(WORDS.get(column, 0), max(len(row[i]) for row in table.rows)) or None,
        )
    for index, row in enumerate(table.rows):
        style = "dim" if index in table.faint else ""
        made.add_row(*(Text(row[i]) for i in shown), style=style)
    return made
