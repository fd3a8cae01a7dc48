"""What verbs that run a plan say before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from slashbench.bench.matrix import Cell, Plan
    from slashbench.bench.progress import Display
    from slashbench.bench.stages import Stages

INTERRUPTED = 130


def announce(plan: Plan, stages: Stages, console: Console) -> list[Cell]:
    """Say what is left out, how much is done and how long the rest may take. Returns the rest."""
    from slashbench.bench import progress

    for what, why in plan.left_out.items():
        console.print(f"left out: {what}: {why}", style="yellow", highlight=False, markup=False)
    missing = [cell for cell in plan.cells if stages.cached_cell(cell) is None]
    console.print(
        f"{len(plan.cells)} cells, {len(plan.cells) - len(missing)} already done, "
        f"{len(missing)} to run, about {progress.spell_seconds(progress.estimate_s(missing))}",
        highlight=False,
    )
    return missing


def enumerate_cells(cells: list[Cell], console: Console) -> int:
    """Say which cells would run. Returns the exit code."""
    for cell in cells:
        console.print(str(cell), highlight=False, markup=False)
    return 0


def stopped(display: Display, console: Console) -> int:
    """Say what an interrupted run keeps. Returns the exit code."""
    console.print(
        f"\nStopped. {display.done} of {len(display.cells)} cells are done and kept; "
        "the same command goes on from here."
    )
    return INTERRUPTED


def conclude(plan: Plan, stages: Stages, mismatches: list[str], console: Console) -> int:
    """Say what went wrong. Returns the exit code."""
    if mismatches:
        console.print(f"{len(mismatches)} cells decode to other weights", style="red bold")
        return 3
    records = [stages.cached_cell(cell) for cell in plan.cells]
    failed = [record for record in records if record is None or record.status == "failed"]
    if failed:
        console.print(
            f"{len(failed)} cells failed; after a remedy: the same command with "
            "--on-existing failed",
            style="red",
        )
    return 1 if failed else 0
