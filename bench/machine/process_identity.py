"""The identity of a process, among all processes of all machines."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
from pathlib import Path

import msgspec
import psutil

_CLOCK_SLIP_S = 5  # two readings of when one process started may differ by so much


class ProcessIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """A process.

    Attributes
    ----------
    host
        Identifies the system whose process numbers `pid` is one of.
    machine
        The name of the machine, for people.
    pid
        Its number.
    started
        When it started, in seconds of the epoch.
    """

    host: str
    machine: str
    pid: int
    started: int

    @property
    def text(self) -> str:
        """Return the identity for the name of a file; `of_text` reads it."""
        return f"{self.host}-{self.pid}-{self.started}"

    def lives(self) -> bool | None:
        """Return whether the process runs, or None if this host can't tell."""
        if self.host != _host():
            return None
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < _CLOCK_SLIP_S
            return bool(same and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False
        except psutil.Error:
            return None


def of_text(text: str) -> ProcessIdentity | None:
    """Return the process that `ProcessIdentity.text` names, or None."""
    host, _, rest = text.partition("-")
    pid, _, started = rest.partition("-")
    if not (pid.isdecimal() and started.isdecimal()):
        return None
    return ProcessIdentity(host=host, machine="", pid=int(pid), started=int(started))


def this_process() -> ProcessIdentity:
    """Return the identity of the process that calls."""
    return _process(os.getpid())


@functools.lru_cache(maxsize=1)
def _process(pid: int) -> ProcessIdentity:
    started = int(psutil.Process(pid).create_time())
    return ProcessIdentity(host=_host(), machine=platform.node(), pid=pid, started=started)


@functools.cache
def _host() -> str:
    """Return what identifies one numbering of processes: a boot, or a container in it."""
    parts = [platform.node()]
    try:
        parts = [Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()]
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        pass  # no Linux: the machine's name has to do
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:12]
