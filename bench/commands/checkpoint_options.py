"""What the verbs for a user's own checkpoints share: their options, and what these mean."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from slashbench.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from slashbench.bench.checkpoint.base import Base
    from slashbench.bench.checkpoint.reader import Checkpoint
    from slashbench.bench.commands.console import Bar


def add_out(verb: argparse.ArgumentParser, said: str) -> None:
    """Add where to write, whether to write, and whether to replace. said: what a dry run prints."""
    verb.add_argument(
        "-o", "--out", type=Path, metavar="OUT", help="file, folder, or - (standard output)"
    )
    verb.add_argument("--dry-run", action="store_true", help=f"print {said}, write nothing")
    verb.add_argument(
        "--force",
        action="store_true",
        help="replace what is at OUT, unless that is a folder with files of another origin",
    )


def add_trust(verb: argparse.ArgumentParser) -> None:
    """Add how far a compressed file is trusted."""
    verb.add_argument(
        "--max-bytes",
        type=int,
        metavar="N",
        help="most bytes that a file may decode to (default: 1 GiB or 1000 times its size)",
    )
    add_trusted(verb)


def add_trusted(verb: argparse.ArgumentParser) -> None:
    """Add whether codecs are used that a forged file may crash."""
    verb.add_argument(
        "--trusted",
        action="store_true",
        help="also use codecs that a forged file may crash (peers, see `bench list codecs`)",
    )


def add_base(verb: argparse.ArgumentParser, said: str) -> None:
    """Add where the base of a delta is. said: what for."""
    verb.add_argument(
        "--base",
        type=Path,
        metavar="OLD",
        help=f"{said}: a .safetensors file, plain or compressed, or a folder of them",
    )


def base_of(options: argparse.Namespace) -> Base | None:
    """Open the base that `add_base` asks for; None where none is named."""
    from slashbench.bench.checkpoint import base_files

    if options.base is None:
        return None
    limit, trusted = getattr(options, "max_bytes", None), getattr(options, "trusted", False)
    return base_files.opened(options.base, max_bytes=limit, trusted=trusted)


def opened(file: Path, options: argparse.Namespace, base: Base | None = None) -> Checkpoint:
    """Open a compressed file as `add_trust` says."""
    from slashbench.bench.checkpoint import base_files

    return base_files.opened_in_place(
        file, max_bytes=options.max_bytes, trusted=options.trusted, base=base
    )


def out_of(options: argparse.Namespace) -> Path | None:
    """Return where to write; None for a dry run."""
    from slashbench.bench.commands import paths

    if options.dry_run:
        return None
    if options.out is None:
        raise UsageError("say where to write, with -o OUT (or --dry-run)")
    out: Path = options.out
    paths.check_free(out, options.force)
    return out


def show_left_out(path: Path, shown: Console) -> None:
    """Print what a verb leaves out of a folder."""
    from slashbench.bench.commands import paths

    for name, why in paths.left_out(path).items():
        shown.print(f"left out: {name}: {why}", style="yellow")


def share(bar: Bar, file: Path, nbytes: int) -> Callable[[int], None]:
    """Return what shows how many of so many bytes are done."""
    return lambda done: bar.show(file.name, done / max(1, nbytes))


def megabytes(size: float) -> str:
    """Return a size for people."""
    return f"{size / 1e6:.1f}"
