"""The verb `inspect`: what is in a checkpoint, compressed or not."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from slashbench.bench.commands import checkpoint_options

if TYPE_CHECKING:
    from slashbench.bench.commands.parsing import Verbs

EXAMPLES = """\
examples
  bench inspect small.safetensors                each tensor, and where the bytes go
  bench inspect small.safetensors --json | jq .ledger
  bench inspect pytorch_model.bin                the tensors of a file in another format
"""


def add(verbs: Verbs) -> None:
    """Add the verb to `bench`."""
    verb = verbs.add_parser(
        "inspect", help="list what is in a checkpoint, compressed or not", epilog=EXAMPLES
    )
    verb.add_argument(
        "path", type=Path, help="a file of weights, a folder of them, or - (standard input)"
    )
    verb.add_argument("--json", action="store_true", help="print JSON")
    checkpoint_options.add_trusted(verb)
    verb.set_defaults(verb=_inspect)


def _inspect(options: argparse.Namespace) -> int:
    from slashbench.bench.checkpoint import describe, reader, sources
    from slashbench.bench.commands import paths
    from slashbench.bench.commands.console import console
    from slashbench.bench.formats import opening
    from slashbench.bench.report import checkpoint_tables as board
    from slashbench.bench.report.output.terminal import print_table

    found = []
    with paths.on_disk(options.path) as path:
        for file in paths.weights(path):
            if not sources.is_ours(file):
                source = opening.source_of(file)
                found.append(describe.describe_plain(file.name, source, file.stat().st_size))
                continue
            checkpoint = reader.opened(file, max_bytes=sys.maxsize, trusted=options.trusted)
            found.append(describe.describe(file.name, checkpoint))
    if options.json:
        print(board.as_json(found))
        return 0
    shown = console()
    for description in found:
        for table in board.tables(description):
            print_table(table, shown)
    return 0
