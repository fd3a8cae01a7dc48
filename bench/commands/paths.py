"""Files, folders and pipes: what a command is given, and where it writes.

A folder becomes a folder, with all that goes with its weights. `-` is a pipe: what comes from one
is put on disk first, what goes into one is made on disk first where it can't be written in order.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from slashbench.bench.checkpoint import folders
from slashbench.bench.machine.atomic_files import (
    atomically,
    explained,
    folder_atomically,
    is_stream,
    sweep_beside,
)
from slashbench.errors import UsageError

PIPE = Path("-")

#: Writes what becomes of one file.
Work = Callable[[Path, BinaryIO], None]


@contextmanager
def on_disk(path: Path) -> Iterator[Path]:
    """The path, or, for a pipe, that of a file which holds what came out of it."""
    if path != PIPE:
        if not path.exists():
            raise UsageError(
                f"nothing at {path}; name a {folders.SUFFIX} file, or a folder of them"
            )
        yield path
        return
    if sys.stdin.isatty():
        raise UsageError("- is standard input, which is a terminal: pipe a file into it")
    with tempfile.NamedTemporaryFile(suffix=folders.SUFFIX) as file, explained(Path(file.name)):
        shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
        file.flush()
        yield Path(file.name)


def weights(path: Path) -> list[Path]:
    """The files that a command works on: the path itself, or those below it that hold weights."""
    if not path.is_dir():
        return [path]
    return [path / file for file in folders.members(path)[0]]


def check_free(out: Path, force: bool) -> None:
    """Raises UsageError where something is in the way that may not be replaced."""
    if out == PIPE:
        if sys.stdout.isatty():
            raise UsageError("- is standard output, which is a terminal: pipe it into something")
    elif is_stream(out):  # written into; nothing there is lost
        return
    elif out.is_symlink() and not force:
        raise UsageError(f"{out} is a link; --force replaces it, and leaves what it leads to alone")
    elif out.exists() and not force:
        raise UsageError(f"{out} exists; --force replaces it")


def convert(path: Path, out: Path, work: Work) -> list[Path]:
    """Work on a file, or on each of a folder's weights, whose other files are copied.

    Returns the files that were left out. Whatever goes wrong, `out` is as it was. Raises UsageError
    for a folder that should go into a pipe or a file.
    """
    if out != PIPE:
        sweep_beside(out)
    if not path.is_dir():
        if out.is_dir() and not out.is_symlink():
            raise UsageError(f"{out} is a folder, {path} is none; name a file")
        with _open(out) as file:
            work(path, file)
        return []
    if out == PIPE:
        raise UsageError(f"{path} is a folder, which does not go into a pipe; give -o a name")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file, {path} is a folder; name another folder")
    if out.resolve() == path.resolve() or path.resolve() in out.resolve().parents:
        raise UsageError(f"{out} is in the folder that is read; name another one")
    found, beside, foreign = folders.members(path)
    with folder_atomically(out) as made:
        for member in found:
            with atomically(made / member) as file:
                work(path / member, file)
        for member in beside:
            (made / member).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path / member, made / member)
    return foreign


@contextmanager
def _open(out: Path) -> Iterator[BinaryIO]:
    if out != PIPE:
        with atomically(out) as file:
            yield file
        return
    with tempfile.TemporaryFile() as file:
        yield file
        file.seek(0)
        shutil.copyfileobj(file, sys.stdout.buffer, 1 << 20)
        sys.stdout.buffer.flush()
