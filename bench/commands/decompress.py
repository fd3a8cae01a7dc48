"""The verb `decompress`: restore a compressed checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slashbench.bench.commands import checkpoint_options

if TYPE_CHECKING:
    from slashbench.bench.commands.parsing import Verbs

EXAMPLES = """\
examples
  bench decompress small.safetensors -o model.safetensors
  bench decompress small/ -o model/
  bench decompress - -o - < small.safetensors > model.safetensors

A delta, and an update of a run, need the base that they were made from:
  bench decompress delta.safetensors --base old.safetensors -o new.safetensors

What was compressed without --quantize comes back as the same file, byte for byte.

exit codes: 0 done, 1 damaged or too large, 2 usage error or another base, 130 interrupted
"""


def add(verbs: Verbs) -> None:
    """Add the verb to `bench`."""
    verb = verbs.add_parser("decompress", help="restore a compressed checkpoint", epilog=EXAMPLES)
    verb.add_argument(
        "path", type=Path, help="a compressed file, a folder of them, or - (standard input)"
    )
    checkpoint_options.add_base(verb, "what a delta was made from")
    checkpoint_options.add_out(verb, "how large it would be")
    checkpoint_options.add_trust(verb)
    verb.set_defaults(verb=_decompress)


def _decompress(options: argparse.Namespace) -> int:
    from slashbench.bench.checkpoint import convert, sources, update
    from slashbench.bench.commands import paths
    from slashbench.bench.commands.console import Bar, console

    shown = console(stderr=True)
    out = checkpoint_options.out_of(options)
    base = checkpoint_options.base_of(options)
    with paths.on_disk(options.path) as path, Bar(shown) as bar:
        if out is None:
            for file in paths.weights(path):
                header = checkpoint_options.opened(file, options).header
                size = checkpoint_options.megabytes(len(header.front) + header.nbytes)
                shown.print(f"{file}: would be {size} MB")
            return 0

        def work(file: Path, into: Any) -> None:
            checkpoint = checkpoint_options.opened(file, options, base)
            if base is not None and sources.BASE in checkpoint.header.metadata:
                update.new_file(into, checkpoint, base)
                return
            progress = checkpoint_options.share(bar, file, checkpoint.header.nbytes)
            convert.decompress(into, checkpoint, progress)

        paths.convert(path, out, work, piped=options.path == paths.PIPE)
        checkpoint_options.show_left_out(path, shown)
    return 0
