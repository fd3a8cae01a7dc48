"""Options and messages shared by the verbs that run a plan."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from slashbench.bench.commands.parsing import positive
from slashbench.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from slashbench.bench.commands.progress import Display
    from slashbench.bench.engines.placement import PlacementRequest
    from slashbench.bench.engines.session import Session
    from slashbench.bench.pipeline.stages import Stages
    from slashbench.bench.plan.matrix import Cell, Plan

INTERRUPTED = 130

SELECTORS = """
selectors
  name:key=value:key=value     an entry with settings        zstd:level=19
  a,b,c  or  all               a list
  key=0..4                     a range of integers           exp-golomb:k=0..4
  key=10..1000                 decades, for real numbers     backslash:lam=10..1000
  key=2^-8..2^-4               octaves                       quantize:step=2^-8..2^-4
  key=1/3/9                    the values named              zstd:level=1/3/9
  train+transform+quantize     a recipe                      plain+prune:sparsity=0.5+quantize

exit codes: 0 all good, 1 some failed, 2 usage error, 3 decoded weights differ, 130 interrupted
"""


def add_places(verb: argparse.ArgumentParser) -> None:
    """Add the options that say where cells run; `placement` reads them."""
    where = verb.add_mutually_exclusive_group()
    where.add_argument(
        "--jobs",
        default="auto",
        metavar="N",
        help="worker processes; 0: run in this process; auto: by cores and memory (default)",
    )
    where.add_argument(
        "--scheduler",
        metavar="URL",
        help="existing Dask scheduler, tcp://HOST:PORT or tls://HOST:PORT",
    )
    verb.add_argument(
        "--timeout",
        type=positive,
        metavar="S",
        help="limit in seconds for a training, and for the coding or timing of a cell",
    )
    verb.add_argument(
        "--retries",
        type=int,
        default=2,
        metavar="N",
        help="retries of work whose process died; an existing cluster has its own setting "
        "(default: %(default)s)",
    )


def placement(options: argparse.Namespace) -> PlacementRequest:
    """Return where cells are to run. Raises UsageError."""
    from slashbench.bench.engines.placement import PlacementRequest

    return PlacementRequest(
        processes(options.jobs), options.scheduler, options.timeout, options.retries
    )


def processes(text: str) -> int | None:
    """Return the number of --jobs; None for auto. Raises UsageError."""
    if text == "auto":
        return None
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"--jobs {text}: give a number of processes, or auto") from None


def announce(plan: Plan, stages: Stages, console: Console) -> list[Cell]:
    """Print what is left out, what is done and the time left. Return the missing cells."""
    from slashbench.bench.pipeline.other_code import other_code
    from slashbench.bench.plan.estimate import estimate_s, spell_seconds

    for what, why in plan.left_out.items():
        console.print(f"left out: {what}: {why}", style="yellow")
    missing = [cell for cell in plan.cells if stages.cached_cell(cell) is None]
    for change, count in other_code(stages.store, missing).items():
        console.print(f"{count} cells have records made with other code: {change}", style="yellow")
    console.print(
        f"{len(plan.cells)} cells, {len(plan.cells) - len(missing)} already done, "
        f"{len(missing)} to run, about {spell_seconds(estimate_s(missing))}",
    )
    return missing


def enumerate_cells(cells: list[Cell], console: Console) -> int:
    """Print which cells would run. Return the exit code."""
    for cell in cells:
        console.print(str(cell))
    return 0


def stopped(display: Display, console: Console) -> int:
    """Print what an interrupted run keeps. Return the exit code."""
    console.print(
        f"\nStopped. {display.done} of {display.count} cells are done and kept. "
        "The same command resumes the run."
    )
    return INTERRUPTED


def conclude(plan: Plan, session: Session, console: Console) -> int:
    """Print what went wrong. Return the exit code."""
    for what, why in session.refused.items():
        console.print(f"not run: {what}: {why}", style="red")
    if session.mismatches:
        console.print(f"{len(session.mismatches)} cells decode to other weights", style="red bold")
        return 3
    failed = -len(session.refused)
    for cell in plan.cells:
        record = session.stages.cell_record(cell)
        failed += record is None or record.status == "failed"
    if failed:
        console.print(
            f"{failed} cells failed. To run them again: the same command with --on-existing failed",
            style="red",
        )
    return 1 if failed or session.refused else 0
