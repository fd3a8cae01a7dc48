"""The verb `publish`: the records of results folders in one file, with their boards."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slashbench.bench.commands.parsing import Verbs

EXAMPLES = """\
examples
  bench publish results/local --out results/core
  bench publish node1/results s3://bucket/results --out results/core
  bench report --out results/core                and compare, merge: as with any results folder
  diff <(zstdcat old/records.jsonl.zst) <(zstdcat new/records.jsonl.zst)

The folder gets records.jsonl.zst, one record a line, and README.md, the first screen made from it;
`bench report --all` or `--csv` makes the rest. Checkpoints and compressed files are left out; the
records have their hashes. Published records are replaced as a whole.

exit codes: 0 done, 2 usage error
"""


def add(verbs: Verbs) -> None:
    """Add the verb to `bench`."""
    publish = verbs.add_parser(
        "publish",
        help="write the records of results folders into one file, with their boards",
        epilog=EXAMPLES,
    )
    publish.add_argument("sources", nargs="+", metavar="DIR", help="results folders or URLs")
    publish.add_argument("--out", required=True, metavar="DIR", help="folder for what is published")
    publish.set_defaults(verb=_publish)


def _publish(options: argparse.Namespace) -> int:
    from slashbench.bench.commands.console import console
    from slashbench.bench.report.data import results
    from slashbench.bench.report.output import export
    from slashbench.bench.store import merge
    from slashbench.bench.store.store import Store

    target = Store(options.out)
    sources = [Store(source) for source in options.sources]
    for source in sources:
        merge.check_source(source)
    count = merge.publish(sources, target)
    made = Store(options.out)
    written = export.write_boards(results.load(made), made, export.PUBLISHED)
    console().print(f"{count} records written to {made.where}, and {', '.join(written)}")
    return 0
