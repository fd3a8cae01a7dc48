"""Verbs for a user's own checkpoints: compress, decompress, inspect, verify."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slashbench.bench.commands.console import console
from slashbench.errors import NotVerifiable, UsageError, VerificationMismatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from slashbench.bench.checkpoint.reader import Checkpoint
    from slashbench.bench.checkpoint.verify import Comparison
    from slashbench.bench.commands.console import Bar
    from slashbench.bench.commands.parsing import Verbs

COMPRESSING = """\
examples
  bench compress model.safetensors -o small.safetensors      lossless, and quick to load
  bench compress model/ -o small/                            a folder, shards and all
  bench compress model.safetensors -o small.safetensors --codec float-rans
  bench compress model.safetensors -o small.safetensors --quantize quantize:step=0.25:unit=std
  bench compress model.safetensors -o small.safetensors --target 4bits
  bench compress model.safetensors --dry-run                 how small it would be
  cat model.safetensors | bench compress - -o - | ssh host 'cat > small.safetensors'

In Python, slashbench.load_file("small.safetensors") is what safetensors.torch.load_file is to plain
files. Nothing is overwritten without --force; Ctrl-C leaves what was there.

exit codes: 0 done, 1 it can't be done, 2 wrong use, 130 interrupted
"""

DECOMPRESSING = """\
examples
  bench decompress small.safetensors -o model.safetensors
  bench decompress small/ -o model/
  bench decompress - -o - < small.safetensors > model.safetensors

What was compressed without --quantize comes back as the same file, byte for byte.

exit codes: 0 done, 1 damaged or too large, 2 wrong use, 130 interrupted
"""

INSPECTING = """\
examples
  bench inspect small.safetensors                each tensor, and where the bytes go
  bench inspect small.safetensors --json | jq .ledger
"""

VERIFYING = """\
examples
  bench verify small.safetensors                 checksums, and every tensor decoded
  bench verify small.safetensors --against model.safetensors
  bench verify small/ --against model/

Against an original, a lossless tensor must have its bits. A quantized one must be what its
quantiser, which the file names, makes of the original: it is quantized anew and every value
compared. In a file that names none, each value must be the nearest of its grid. Quantisers that
look at a model and its data (gptq) can't be repeated: their tensors count as not compared, exit
code 1. Of two folders, all files are compared, but for weights in other formats.

exit codes: 0 whole and the same, 1 damaged or not fully comparable, 2 usage error,
3 it differs from the original, 130 interrupted
"""

_TARGET = re.compile(r"(\d+(?:\.\d+)?)\s*bits?")


def add(verbs: Verbs) -> None:
    """Add the verbs to `bench`."""
    compress = _verb(
        verbs, "compress", _compress, COMPRESSING, "make a checkpoint of yours smaller"
    )
    compress.add_argument("path", type=Path, help="a .safetensors file, a folder of them, or -")
    compress.add_argument("-o", "--out", type=Path, metavar="OUT", help="file, folder, or -")
    compress.add_argument(
        "--codec",
        metavar="NAME",
        help="for the tensors that it takes, one of `bench list codecs` (default: float-rans "
        "for floats, huffman for integers; rans-classes for what is quantized)",
    )
    compress.add_argument(
        "--quantize",
        metavar="NAME",
        help="round the weights first: lossy; such as quantize:step=0.25:unit=std (at most twice "
        "the memory of the largest tensor, and 200 MB; rdoq: 17 times that of 32 bits, 34 times "
        "that of 16)",
    )
    compress.add_argument(
        "--target",
        metavar="BITS",
        help="search the step by which the file takes at most so many bits a parameter: 4bits "
        "(quantizes by quantize:unit=std unless --quantize says otherwise)",
    )
    compress.add_argument("--dry-run", action="store_true", help="say how small, write nothing")
    _force(compress)

    decompress = _verb(
        verbs, "decompress", _decompress, DECOMPRESSING, "a compressed checkpoint as it was"
    )
    decompress.add_argument("path", type=Path, help="a compressed file, a folder of them, or -")
    decompress.add_argument("-o", "--out", type=Path, metavar="OUT", help="file, folder, or -")
    decompress.add_argument("--dry-run", action="store_true", help="say how large, write nothing")
    _force(decompress)
    _trust(decompress)

    inspect = _verb(verbs, "inspect", _inspect, INSPECTING, "what is in a compressed checkpoint")
    inspect.add_argument("path", type=Path, help="a compressed file, or a folder of them")
    inspect.add_argument("--json", action="store_true", help="for programs")
    _trust(inspect)

    verify = _verb(verbs, "verify", _verify, VERIFYING, "whether a compressed checkpoint is whole")
    verify.add_argument("path", type=Path, help="a compressed file, a folder of them, or -")
    verify.add_argument(
        "--against", type=Path, metavar="ORIGINAL", help="what it was made from, to compare with"
    )
    verify.add_argument(
        "--quantize",
        metavar="NAME",
        help="how it was quantized, for a file of an older slashbench, which does not say",
    )
    _trust(verify)


def _verb(verbs: Verbs, name: str, run: Any, examples: str, about: str) -> argparse.ArgumentParser:
    made = verbs.add_parser(name, help=about, epilog=examples)
    made.set_defaults(verb=run)
    return made


def _force(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--force", action="store_true", help="replace what is at OUT")


def _trust(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--max-bytes",
        type=int,
        metavar="N",
        help="the most a file may decode to (default: 1 GiB, or 1000 times its size)",
    )
    verb.add_argument(
        "--trusted",
        action="store_true",
        help="also use codecs that a forged file may crash: peers, as `bench list codecs` says",
    )


def _compress(options: argparse.Namespace) -> int:
    from slashbench.bench.checkpoint import convert, sources, target_size
    from slashbench.bench.checkpoint.encoder import Coding
    from slashbench.bench.commands import paths
    from slashbench.bench.commands.console import Bar
    from slashbench.codecs.catalog import CODECS
    from slashbench.link import only
    from slashbench.trainers.catalog import QUANTISERS

    shown = console(stderr=True)
    out = _out(options)
    codec = only(CODECS, options.codec) if options.codec else None
    quantiser = only(QUANTISERS, options.quantize) if options.quantize else None
    with paths.on_disk(options.path) as path, Bar(shown) as bar:
        if options.target:
            wanted = _TARGET.fullmatch(options.target)
            if not wanted:
                raise UsageError(f"--target {options.target!r} is not of the form 4bits or 2.5bits")
            trials = 0

            def tried(spelled: str, bits: float) -> None:
                nonlocal trials
                trials += 1
                bar.show(f"{spelled}: {bits:.3f} bits a parameter", trials / 10)

            quantiser = target_size.search(
                [sources.of_file(file) for file in paths.weights(path)],
                codec,
                quantiser or only(QUANTISERS, "quantize:step=0.25:unit=std"),
                float(wanted[1]),
                tried,
            )
            shown.print(f"quantized by {quantiser.text}")
        how = Coding.of(codec, quantiser)
        before = after = count = 0

        def work(file: Path, into: Any) -> None:
            nonlocal before, after, count
            source = sources.of_file(file)
            total = max(1, source.header.nbytes)
            kept = convert.compress(
                into, source, how, lambda done: bar.show(file.name, done / total)
            )
            for name, why in kept.items():
                note = f"{file.name}: {name} stays as it is: {why}"
                shown.print(note, style="yellow")
            before, after = before + file.stat().st_size, after + into.seek(0, 2)
            count += target_size.parameters(source)

        if out is None:
            for file in paths.weights(path):
                work(file, target_size.Measure())
            left_out = []
        else:
            left_out = paths.convert(path, out, work)
    for file in left_out:
        shown.print(f"left out: {file}, weights in another format", style="yellow")
    bits = f", {8 * after / count:.3f} bits a parameter" if count else ""
    shown.print(
        f"{'would be ' if out is None else ''}{_mb(after)} of {_mb(before)} MB, "
        f"{100 * after / max(1, before):.1f} %{bits}",
    )
    return 0


def _decompress(options: argparse.Namespace) -> int:
    from slashbench.bench.checkpoint import convert
    from slashbench.bench.commands import paths
    from slashbench.bench.commands.console import Bar

    shown = console(stderr=True)
    out = _out(options)
    with paths.on_disk(options.path) as path, Bar(shown) as bar:
        if out is None:
            for file in paths.weights(path):
                header = _opened(file, options).header
                size = len(header.front) + header.nbytes
                shown.print(f"{file}: would be {_mb(size)} MB")
            return 0

        def work(file: Path, into: Any) -> None:
            checkpoint = _opened(file, options)
            total = max(1, checkpoint.header.nbytes)
            convert.decompress(into, checkpoint, lambda done: bar.show(file.name, done / total))

        paths.convert(path, out, work)
    return 0


def _inspect(options: argparse.Namespace) -> int:
    from slashbench.bench.checkpoint import describe
    from slashbench.bench.commands import paths
    from slashbench.bench.report import checkpoint_tables as board
    from slashbench.bench.report.output.terminal import print_table

    found = []
    with paths.on_disk(options.path) as path:
        for file in paths.weights(path):
            checkpoint = _opened(file, options)
            found.append(describe.describe(file.name, checkpoint))
    if options.json:
        print(board.as_json(found))
        return 0
    for description in found:
        for table in board.tables(description):
            print_table(table, console())
    return 0


def _verify(options: argparse.Namespace) -> int:
    from slashbench.bench.checkpoint import verify
    from slashbench.bench.commands import paths
    from slashbench.bench.commands.console import Bar

    shown = console()
    with paths.on_disk(options.path) as path, Bar(shown) as bar:
        if options.against is not None:
            return _verify_against(options, path, shown, bar)
        for file in paths.weights(path):
            checkpoint = _opened(file, options)
            verify.check(checkpoint, _share(bar, file, checkpoint.header.nbytes))
            said = f"{len(checkpoint.header.tensors)} tensors decode, every checksum is right"
            shown.print(f"{file.name}: {said}")
    return 0


def _verify_against(options: argparse.Namespace, path: Path, shown: Console, bar: Bar) -> int:
    from slashbench.bench.checkpoint import sources, verify
    from slashbench.link import only
    from slashbench.trainers.catalog import QUANTISERS

    quantiser = only(QUANTISERS, options.quantize) if options.quantize else None
    files, differing = verify.pairs(path, options.against)
    unchecked: dict[str, str] = {}
    for file, original in files:
        checkpoint = _opened(file, options)
        show = _share(bar, file, checkpoint.header.nbytes)
        found = verify.compare(checkpoint, sources.of_file(original), quantiser, show)
        differing |= {f"{file.name}: {name}": how for name, how in found.differing.items()}
        unchecked |= {f"{file.name}: {name}": why for name, why in found.unchecked.items()}
        shown.print(f"{file.name}: {_compared(found)}")
    for style, notes in (("red", differing), ("yellow", unchecked)):
        for what, note in sorted(notes.items()):
            shown.print(f"{what}: {note}", style=style)
    if differing:
        raise VerificationMismatch(f"{options.against} is another: {len(differing)} differences")
    if unchecked:
        raise NotVerifiable(f"{len(unchecked)} tensors can't be compared with the original")
    return 0


def _share(bar: Bar, file: Path, nbytes: int) -> Callable[[int], None]:
    """Return what shows how many of so many bytes are done."""
    return lambda done: bar.show(file.name, done / max(1, nbytes))


def _compared(found: Comparison) -> str:
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


def _opened(file: Path, options: argparse.Namespace) -> Checkpoint:
    from slashbench.bench.checkpoint import reader

    return reader.opened(file, max_bytes=options.max_bytes, trusted=options.trusted)


def _out(options: argparse.Namespace) -> Path | None:
    """Where to write; None for a dry run."""
    from slashbench.bench.commands import paths

    if options.dry_run:
        return None
    if options.out is None:
        raise UsageError("say where to write, with -o OUT (or --dry-run)")
    out: Path = options.out
    paths.check_free(out, options.force)
    return out


def _mb(size: float) -> str:
    return f"{size / 1e6:.1f}"
