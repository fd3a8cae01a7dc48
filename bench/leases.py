"""Leases: what one process is making, no other makes at the same time.

A lease is a small file that says who holds it and until when; its holder renews it for as long as
it lives. One whose time is up, or whose holder is seen to be dead, is taken over by creating the
next one in line, KEY.1 after KEY.0, which of several who try one alone does. Machines must agree on
the time to within half a minute.

Results are whole and the same whoever makes them, so that where this fails (a process that was
stopped for a minute and goes on), work is done twice and nothing is lost.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from slashbench.bench.depot import Depot
from slashbench.bench.holder import Holder, this_process
from slashbench.errors import StageBusy

FOLDER = "leases"
TTL_S = 60.0
BEAT_S = 10.0


class Lease(msgspec.Struct, frozen=True):
    """One lease as it is written. expires: seconds of the epoch."""

    holder: Holder
    expires: float

    @property
    def dead(self) -> bool:
        """Whether its time is up or its holder is known to be no more."""
        return self.holder.lives() is False or time.time() > self.expires


class Leases:
    """The leases of one depot, as this process sees and holds them."""

    def __init__(self, depot: Depot) -> None:
        self.depot = depot
        self._held: set[str] = set()
        self._changed = threading.Lock()
        self._beating: threading.Thread | None = None

    @contextmanager
    def hold(self, key: str) -> Iterator[None]:
        """Hold the lease of `key`. Raises StageBusy where another process does."""
        number, newest = self._next(key)
        if newest is not None and not newest.dead:
            who = newest.holder
            raise StageBusy(f"process {who.pid} on {who.machine} is making it")
        name = f"{FOLDER}/{key}.{number}"
        if not self.depot.create(name, _encode()):
            raise StageBusy("another process took it a moment ago")
        self._keep(name)
        try:
            yield
        finally:
            with self._changed:
                self._held.discard(name)
            for each in range(number + 1):  # the oldest first, so that no dead one is ever the last
                self.depot.remove(f"{FOLDER}/{key}.{each}")

    def sweep(self) -> None:
        """Drop the leases of the dead."""
        for key in {name.partition("/")[2].rpartition(".")[0] for name in self.depot.names(FOLDER)}:
            with contextlib.suppress(StageBusy), self.hold(key):
                pass

    def _next(self, key: str) -> tuple[int, Lease | None]:
        """(number of the next in line, the last one there is)."""
        number, newest = 0, None
        while (data := self.depot.read(f"{FOLDER}/{key}.{number}")) is not None:
            newest = _decode(data)
            number += 1
        return number, newest

    def _keep(self, name: str) -> None:
        with self._changed:
            self._held.add(name)
            if self._beating is None or not self._beating.is_alive():
                self._beating = threading.Thread(target=self._beat, daemon=True, name="leases")
                self._beating.start()

    def _beat(self) -> None:
        while True:
            time.sleep(BEAT_S)
            with self._changed:
                for name in self._held:
                    with contextlib.suppress(Exception):  # the next beat may do better
                        self.depot.write(name, _encode())


def _encode() -> bytes:
    return msgspec.json.encode(Lease(this_process(), time.time() + TTL_S))


def _decode(data: bytes) -> Lease:
    try:
        return msgspec.json.decode(data, type=Lease)
    except msgspec.DecodeError:
        return Lease(Holder(host="", machine="", pid=0, started=0), 0.0)  # damaged: no one's
