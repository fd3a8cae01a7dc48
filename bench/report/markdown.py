"""The boards as Markdown."""

from __future__ import annotations

from tabulate import tabulate

from slashbench.bench.report import tables
from slashbench.bench.report.leaderboard import blocks
from slashbench.bench.report.rows import rows
from slashbench.bench.store import Store


def to_markdown(store: Store) -> str:
    """Both boards, what failed, and where the numbers come from."""
    found = rows(store)
    if not found:
        return "# slashbench\n\nNo records yet: run `bench run --suite smoke` first.\n"
    board = blocks(found)
    parts = ["# slashbench leaderboard"]
    parts += [_table(t) for t in tables.training_against_post_training(board) if t.rows]
    parts.append(f"## Codecs\n\n{tables.LEGEND}")
    parts += [_table(table, "###") for table in tables.leaderboard(board)]
    good = sum(row.status == "ok" for row in found)
    parts.append(f"## Coverage\n\n{good} of {len(found)} cells are good.")
    failed = tables.failures(found)
    if failed.rows:
        parts.append(_table(failed, "###"))
    parts.append("## Where the numbers come from")
    parts.append("\n".join(f"- {line}" for line in tables.provenance(store.cells())))
    return "\n\n".join(parts) + "\n"


def _table(table: tables.Table, heading: str = "##") -> str:
    # One line a cell: a failure's reason may have several.
    cells = [[" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in table.rows]
    text = tabulate(cells, table.columns, tablefmt="github", disable_numparse=True)
    about = f"{table.about}\n\n" if table.about else ""
    return f"{heading} {table.title}\n\n{about}{text}"
