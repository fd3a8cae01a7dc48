"""The verb `report`: boards from the records there are."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from slashbench.bench.commands.parsing import out_option

if TYPE_CHECKING:
    from slashbench.bench.commands.parsing import Verbs

REPORTING = """\
examples
  bench report                                    the usual boards, in the terminal
  bench report --boards ledger,deployment         others; `all` for every one
  bench report --html BOARD.html                  one page to look at: sort, filter, hover
  bench report --out results/core --md BOARD.md --parquet cells.parquet

Boards are made of the records there are, complete or not. The page holds everything it shows: it
opens from disk, and asks nothing of a network.
"""


def add(verbs: Verbs) -> None:
    """Add the verb to `bench`."""
    report = verbs.add_parser(
        "report",
        parents=[out_option()],
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


def _report(options: argparse.Namespace) -> int:
    from slashbench.bench.commands.console import console
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
        console(stderr=True).print(f"bench: {warning}", soft_wrap=True)
    return 0
