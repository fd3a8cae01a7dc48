"""The boards as Markdown."""

from __future__ import annotations

from tabulate import tabulate

from slashbench.bench.report import speed, tables, trainer_speed
from slashbench.bench.report.leaderboard import blocks
from slashbench.bench.report.rows import rows
from slashbench.bench.store import Store
from slashbench.record import Provenance, Speeds, TrainerSpeeds


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
    parts += _origin([cell.provenance for cell in store.cells()])
    return "\n\n".join(parts) + "\n"


def speeds_to_markdown(found: Speeds) -> str:
    """The board of `bench speed`, and where its numbers come from."""
    parts = ["# slashbench speed", speed.LEGEND]
    parts += [_table(table) for table in speed.boards(found)]
    parts += _origin([found.provenance])
    return "\n\n".join(parts) + "\n"


def trainer_speeds_to_markdown(found: TrainerSpeeds) -> str:
    """The board of `bench speed --trainers`, and where its numbers come from."""
    parts = ["# What training regimes cost", trainer_speed.LEGEND]
    parts.append(_table(trainer_speed.table(found.speeds)))
    parts += _origin([found.provenance])
    return "\n\n".join(parts) + "\n"


def _origin(runs: list[Provenance]) -> list[str]:
    lines = "\n".join(f"- {line}" for line in tables.provenance(runs))
    return ["## Where the numbers come from", lines]


def _table(table: tables.Table, heading: str = "##") -> str:
    # One line a cell: a failure's reason may have several.
    cells = [[" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in table.rows]
    text = tabulate(cells, table.columns, tablefmt="github", disable_numparse=True)
    about = f"{table.about}\n\n" if table.about else ""
    return f"{heading} {table.title}\n\n{about}{text}"
