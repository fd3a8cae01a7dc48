"""The verb `check-submission`: whether a published folder can join the boards."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from slashbench.bench.commands.parsing import Parser

if TYPE_CHECKING:
    from rich.console import Console

    from slashbench.bench.commands.parsing import Verbs
    from slashbench.bench.plan.matrix import Request
    from slashbench.bench.report.data.records import Records
    from slashbench.bench.store.store import Store
    from slashbench.bench.submission.submission_check import SubmissionCheck

EXAMPLES = """\
examples
  bench check-submission results/mine
  bench check-submission results/mine --sample 20 --seed 7
  bench check-submission results/mine --no-rerun
  bench check-submission results/mine --command 'bench run --suite smoke'

FOLDER is what `bench publish` wrote. Without a run, the checks show that the records are complete,
that they agree with one another, and that the boards are made of them. They can't show that numbers
which agree were measured: for that, a sample of cells is run again, and compared in bytes, in the
hash of the decoded weights and in the metric. It is drawn from all good cells with equal chances,
dear ones too. The seed follows from the records, unless --seed names one: choose your own for the
submissions of others. Nothing can show trials on test data that were left out of a folder.

exit codes: 0 nothing failed ("unclear" is for a person to judge), 1 a check failed, 2 usage error
"""

STYLES = {"passed": "green", "failed": "red", "unclear": "yellow"}


def add(verbs: Verbs) -> None:
    """Add the verb to `bench`."""
    check = verbs.add_parser(
        "check-submission",
        help="check published records: whole, consistent, and equal when run again in part",
        epilog=EXAMPLES,
    )
    check.add_argument("folder", metavar="FOLDER", help="published records and their boards")
    check.add_argument(
        "--sample",
        type=int,
        default=5,
        metavar="N",
        help="cells to run again (default: %(default)s)",
    )
    check.add_argument(
        "--seed", type=int, metavar="S", help="of the draw (default: follows from the records)"
    )
    check.add_argument("--no-rerun", action="store_true", help="run nothing")
    check.add_argument(
        "--command",
        action="append",
        metavar="LINE",
        help="bench run ..., whose cells the folder should have; may be repeated (default: the "
        "commands that the records name)",
    )
    check.add_argument(
        "--work", metavar="DIR", help="results folder for what is run again (default: a fresh one)"
    )
    check.add_argument("--json", action="store_true", help="print JSON, for programs")
    check.set_defaults(verb=_check)


def _check(options: argparse.Namespace) -> int:
    from slashbench.bench.commands.console import console
    from slashbench.bench.report.data import results
    from slashbench.bench.store import merge
    from slashbench.bench.store.store import Store
    from slashbench.bench.submission import checking

    out = console(stderr=options.json)
    store = Store(options.folder)
    merge.check_source(store)
    found = results.load(store)
    asked = requests(options.command or _commands(found.records))
    made = checking.checks(found, store, asked)
    if not options.no_rerun:
        made.append(_run_again(found.records, store, options, out))
    if options.json:
        print(json.dumps([_plain(check) for check in made], indent=1))
    else:
        _show(made, out)
    return int(any(check.status == "failed" for check in made))


def requests(lines: Sequence[str]) -> dict[str, Request]:
    """Return what each command line asks for; those that are no `bench run` are left out."""
    from slashbench.bench.commands import run
    from slashbench.errors import SlashbenchError

    parser = Parser(prog="bench")
    run.add(parser.add_subparsers(required=True))
    found = {}
    for line in lines:
        with (
            contextlib.suppress(SystemExit, SlashbenchError, ValueError),  # of what is no command
            Path(os.devnull).open("w", encoding="utf-8") as nowhere,
            contextlib.redirect_stderr(nowhere),
        ):
            found[line] = run.asked(parser.parse_args(shlex.split(line)[1:]))
    return found


def _commands(records: Records) -> list[str]:
    return sorted({cell.provenance.command_line for cell in records.cells})


def _run_again(
    records: Records, store: Store, options: argparse.Namespace, out: Console
) -> SubmissionCheck:
    from slashbench.bench.commands.progress import Display
    from slashbench.bench.engines.inline import InlineProgress
    from slashbench.bench.pipeline.stages import Stages
    from slashbench.bench.plan.estimate import estimate_s, spell_seconds
    from slashbench.bench.store.store import Store
    from slashbench.bench.submission import rerun

    seed = rerun.seed_of(store) if options.seed is None else options.seed
    drawn = rerun.draw(records, options.sample, seed)
    cells = [one.cell for one in drawn if one.cell is not None]
    out.print(f"{len(cells)} cells to run again, about {spell_seconds(estimate_s(cells))}")
    display = Display(out)
    with contextlib.ExitStack() as stack:
        folder = options.work or stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(display.over(cells))
        stages = Stages(Store(folder), "missing", InlineProgress(display))
        found = rerun.run(drawn, stages, lambda one: out.print(f"{one.name}: {one.outcome}"))
    return rerun.judged(found, seed, sum(1 for _ in records.joined()))


def _show(made: Sequence[SubmissionCheck], out: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    from slashbench.bench.submission.submission_check import MOST

    table = Table(box=None, pad_edge=False)
    for column in ("check", "", "found", "what to do"):
        table.add_column(column, overflow="fold")
    for check in made:
        status = Text(check.status, style=STYLES[check.status])
        table.add_row(Text(check.name), status, Text(check.said), Text(check.remedy))
    out.print(table)
    for check in made:
        if check.cases:
            out.print(f"\n{check.name}", style=STYLES[check.status])
        for case in check.cases[:MOST]:
            out.print(f"  {case}")
        if len(check.cases) > MOST:
            out.print(f"  and {len(check.cases) - MOST} more; --json has all")
    out.print(
        "\nunclear: nothing was found wrong, but records can't show that all is right", style="dim"
    )


def _plain(check: SubmissionCheck) -> dict[str, object]:
    return {
        "check": check.name,
        "status": check.status,
        "found": check.said,
        "remedy": check.remedy,
        "cases": list(check.cases),
    }
