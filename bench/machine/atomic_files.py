"""Atomic writes: a kill or a full disk leaves the old file or none, never half of one.

Everything that slashbench writes goes through here. What is no regular file (a device, a FIFO, an
open descriptor such as /dev/stdout, a link to any of them) is written into and never replaced.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from slashbench.bench.machine import process_identity
from slashbench.errors import StoreUnusable

_CURES = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EFBIG: "the file is larger than this process may write; raise the limit",
    errno.EACCES: "no permission to {verb} there; {elsewhere}",
    errno.EPERM: "no permission to {verb} there; {elsewhere}",
    errno.EROFS: "the file system is read-only; {elsewhere}",
    errno.ENOTDIR: "a file is in the way; {elsewhere}",
    errno.EEXIST: "a file is in the way; {elsewhere}",
    errno.EISDIR: "a folder is in the way; name a file",
    errno.ENAMETOOLONG: "its name is too long; choose a shorter one",
    errno.EBUSY: "it is in use by the system, such as a mount point; {elsewhere}",
    errno.ENOENT: "no folder can be made there; {elsewhere}",
    errno.ELOOP: "its links lead in a circle; remove them",
    errno.ENXIO: "nothing reads from it",
    errno.EBADF: "no such descriptor is open for writing",
}

_PARTIAL, _REPLACED = ".partial-", ".replaced-"
_ABANDONED_S = 86_400.0  # age of a half-written file of another machine whose writer must be dead
_SWAP = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS
_HERE = -100  # AT_FDCWD of Linux: paths are relative to the working folder
_DESCRIPTOR = re.compile(r"/(?:dev|proc/(?:self|(?P<pid>\d+)(?:/task/\d+)?))/fd/(?P<number>\d+)")
_MOST_LINKS = 40  # that one path may lead over, as in Linux


@contextmanager
def explained(
    path: Path, verb: str = "write", elsewhere: str = "choose another folder with --out"
) -> Iterator[None]:
    """Turn the OSErrors of writing, or reading, at or below `path` into StoreUnusable with a cure.

    An error that names another file, such as one that is read to be copied, and that of a reader
    who left a pipe pass as they are. elsewhere: how another folder is chosen.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        if not _concerns(error, path):
            raise
        known = _CURES.get(error.errno or 0)
        cure = (
            known.format(verb=verb, elsewhere=elsewhere) if known else error.strerror or str(error)
        )
        raise StoreUnusable(f"can't {verb} {path}: {cure}") from error


@contextmanager
def atomically(path: Path) -> Iterator[BinaryIO]:
    """Open a new file for reading and writing, which takes the place of `path` in one step.

    It does so when the context ends well; otherwise all is as it was. A link at `path` to a regular
    file is replaced, not followed. What is no regular file gets all bytes when the context ends
    well.

    Raises
    ------
    StoreUnusable
        If it can't be written.
    """
    with explained(path):
        if is_stream(path):
            with _spooled(path) as file:
                yield file
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=_partial(), dir=path.parent)
        try:
            with os.fdopen(descriptor, "w+b") as file:
                Path(name).chmod(0o666 & ~_umask())
                yield file
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


@contextmanager
def replacement(path: Path) -> Iterator[Path]:
    """Give a path at which to write the file that takes the place of `path`.

    For writers that want a path. It does so when the context ends well; otherwise all is as it
    was. Raises StoreUnusable.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=_partial(), dir=path.parent) as folder:
            yield (made := Path(folder) / path.name)
            made.chmod(0o666 & ~_umask())
            with made.open("rb") as file:
                os.fsync(file.fileno())
            made.replace(path)


def create(path: Path, data: bytes) -> bool:
    """Make a file if there is none: of several processes who try, one alone is told True.

    It appears whole, by a hard link, over NFS as well. Raises StoreUnusable.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, whole = tempfile.mkstemp(prefix=_partial(), dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            os.link(whole, path)
        except FileExistsError:
            return False
        finally:
            Path(whole).unlink(missing_ok=True)
    return True


def is_stream(path: Path) -> bool:
    """Return whether `path` is to be written into as it is: there, and no regular file or folder.

    An open descriptor, /dev/fd/1 or a link to it, is one whatever it is open on.
    """
    if _descriptor(path) is not None:
        return True
    try:
        mode = path.stat().st_mode
    except OSError:  # nothing there, or what `atomically` will find out
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def sweep(paths: Iterable[Path]) -> None:
    """Remove what killed writers left half-written, and nothing that is being written.

    Parameters
    ----------
    paths
        Files and folders; those that `atomically` and `folder_atomically` did not begin are left
        alone. One of another machine is removed when it is a day old.

    Raises
    ------
    OSError
        If one can't be removed.
    """
    for path in paths:
        if not path.name.startswith(_PARTIAL):
            continue
        writer = process_identity.of_text(path.name.removeprefix(_PARTIAL).rpartition("-")[0])
        lives = writer.lives() if writer else None
        with contextlib.suppress(FileNotFoundError):
            if lives is None:
                lives = time.time() - path.lstat().st_mtime < _ABANDONED_S
            if lives:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def sweep_beside(path: Path) -> None:
    """Remove what killed writers left half-written in the folder of `path`, as far as it may."""
    with contextlib.suppress(OSError):
        sweep(path.parent.glob(f"{_PARTIAL}*"))


def write_out(file: BinaryIO, begin: int, end: int) -> None:
    """Make the system begin to write these bytes, so that `fsync` has less to wait for.

    Linux begins to write what it is told will not be needed; what is being written stays cached.
    """
    if hasattr(os, "posix_fadvise"):
        with contextlib.suppress(OSError):  # a file in memory, or no file
            os.posix_fadvise(file.fileno(), begin, end - begin, os.POSIX_FADV_DONTNEED)


@contextmanager
def folder_atomically(path: Path) -> Iterator[Path]:
    """Make a new folder, which takes the place of `path` when the context ends well.

    Otherwise all is as it was. Where the system can't swap two folders, a kill at the last moment
    may leave the old one beside, in a folder `.replaced-*`. Raises StoreUnusable.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Named before it is made: a signal in between would leave what mkdtemp makes.
        made = path.parent / f"{_partial()}{secrets.token_hex(8)}"
        try:
            made.mkdir()
            yield made
            if _swapped(made, path):
                shutil.rmtree(made)  # the one before
            elif path.exists() or path.is_symlink():
                aside = Path(tempfile.mkdtemp(prefix=_REPLACED, dir=path.parent))
                path.rename(aside / path.name)
                try:
                    made.rename(path)
                except BaseException:
                    (aside / path.name).rename(path)
                    aside.rmdir()
                    raise
                shutil.rmtree(aside)
            else:
                made.rename(path)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise


def write_atomically(path: Path, data: bytes) -> None:
    """Replace `path` by `data` in one step. Raises StoreUnusable."""
    with atomically(path) as file:
        file.write(data)


def _partial() -> str:
    """Return how the name of a file begins while it is written: with its writer."""
    return f"{_PARTIAL}{process_identity.this_process().text}-"


@contextmanager
def _spooled(path: Path) -> Iterator[BinaryIO]:
    """Open a temporary file, whose bytes go into `path` when the context ends well."""
    spool = Path(tempfile.gettempdir())
    with explained(spool):
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed below
    with file:
        try:
            yield file
            file.flush()
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT) and error.filename is None:
                raise StoreUnusable(
                    f"can't write {path} by way of {spool}: {_CURES[error.errno]}, or set TMPDIR"
                ) from error
            raise
        file.seek(0)
        with _into(path) as target:
            shutil.copyfileobj(file, target, 1 << 20)


def _into(path: Path) -> BinaryIO:
    """Open what is no regular file for writing; an open descriptor goes on where it is."""
    number = _descriptor(path)
    if number is None:
        return path.open("wb")
    for text in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # no descriptor of its own, or closed
            if text.fileno() == number:
                text.flush()
    return os.fdopen(os.dup(number), "wb")


def _descriptor(path: Path) -> int | None:
    """Return the number of the open descriptor of this process that a path leads to, or None."""
    for _ in range(_MOST_LINKS):
        try:
            place = _place(path)
            found = _DESCRIPTOR.fullmatch(place.as_posix())
            if found and found["pid"] in (None, str(os.getpid())):
                return int(found["number"])
            path = place.parent / place.readlink()
        except OSError:  # no link
            return None
    return None


def _place(path: Path) -> Path:
    """Return the absolute path, with the links of its folders followed and its own not."""
    try:
        return path.parent.resolve() / path.name
    except RuntimeError:  # links in a circle
        return path.absolute()


def _concerns(error: OSError, path: Path) -> bool:
    """Return whether an error is about `path`, what it is in, or what is made there."""
    if not isinstance(error.filename, str | bytes):
        return True
    whole, named = (_place(Path(os.fsdecode(each))) for each in (path, error.filename))
    beside = named.parent == whole.parent and named.name.startswith((_PARTIAL, _REPLACED))
    return beside or whole.is_relative_to(named) or named.is_relative_to(whole)


def _swapped(made: Path, path: Path) -> bool:
    """Swap two folders in one step if system and file system can. Returns whether it did."""
    if os.name != "posix" or not path.is_dir() or path.is_symlink():
        return False
    system = ctypes.CDLL(None)
    names = os.fsencode(made), os.fsencode(path)
    failed = -1
    if hasattr(system, "renameat2"):  # Linux
        failed = system.renameat2(_HERE, names[0], _HERE, names[1], _SWAP)
    elif hasattr(system, "renamex_np"):  # macOS
        failed = system.renamex_np(*names, _SWAP)
    return failed == 0


@functools.cache
def _umask() -> int:
    """Return the umask of the process, which can't be read but by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
