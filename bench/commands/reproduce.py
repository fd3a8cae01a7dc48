"""The verb `reproduce`: a paper's claims, run here and judged."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from slashbench.bench.commands import run_options
from slashbench.bench.commands.parsing import out_option

if TYPE_CHECKING:
    from rich.console import Console

    from slashbench.bench.commands.parsing import Verbs
    from slashbench.bench.reproduce.study import Paper
    from slashbench.bench.store.store import Store

REPRODUCING = """\
examples
  bench reproduce backslash --quick              the smallest models, in a few minutes
  bench reproduce backslash                      all of it, under an hour on two cores
  bench reproduce backslash --dry-run            what would run
  bench reproduce backslash --models kjv-gpt     the part of one model
  bench reproduce backslash --report --out results/backslash   the published one, made again

Every figure and table of "BackSlash: Rate Constrained Optimized Training of Large Language Models"
(ICML 2025), at a size two cores bear: report.md, report.html and figures as SVG, with the paper's
numbers beside ours and a verdict for each claim, computed from the records. A run that was stopped
goes on where it was, and the long run from the quick one's records.

exit codes: 0 all cells good, 1 some failed, 2 wrong use, 3 decoded weights differ, 130 interrupted
"""


def add(verbs: Verbs) -> None:
    """Add the verb to `bench`."""
    verb = verbs.add_parser(
        "reproduce",
        parents=[out_option()],
        help="run a paper's figures and tables here, and judge its claims",
        epilog=REPRODUCING,
    )
    verb.add_argument("paper", choices=["backslash"])
    verb.add_argument("--quick", action="store_true", help="the smallest models, fewer points")
    verb.add_argument("--models", metavar="LIST", help="of the study, only these")
    verb.add_argument("--seeds", metavar="LIST", help="in place of the study's, such as 0..2")
    verb.add_argument(
        "--report", action="store_true", help="run nothing: the report of the records there are"
    )
    verb.add_argument("--dry-run", action="store_true", help="show what would run, run nothing")
    verb.add_argument(
        "--on-existing",
        choices=["missing", "failed", "always"],
        default="missing",
        help="run only what has no record (default), what failed as well, or everything again",
    )
    run_options.add_places(verb)
    verb.set_defaults(verb=_reproduce)


def _reproduce(options: argparse.Namespace) -> int:
    from slashbench.bench.commands.console import console
    from slashbench.bench.reproduce import report
    from slashbench.bench.reproduce.backslash.studies import BACKSLASH
    from slashbench.bench.store.store import Store

    out = console()
    store = Store(options.out)
    code = 0 if options.report else _run(options, BACKSLASH, store, out)
    if options.dry_run or code == run_options.INTERRUPTED:
        return code
    found = report.findings(BACKSLASH, store)
    written = report.write(found, Path(store.files.where))
    for warning in store.warnings:
        out.print(warning, style="yellow")
    for claim in found.claims:
        out.print(
            f"{claim.verdict.value:>20}  {claim.source}: {claim.text} ({claim.because})",
        )
    out.print(f"written: {', '.join(map(str, written))}")
    return code


def _run(options: argparse.Namespace, paper: Paper, store: Store, out: Console) -> int:
    """Run what is missing of the study. Returns the exit code."""
    from slashbench.bench.commands import progress
    from slashbench.bench.engines import session
    from slashbench.bench.plan import matrix

    request = run_options.placement(options)
    suite = f"{options.paper}-quick" if options.quick else options.paper
    plan = matrix.plan(matrix.Request(suite, options.models, seeds=options.seeds))
    display = progress.Display(out)
    with session.opened(request, store, options.on_existing, display) as work:
        missing = run_options.announce(plan, work.stages, out)
        if options.dry_run:
            return run_options.enumerate_cells(missing, out)
        try:
            with display.over(missing), work.engaged(missing) as driver:
                for model in dict.fromkeys(cell.model.text for cell in plan.cells):
                    driver.run([cell for cell in missing if cell.model.text == model])
                    paper.afterwards(
                        [cell for cell in plan.cells if cell.model.text == model], work.stages
                    )
        except KeyboardInterrupt:
            return run_options.stopped(display, out)
    return run_options.conclude(plan, work, out)
