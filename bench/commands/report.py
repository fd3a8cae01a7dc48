"""Verbs about what there is: report, compare."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from slashbench.bench.commands.console import console
from slashbench.errors import UsageError

REPORTING = """\
examples
  bench report                                    the usual boards, in the terminal
  bench report --boards ledger,deployment         others; `all` for every one
  bench report --html BOARD.html                  one page to look at: sort, filter, hover
  bench report --out results/core --md BOARD.md --parquet cells.parquet

Boards are made of the records there are, complete or not. The page holds everything it shows: it
opens from disk, and asks nothing of a network.
"""

COMPARING = """\
examples
  bench compare results/before results/after                two runs: cells alike
  bench compare plain backslash:lam=20                      two recipes of --out, under each
                                                            quantiser that both have
  bench compare plain+quantize:step=2^-5 plain+gptq:step=2^-5
  bench compare before after --fail-on 'bytes>0,decode<-10%,metric<-0.5'

--fail-on says what must not be, for continuous integration. Bytes are exact: a single cell is
enough. Metrics (of a recipe, over its seeds; points, or a share where lower is better) and speeds
(of a codec, over models and seeds, on one machine) are noisy: they must be beyond the limit with
their whole range of 95 %. The speed of a codec on one model and seed has no range and is never
beyond it. A cell that fails or is missing in the second counts too.

exit codes: 0 nothing that must not be, 1 something, 2 wrong use
"""


def add(verbs: Any, out: argparse.ArgumentParser) -> None:
    """Add the verbs `report` and `compare`. out: the parent that brings --out."""
    report = verbs.add_parser(
        "report",
        parents=[out],
        help="boards from the records there are, complete or not",
        epilog=REPORTING,
    )
    report.add_argument("--boards", metavar="LIST", help="which to print (default: the usual ones)")
    report.add_argument("--html", type=Path, metavar="FILE", help="write one page to look at")
    report.add_argument("--md", type=Path, metavar="FILE", help="write Markdown")
    report.add_argument("--csv", type=Path, metavar="FILE", help="write CSV, one row a cell")
    report.add_argument("--json", type=Path, metavar="FILE", help="write JSON, one object a cell")
    report.add_argument("--parquet", type=Path, metavar="FILE", help="write Parquet, a row a cell")
    report.set_defaults(verb=_report)

    compare = verbs.add_parser(
        "compare",
        parents=[out],
        help="what changed between two runs, or between two recipes",
        epilog=COMPARING,
    )
    compare.add_argument("a", metavar="A", help="a results folder, or a recipe of --out")
    compare.add_argument("b", metavar="B", help="the other")
    compare.add_argument("--fail-on", default="", metavar="CONDITIONS", help="what must not be")
    compare.set_defaults(verb=_compare)


def _report(options: argparse.Namespace) -> int:
    from slashbench.bench.report.boards.catalog import BOARDS, USUAL
    from slashbench.bench.report.data import results
    from slashbench.bench.report.output import export, html, terminal
    from slashbench.bench.store.store import Store

    if options.html is not None:
        html.prepare()
    store = Store(options.out)
    found = results.load(store)
    asked = {kind: getattr(options, kind) for kind in export.FORMATS}
    for kind, path in asked.items():
        if path is not None:
            export.write(found, kind, path)
    if options.boards or not any(asked.values()):
        names = options.boards.split(",") if options.boards else USUAL
        terminal.show(found, console(), tuple(BOARDS) if names == ["all"] else names)
    for warning in store.warnings:
        print(f"bench: {warning}", file=sys.stderr)
    return 0


def _compare(options: argparse.Namespace) -> int:
    from slashbench.bench.report.analysis import compare
    from slashbench.bench.report.data import results
    from slashbench.bench.report.output import terminal
    from slashbench.bench.store.store import Store

    asked = compare.conditions(options.fail_on)
    out = console()
    if all((Path(side) / "records").is_dir() for side in (options.a, options.b)):
        a, b = (results.load(Store(Path(side))).rows for side in (options.a, options.b))
        found = compare.of_runs(options.a, a, options.b, b)
    else:
        found = compare.of_recipes(options.a, options.b, results.load(Store(options.out)).rows)
    if not found.pairs:
        raise UsageError(f"no cell is both in {options.a} and in {options.b}: nothing to compare")
    for table in compare.tables(found):
        terminal.print_table(table, out)
    out.print(compare.LEGEND, style="dim", highlight=False)
    said = compare.violations(found, asked)
    for text in said if options.fail_on else []:
        out.print(text, style="red", highlight=False, markup=False)
    return 1 if options.fail_on and said else 0
