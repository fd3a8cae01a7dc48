"""The verb `reproduce`: run a paper's studies here and judge its claims."""

from __future__ import annotations

import argparse
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
  bench reproduce backslash --models kjv-gpt     one model only
  bench reproduce backslash --report --out results/backslash   rebuild the published report

Every figure and table of "BackSlash: Rate Constrained Optimized Training of Large Language Models"
(ICML 2025), at a size that two cores can run. Writes report.md, report.html and the figures as SVG:
the paper's numbers beside ours, and a verdict for each claim, computed from the records. The same
command resumes a run that was stopped. The full run reuses the records of the quick one.

exit codes: 0 all good, 1 some failed, 2 usage error, 3 decoded weights differ, 130 interrupted
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
    verb.add_argument("--models", metavar="LIST", help="only these models of the study")
    verb.add_argument("--seeds", metavar="LIST", help="seeds instead of the study's, such as 0..2")
    verb.add_argument(
        "--report", action="store_true", help="run nothing; write the report from existing records"
    )
    verb.add_argument("--dry-run", action="store_true", help="show what would run, run nothing")
    verb.add_argument(
        "--on-existing",
        choices=["missing", "failed", "always"],
        default="missing",
        help="run cells without a record (default), failed ones too, or all again",
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
    written = report.write(found, store)
    for warning in store.warnings:
        out.print(warning, style="yellow")
    for claim in found.claims:
        out.print(
            f"{claim.verdict.value:>20}  {claim.source}: {claim.text} ({claim.because})",
        )
    out.print(f"written: {', '.join(written)}")
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
