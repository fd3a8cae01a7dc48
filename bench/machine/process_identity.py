"""Who holds something: this process, told apart from all others on all machines."""

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
    """A process. host: of its numbers of processes; machine: its name, for people."""

    host: str
    machine: str
    pid: int
    started: int  # seconds of the epoch

    @property
    def text(self) -> str:
        """For the name of a file; `of_text` reads it."""
        return f"{self.host}-{self.pid}-{self.started}"

    def lives(self) -> bool | None:
        """Whether the process is there; None where this host can't tell."""
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
    """The holder that `ProcessIdentity.text` stands for, or None."""
    host, _, rest = text.partition("-")
    pid, _, started = rest.partition("-")
    if not (pid.isdecimal() and started.isdecimal()):
        return None
    return ProcessIdentity(host=host, machine="", pid=int(pid), started=int(started))


def this_process() -> ProcessIdentity:
    """The process that asks."""
    return _process(os.getpid())


@functools.lru_cache(maxsize=1)
def _process(pid: int) -> ProcessIdentity:
    started = int(psutil.Process(pid).create_time())
    return ProcessIdentity(host=_host(), machine=platform.node(), pid=pid, started=started)


@functools.cache
def _host() -> str:
    """What shares one numbering of processes: a boot of a machine, or a container on it."""
    parts = [platform.node()]
    try:
        parts = [Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()]
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        pass  # no Linux: the machine's name has to do
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:12]
