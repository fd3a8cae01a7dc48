"""The verb `diff`: which tensors of two checkpoints differ, and by how much."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from slashbench.bench.commands import checkpoint_options

if TYPE_CHECKING:
    from slashbench.bench.commands.parsing import Verbs

EXAMPLES = """\
examples
  bench diff model.safetensors small.safetensors       what quantizing changed
  bench diff checkpoint-100/ checkpoint-200/ --json

Either may be compressed or not, a file or a folder, in any format that is read. "relative" is the
root mean square of the differences over that of the old values.

exit codes: 0 every tensor has the same bits, 1 a file is damaged, 2 usage error, 3 they differ,
130 interrupted
"""

DIFFERENT = 3


def add(verbs: Verbs) -> None:
    """Add the verb to `bench`."""
    verb = verbs.add_parser(
        "diff", help="show which tensors of two checkpoints differ, by how much", epilog=EXAMPLES
    )
    verb.add_argument("old", type=Path, help="a file or folder of weights, compressed or not")
    verb.add_argument("new", type=Path, help="another")
    verb.add_argument("--json", action="store_true", help="print JSON")
    checkpoint_options.add_trust(verb)
    verb.set_defaults(verb=_diff)


def _diff(options: argparse.Namespace) -> int:
    from slashbench.bench.checkpoint.difference import differences
    from slashbench.bench.commands.console import console
    from slashbench.bench.formats.weight_files import WeightFiles
    from slashbench.bench.report import checkpoint_tables
    from slashbench.bench.report.output.terminal import print_table

    old, new = (
        WeightFiles(path, options.max_bytes, options.trusted) for path in (options.old, options.new)
    )
    found = list(differences(old, new))
    if options.json:
        print(checkpoint_tables.differences_as_json(found))
        return DIFFERENT if found else 0
    shown = console()
    n = len(old.keys() | new.keys())
    if not found:
        shown.print(f"all {n} tensors are the same, bit for bit")
        return 0
    print_table(checkpoint_tables.of_differences(found, n), shown)
    return DIFFERENT
