"""Files, folders and pipes: where a command reads and writes.

A folder becomes a folder, with all that goes with its weights. `-` is a pipe: what comes from one
is put on disk first, what goes into one is made on disk first where it can't be written in order.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from slashbench.bench.checkpoint import folders, sources
from slashbench.bench.checkpoint.base import Base
from slashbench.bench.formats import duplicates, folder_contents
from slashbench.bench.machine.atomic_files import (
    atomically,
    explained,
    folder_atomically,
    is_stream,
    sweep_beside,
)
from slashbench.bench.machine.termination import as_an_exception
from slashbench.errors import UsageError

PIPE = Path("-")

#: Writes what becomes of one file.
Work = Callable[[Path, BinaryIO], None]


@contextmanager
def on_disk(path: Path) -> Iterator[Path]:
    """Yield the path, or, for a pipe, that of a file which holds what came out of it.

    What is made meanwhile is cleaned up when the process is told to end.
    """
    with as_an_exception():
        if path != PIPE:
            if not path.exists():
                raise UsageError(f"nothing at {path}; name a file of weights, or a folder of them")
            yield path
            return
        if sys.stdin.isatty():
            raise UsageError("- is standard input, which is a terminal: pipe a file into it")
        with _temporary() as file:
            with explained(Path(file.name)):
                shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
                file.flush()
            yield Path(file.name)


def weights(path: Path) -> list[Path]:
    """Return the files that a command works on: the path itself, or the weights below it."""
    if not path.is_dir():
        return [path]
    return [path / file for file in folder_contents.members(path).weights]


def shared(path: Path) -> dict[Path, Base]:
    """Return the files of a folder whose tensors stand in an earlier one as well, and that one."""
    found = folder_contents.members(path)
    return duplicates.bases({path / m: found.renamed.get(m, m).name for m in found.weights})


def left_out(path: Path) -> dict[str, str]:
    """Return what a command leaves out of a folder, and why; of a file nothing."""
    if not path.is_dir():
        return {}
    return {str(file): why for file, why in folder_contents.members(path).left_out.items()}


def check_free(out: Path, force: bool) -> None:
    """Raise UsageError where something is in the way that may not be replaced."""
    if out == PIPE:
        if sys.stdout.isatty():
            raise UsageError("- is standard output, which is a terminal: pipe it into something")
    elif is_stream(out):  # written into; nothing there is lost
        return
    elif out.is_symlink() and not force:
        raise UsageError(f"{out} is a link; --force replaces it, and leaves what it leads to alone")
    elif out.exists() and not force:
        raise UsageError(f"{out} exists; --force replaces it")


def convert(path: Path, out: Path, work: Work, *, piped: bool = False) -> None:
    """Work on a file, or on each of a folder's weights, whose other files are copied.

    What is new allows nobody more than what it was made from, unless that was `piped`. Whatever
    goes wrong, `out` is as it was. Raises UsageError for a folder that should go into a pipe or a
    file, and for one that would replace what was not written by this.
    """
    if out != PIPE:
        sweep_beside(out)
    if not path.is_dir():
        if out.is_dir() and not out.is_symlink():
            raise UsageError(f"{out} is a folder, {path} is none; name a file")
        with _open(out) as file:
            if not piped:
                _restrict(file, path)
            work(path, file)
        return
    if out == PIPE:
        raise UsageError(f"{path} is a folder, which does not go into a pipe; give -o a name")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file, {path} is a folder; name another folder")
    if out.resolve() == path.resolve() or path.resolve() in out.resolve().parents:
        raise UsageError(f"{out} is in the folder that is read; name another one")
    members = folder_contents.members(path)
    named = {m: members.renamed.get(m, m) for m in (*members.weights, *members.beside)}
    if out.exists() and not out.is_symlink():
        _check_replaceable(out, set(named.values()))
    with folder_atomically(out) as made:
        for member in members.weights:
            with atomically(made / named[member]) as file:
                _restrict(file, path / member)
                work(path / member, file)
        for member in members.beside:
            with atomically(made / named[member]) as file:
                _restrict(file, path / member)
                text = folder_contents.rewritten_index(path / member, members.renamed)
                if text is None:
                    _copy(path / member, file)
                else:
                    file.write(text)
        for member in members.empty:
            (made / member).mkdir(parents=True, exist_ok=True)
        for folder in [made, *(each for each in made.rglob("*") if each.is_dir())]:
            allowed = (path / folder.relative_to(made)).stat().st_mode | stat.S_IRWXU
            folder.chmod(folder.stat().st_mode & allowed)


def _check_replaceable(out: Path, written: set[Path]) -> None:
    """Raise UsageError for a folder that can't be replaced, or that holds what is not `written`.

    Compressed files of an earlier time may go.
    """
    whole = out.resolve()
    for place, what in ((Path.cwd(), "working"), (Path.home(), "home")):
        if place.is_relative_to(whole):
            raise UsageError(f"{out} is, or holds, your {what} folder; name another one")
    if whole.is_mount():
        raise UsageError(f"{out} is a mount point, which can't be replaced; name a folder in it")
    held = (each for each in sorted(out.rglob("*")) if each.is_symlink() or not each.is_dir())
    others = [
        each for each in held if each.relative_to(out) not in written and not sources.is_ours(each)
    ]
    if others:
        more = f" and {len(others) - 1} more" if others[1:] else ""
        raise UsageError(
            f"{out} holds {others[0].relative_to(out)}{more}, which would be deleted: remove the "
            "folder yourself, or name another one"
        )


def _copy(path: Path, into: BinaryIO) -> None:
    """Copy a file. Raises UsageError if it can't be read."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise UsageError(f"{path} can't be read: {error.strerror}") from error
    with file:
        shutil.copyfileobj(file, into, 1 << 20)


def _restrict(file: BinaryIO, original: Path) -> None:
    """Take from a new file the permissions that the original does not give, as `cp` does."""
    usual = os.fstat(file.fileno()).st_mode
    if original.stat().st_mode & 0o777 and stat.S_ISREG(usual) and hasattr(os, "fchmod"):
        os.fchmod(file.fileno(), usual & original.stat().st_mode | stat.S_IWUSR | stat.S_IRUSR)


@contextmanager
def _open(out: Path) -> Iterator[BinaryIO]:
    if out != PIPE:
        with atomically(out) as file:
            yield file
        return
    with _temporary() as file:
        with explained(Path(file.name)):
            yield file
        file.seek(0)
        shutil.copyfileobj(file, sys.stdout.buffer, 1 << 20)
        sys.stdout.buffer.flush()


@contextmanager
def _temporary() -> Iterator[Any]:
    """Open a temporary file, of TMPDIR's folder."""
    with explained(Path(tempfile.gettempdir())):
        made = tempfile.NamedTemporaryFile(suffix=folders.SUFFIX)  # noqa: SIM115  # closed below
    with made as file:
        yield file
