"""Writing files so that a kill or a full disk leaves the old one or none, never half a one."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from slashbench.bench.machine import process_identity
from slashbench.errors import StoreUnusable

_CURES = {
    errno.ENOSPC: "the disk is full; free some space",
    errno.EDQUOT: "the disk quota is used up; free some space",
    errno.EFBIG: "the file is larger than this process may write; raise the limit",
    errno.EACCES: "no permission to write there; choose another folder with --out",
    errno.EPERM: "no permission to write there; choose another folder with --out",
    errno.EROFS: "the file system is read-only; choose another folder with --out",
    errno.ENOTDIR: "a file is in the way; choose another folder with --out",
    errno.EEXIST: "a file is in the way; choose another folder with --out",
}


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the OSErrors of writing below `path` into StoreUnusable with a cure."""
    try:
        yield
    except OSError as error:
        cure = _CURES.get(error.errno or 0)
        if cure is None:
            raise
        raise StoreUnusable(f"can't write {path}: {cure}") from error


def partial() -> str:
    """How a file that is being written is named at first: by its writer, who may be dead later."""
    return f".partial-{process_identity.this_process().text}-"


@contextmanager
def atomically(path: Path) -> Iterator[BinaryIO]:
    """A new file, open for reading and writing, which takes the place of `path` in one step.

    It does so when the context ends well; otherwise all is as it was. A link at `path` is replaced,
    not followed. Raises StoreUnusable.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=partial(), dir=path.parent)
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


def write_out(file: BinaryIO, begin: int, end: int) -> None:
    """Let the disk begin with these bytes of a file, so that `fsync` has less to wait for.

    Linux begins to write what it is told will not be needed; what is being written stays cached.
    """
    if hasattr(os, "posix_fadvise"):
        with contextlib.suppress(OSError):  # a file in memory, or no file
            os.posix_fadvise(file.fileno(), begin, end - begin, os.POSIX_FADV_DONTNEED)


@contextmanager
def folder_atomically(path: Path) -> Iterator[Path]:
    """A new folder, which takes the place of `path` when the context ends well. As `atomically`."""
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=partial(), dir=path.parent))
        try:
            made.chmod(0o777 & ~_umask())
            yield made
            if path.exists() or path.is_symlink():
                aside = Path(tempfile.mkdtemp(prefix=".replaced-", dir=path.parent))
                path.rename(aside / path.name)
                made.rename(path)
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


@functools.cache
def _umask() -> int:
    """What new files must not allow; it can't be read but by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
