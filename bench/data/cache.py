"""The folder on this machine for files that were fetched, or made from fetched ones."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from slashbench.bench.machine.atomic_files import explained, write_atomically
from slashbench.errors import UsageError

VARIABLE = "SLASHBENCH_CACHE"


def folder() -> Path:
    """Return the cache: $SLASHBENCH_CACHE, or slashbench/ below the user's cache folder.

    It may be moved as a whole: no file in it says where it stands. Raises UsageError where the user
    has no folder.
    """
    try:
        if named := os.environ.get(VARIABLE):
            return Path(named).expanduser()
        base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
        return (Path(base) if base else Path.home() / ".cache") / "slashbench"
    except RuntimeError as error:
        raise UsageError(f"no folder for what is fetched: {error}; set {VARIABLE}") from error


@contextmanager
def writing() -> Iterator[None]:
    """Turn the OSErrors of writing into the cache into StoreUnusable, which says how to move it."""
    with explained(folder(), elsewhere=f"set {VARIABLE} to another folder"):
        yield


def made(name: str, make: Callable[[], bytes]) -> Path:
    """Return a file of the cache that follows from others; it is made where it is not there.

    name: with what it follows from, such as a hash and a revision. Of several processes one makes
    it, and the others wait. Raises StoreUnusable.
    """
    path = folder() / "made" / name
    if path.exists():
        return path
    lock = filelock.FileLock(f"{path}.lock")
    with writing():
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        if not path.exists():
            write_atomically(path, make())
    finally:
        lock.release()
    return path
