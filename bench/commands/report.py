"""The verb `report`: make boards from the existing records."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from slashbench.bench.commands.parsing import out_option

if TYPE_CHECKING:
    from slashbench.bench.commands.parsing import Verbs

REPORTING = """\
examples
  bench report                                    the first screen, in the terminal
  bench report --all                              every board
  bench report --boards ledger,deployment         some of them
  bench report --html BOARD.html                  one page: sort, filter, hover
  bench report --svg pictures                     its pictures and charts, a file each
  bench report --out results/core --md SUMMARY.md --parquet cells.parquet
  bench report --out results/core --all --md BOARDS.md

Boards are made from the existing records, complete or not. The HTML page is one file that needs no
network.
"""


def add(verbs: Verbs) -> None:
    """Add the verb to `bench`."""
    report = verbs.add_parser(
        "report",
        parents=[out_option()],
        help="make boards from the existing records",
        epilog=REPORTING,
    )
    which = report.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="every board, not the first screen alone")
    which.add_argument("--boards", metavar="LIST", help="these boards; `all` for every one")
    report.add_argument("--html", type=Path, metavar="FILE", help="write an HTML page")
    report.add_argument(
        "--md",
        type=Path,
        metavar="FILE",
        help="write Markdown: the first screen, or the boards named",
    )
    report.add_argument("--csv", type=Path, metavar="FILE", help="write CSV, one row per cell")
    report.add_argument("--json", type=Path, metavar="FILE", help="write JSON, one object per cell")
    report.add_argument(
        "--parquet", type=Path, metavar="FILE", help="write Parquet, one row per cell"
    )
    report.add_argument(
        "--svg", type=Path, metavar="FOLDER", help="write each picture and chart as an SVG file"
    )
    report.set_defaults(verb=_report)


def _report(options: argparse.Namespace) -> int:
    from slashbench.bench.commands.console import console
    from slashbench.bench.report.boards.catalog import BOARDS
    from slashbench.bench.report.data import results
    from slashbench.bench.report.output import drawings, export, fitted_screen, html, terminal
    from slashbench.bench.store.store import Store

    if options.html is not None:
        html.prepare()
    store = Store(options.out)
    found = results.load(store)
    names: list[str] = options.boards.split(",") if options.boards else []
    if options.all or names == ["all"]:
        names = list(BOARDS)
    asked = {kind: path for kind in export.FORMATS if (path := getattr(options, kind)) is not None}
    for kind, path in asked.items():
        export.write(found, kind, path, names)
    if options.svg is not None:
        drawings.write_drawings(found, options.svg)
    elif not asked:
        if names:
            terminal.show(found, console(), names)
        else:
            fitted_screen.show(found, console())
    for warning in store.warnings:
        console(stderr=True).print(f"bench: {warning}", soft_wrap=True)
    return 0
