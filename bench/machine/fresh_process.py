"""Processes that have seen nothing of what this one made, nor any file of the working directory.

They are forked from a server that has only loaded the codecs (multiprocessing's forkserver), or
spawned where there is none.
"""

from __future__ import annotations

import functools
import multiprocessing
import multiprocessing.util
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

SAFE_PATH = {"PYTHONSAFEPATH": "1"}

_LONGEST = 70  # characters of a folder in which a socket's name fits: 103 in all, as macOS has it
_SHORT = ("/tmp", "/var/tmp", "/dev/shm")  # a folder of its own is made there

_preloaded = ["slashbench.bench.machine.preload_codecs"]


_unshadowed_lock = threading.Lock()
_unshadowed: list[None] = []  # one for each context that lasts
_before: dict[str, str | None] = {}


class Died(Exception):
    """The process ended before it said all it had to."""


def preload(module: str) -> None:
    """Let the server import a module before it forks the first process."""
    if module not in _preloaded:
        _preloaded.append(module)


@contextmanager
def started(target: Callable[..., None], *arguments: Any) -> Iterator[Callable[[float], Any]]:
    """Start `target(connection, *arguments)` in a process of its own, ended with the context.

    Yields a function that returns the next object that `target` sent; it takes the seconds to wait,
    and raises TimeoutError when they are over and Died when the process ended.
    """
    context = _context()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=target, args=(sender, *arguments), daemon=True)
    with unshadowed():
        process.start()
    sender.close()

    def receive(timeout_s: float) -> Any:
        try:
            if receiver.poll(timeout_s):
                return receiver.recv()
        except EOFError:
            process.join()
            raise Died(f"the process died with exit code {process.exitcode}") from None
        raise TimeoutError(f"no answer in {timeout_s:g} s")

    try:
        yield receive
    finally:
        process.kill()
        process.join()
        receiver.close()


@contextmanager
def unshadowed() -> Iterator[None]:
    """Start Python without the working directory in its path while the context lasts.

    A `signal.py` there would be imported in place of the standard library's. Threads may be in
    such contexts at once: the environment is as before when the last of them ends.
    """
    with _unshadowed_lock:
        if not _unshadowed:
            _before.update({name: os.environ.get(name) for name in SAFE_PATH})
            os.environ.update(SAFE_PATH)
        _unshadowed.append(None)
    try:
        yield
    finally:
        with _unshadowed_lock:
            _unshadowed.pop()
            if not _unshadowed:
                restore(_before)


def restore(before: Mapping[str, str | None]) -> None:
    """Give variables of the environment these values again; None: there was none."""
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@functools.cache
def _context() -> Any:
    if "forkserver" in multiprocessing.get_all_start_methods() and _sockets_fit():
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(_preloaded))
        return context
    return multiprocessing.get_context("spawn")


def _sockets_fit() -> bool:
    """Whether the server's socket has a folder whose name is short enough; one is made if need be.

    Batch systems give each job a temporary folder with a long name.
    """
    usual = tempfile.gettempdir()
    if len(usual) <= _LONGEST:
        return True
    for folder in filter(os.path.isdir, _SHORT):
        tempfile.tempdir = folder
        try:
            return len(multiprocessing.util.get_temp_dir()) <= _LONGEST + len("/pymp-12345678")
        except OSError:
            continue
        finally:
            tempfile.tempdir = usual
    return False
