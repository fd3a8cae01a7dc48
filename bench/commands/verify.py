"""The verb `verify`: whether a compressed checkpoint is whole, and what it was made from."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from slashbench.bench.commands import checkpoint_options
from slashbench.errors import NotVerifiable, UsageError, VerificationMismatch

if TYPE_CHECKING:
    from rich.console import Console

    from slashbench.bench.checkpoint.verify import FileComparison
    from slashbench.bench.commands.console import Bar
    from slashbench.bench.commands.parsing import Verbs

EXAMPLES = """\
examples
  bench verify small.safetensors                 checksums, and every tensor decoded
  bench verify small.safetensors --fast          the index only: nothing is decoded
  bench verify small.safetensors --against model.safetensors
  bench verify small/ --against model/
  bench verify delta.safetensors --base old.safetensors

Against an original, a lossless tensor must have its bits. A quantized one must be what its
quantiser, which the file names, makes of the original: it is quantized anew and every value
compared. In a file that names none, each value must be the nearest of its grid. Quantisers that
look at a model and its data (gptq) can't be repeated: their tensors count as not compared, exit
code 1. Of two folders, all files are compared, but for weights in other formats.

exit codes: 0 whole and the same, 1 damaged or not fully comparable, 2 usage error or another base,
3 it differs from the original, 130 interrupted
"""


def add(verbs: Verbs) -> None:
    """Add the verb to `bench`."""
    verb = verbs.add_parser(
        "verify",
        help="check a compressed checkpoint, alone or against its original",
        epilog=EXAMPLES,
    )
    verb.add_argument(
        "path", type=Path, help="a compressed file, a folder of them, or - (standard input)"
    )
    verb.add_argument(
        "--against", type=Path, metavar="ORIGINAL", help="the file or folder that it was made from"
    )
    verb.add_argument(
        "--quantize",
        metavar="NAME",
        help="how the file was quantized, if it does not say (files of older versions)",
    )
    verb.add_argument(
        "--fast",
        action="store_true",
        help="check headers, tables and sizes only; damage of coded values goes unnoticed",
    )
    checkpoint_options.add_base(verb, "what a delta was made from")
    checkpoint_options.add_trust(verb)
    verb.set_defaults(verb=_verify)


def _verify(options: argparse.Namespace) -> int:
    from slashbench.bench.checkpoint import verify
    from slashbench.bench.commands import paths
    from slashbench.bench.commands.console import Bar, console

    if options.fast and options.against is not None:
        raise UsageError("--fast decodes nothing, so it can't compare: leave out one of the two")
    shown = console()
    with paths.on_disk(options.path) as path, Bar(shown) as bar:
        if options.against is not None:
            return _verify_against(options, path, shown, bar)
        base = checkpoint_options.base_of(options)
        for file in paths.weights(path):
            checkpoint = checkpoint_options.opened(file, options, base)
            if options.fast:
                verify.check_index(checkpoint)
                said = f"{len(checkpoint.header.tensors)} tensors: headers, tables and sizes"
                shown.print(f"{file.name}: {said} are right; no value was decoded")
                continue
            verify.check(checkpoint, checkpoint_options.share(bar, file, checkpoint.header.nbytes))
            said = f"{len(checkpoint.header.tensors)} tensors decode, every checksum is right"
            if checkpoint.index.base is not None:
                said += ", the base is the one that it names"
            shown.print(f"{file.name}: {said}")
    return 0


def _verify_against(options: argparse.Namespace, path: Path, shown: Console, bar: Bar) -> int:
    from slashbench.bench.checkpoint import verify
    from slashbench.bench.formats import folder_contents, opening
    from slashbench.link import only
    from slashbench.trainers.catalog import QUANTISERS

    quantiser = only(QUANTISERS, options.quantize) if options.quantize else None
    files, differing = verify.pairs(path, options.against, folder_contents.members)
    unchecked: dict[str, str] = {}
    base = checkpoint_options.base_of(options)
    for file, original in files:
        label = file.relative_to(path) if path.is_dir() else file.name
        checkpoint = checkpoint_options.opened(file, options, base)
        show = checkpoint_options.share(bar, file, checkpoint.header.nbytes)
        found = verify.compare(checkpoint, opening.source_of(original), quantiser, show)
        differing |= {f"{label}: {name}": how for name, how in found.differing.items()}
        unchecked |= {f"{label}: {name}": why for name, why in found.unchecked.items()}
        shown.print(f"{label}: {_compared(found)}")
    for style, notes in (("red", differing), ("yellow", unchecked)):
        for what, note in sorted(notes.items()):
            shown.print(f"{what}: {note}", style=style)
    if differing:
        raise VerificationMismatch(f"{options.against} is another: {len(differing)} differences")
    if unchecked:
        raise NotVerifiable(f"{len(unchecked)} tensors can't be compared with the original")
    return 0


def _compared(found: FileComparison) -> str:
    n = sum(map(len, (found.exact, found.quantized, found.unchecked, found.differing)))
    if len(found.exact) == n:
        if found.same_header:
            return f"all {n} tensors are the same, and so is the whole file, byte for byte"
        return f"all {n} tensors are the same; the header is spelled in another way"
    said = [f"{len(found.exact)} of {n} tensors are the same, bit for bit"]
    if found.quantized:
        worst = max(found.quantized, key=lambda name: found.quantized[name])
        by = found.quantized_by or "a quantiser that the file does not name: the nearest values"
        said.append(
            f"{len(found.quantized)} are quantized by {by}, off by at most "
            f"{found.quantized[worst]:.3g} ({worst})"
        )
    if found.unchecked:
        said.append(f"{len(found.unchecked)} can't be compared")
    if found.differing:
        said.append(f"{len(found.differing)} differ")
    return "; ".join(said)
