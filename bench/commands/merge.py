"""The verb `merge`: copy the results of several folders or URLs into one."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from slashbench.bench.commands.parsing import out_option

if TYPE_CHECKING:
    from slashbench.bench.commands.parsing import Verbs


def add(verbs: Verbs) -> None:
    """Add the verb to `bench`."""
    merge = verbs.add_parser(
        "merge", parents=[out_option()], help="copy the results of several folders or URLs into one"
    )
    merge.add_argument("sources", nargs="+", metavar="DIR", help="results to take from")
    merge.set_defaults(verb=_merge)


def _merge(options: argparse.Namespace) -> int:
    from slashbench.bench.commands.console import console
    from slashbench.bench.store import merge
    from slashbench.bench.store.store import Store

    target = Store(options.out)
    sources = [Store(source) for source in options.sources]
    for source in sources:
        merge.check_source(source)
    for source in sources:
        found = merge.merge(source, target)
        console().print(
            f"{source.where}: {found.records} records and {found.artifacts} artifacts taken, "
            f"{found.known} were there already",
        )
    return 0
