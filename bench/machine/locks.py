"""Locks that all slashbench processes of this machine know: who works, and who times alone.

Each user has locks of their own, as the temporary folder may let nobody write another's files:
slashbench-locks-USER/{timing,machine,seen}.lock. Users see each other by the last one, which its
owner holds while at work and everybody may read.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from slashbench.errors import StageBusy

try:
    import fcntl
except ImportError:  # Windows, where every user has a temporary folder
    fcntl = None  # type: ignore[assignment]

_FOLDER, _SEEN = "slashbench-locks-", "seen.lock"
_PATIENCE_S = 1.0  # for stages that are about to end; while it lasts no other one starts
_UNUSABLE = (OSError, sqlite3.Error, ValueError)  # of a lock file that is not ours, or no lock


@contextmanager
def alone() -> Iterator[None]:
    """While this lasts, no other slashbench of this user is timing."""
    with contextlib.ExitStack() as held:
        held.enter_context(_seen())
        with contextlib.suppress(*_UNUSABLE):
            held.enter_context(filelock.FileLock(_folder() / "timing.lock"))
        yield


@contextmanager
def at_work() -> Iterator[None]:
    """While this lasts, `undisturbed` raises StageBusy on this machine."""
    with contextlib.ExitStack() as held:
        held.enter_context(_seen())
        with contextlib.suppress(*_UNUSABLE):  # `undisturbed` can't open it either
            held.enter_context(_lock().read_lock())
        yield


@contextmanager
def undisturbed() -> Iterator[None]:
    """While this lasts, no other slashbench on this machine is `at_work`, nor starts to be.

    Another user's that starts for the first time ever on this machine is not held back.

    Raises
    ------
    StageBusy
        If one is at work and does not end within a second, or if that can't be told.
    """
    with contextlib.ExitStack() as held:
        try:
            lock = _lock()
            lock.acquire_write(_PATIENCE_S)
        except filelock.Timeout as error:
            raise StageBusy("timing waits for other work on this machine to end") from error
        except _UNUSABLE as error:
            raise StageBusy(
                f"timing can't tell whether there is other work on this machine ({error})"
            ) from error
        held.callback(lock.release)
        held.enter_context(_others_kept_out())
        held.enter_context(_seen(wait=False))
        yield


def _lock() -> filelock.ReadWriteLock:
    return filelock.ReadWriteLock(_folder() / "machine.lock")


@contextmanager
def _seen(wait: bool = True) -> Iterator[None]:
    """Hold this user's file, so that others see that something runs.

    While another user's timing holds it, wait, or else raise StageBusy.
    """
    if fcntl is None:
        yield
        return
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            descriptor = os.open(_folder() / _SEEN, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
            held.callback(os.close, descriptor)
            os.fchmod(descriptor, 0o644)  # whatever the umask: others must be able to open it
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError as error:
                raise _another_user() from error
        yield


@contextmanager
def _others_kept_out() -> Iterator[None]:
    """Hold the files of all other users. Raises StageBusy where one of them is at work."""
    ours = _folder()
    with contextlib.ExitStack() as held:
        for folder in ours.parent.glob(f"{_FOLDER}*") if fcntl is not None else ():
            if folder == ours:
                continue
            try:
                descriptor = os.open(folder / _SEEN, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
                held.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise _another_user() from error
        yield


def _folder() -> Path:
    """Return the folder of this user's locks, which others may look into."""
    user = str(os.getuid()) if hasattr(os, "getuid") else getpass.getuser()
    folder = Path(tempfile.gettempdir()) / f"{_FOLDER}{user}"
    with contextlib.suppress(OSError):  # seen where a lock is opened
        folder.mkdir(exist_ok=True)
        if not folder.is_symlink():  # which somebody else may have put there
            folder.chmod(0o755)  # whatever the umask
    return folder


def _another_user() -> StageBusy:
    return StageBusy("timing waits for another user's work on this machine to end")
