"""Leases: what one process makes, no other makes at the same time.

A lease is a small file that says who holds it and until when; its holder renews it for as long as
it lives. One whose time is up, or whose holder is seen to be dead, is taken over by creating the
next one in line, KEY.1 after KEY.0, which of several who try one alone does. Machines must agree on
the time to within half a minute.

No library covers this: filelock and flock hold on one machine only and not over NFS or an object
store, Dask's locks need one scheduler for all runs. Exclusive creation of a file is all that a
shared folder, NFS and S3 have in common.

A process that was stopped for so long that its lease ran out (a suspended laptop, a paused
container) gives way when it goes on: it takes the next one in line itself, and where another was
faster it leaves the work to that one.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from slashbench.bench.machine.process_identity import ProcessIdentity, this_process
from slashbench.bench.store.backends import Backend
from slashbench.errors import StageBusy

FOLDER = "leases"
TTL_S = 60.0
BEAT_S = 10.0
SLIP_S = 30.0  # by which the clocks of two machines may differ


class Lease(msgspec.Struct, frozen=True):
    """A lease as it is written. expires: seconds of the epoch. mark: unique to the lease."""

    holder: ProcessIdentity
    expires: float
    mark: str = ""

    @property
    def dead(self) -> bool:
        """Return whether its time is up, or its holder is known to have ended."""
        return self.holder.lives() is False or time.time() > self.expires


class HeldLease:
    """A lease that this process holds until it releases it, or another takes it over."""

    def __init__(self, backend: Backend, key: str) -> None:
        self._backend, self._key = backend, key
        self._mark = secrets.token_hex(8)
        self._number, self._expires = 0, 0.0
        self._ended = False
        self._busy = threading.Lock()  # with the file

    def take(self, number: int) -> bool:
        """Become the `number`-th in line; return False if another process already is."""
        lease = self._lease()
        if not self._backend.create(_name(self._key, number), msgspec.json.encode(lease)):
            return False
        self._number, self._expires = number, lease.expires
        return True

    def confirm(self) -> None:
        """Raise StageBusy if another process has taken it over."""
        with self._busy:
            if not self._ours():
                raise StageBusy("another process took it over while this one was stopped")

    def renew(self) -> None:
        """Extend it, unless another process has taken it over."""
        with self._busy:
            if self._ours():
                lease = self._lease()
                self._backend.write(_name(self._key, self._number), msgspec.json.encode(lease))
                self._expires = lease.expires

    def release(self) -> None:
        """Remove it and those before it, unless another process has taken it over."""
        with self._busy:
            numbers = range(self._number + 1) if self._ours() else ()
            self._ended = True
            for number in numbers:  # the oldest first, so that no dead one is ever the last
                self._backend.remove(_name(self._key, number))

    def _ours(self) -> bool:
        """Return whether it is still held. One that ran out becomes the next in line, if free."""
        if not self._ended and time.time() > self._expires - SLIP_S:
            data = self._backend.read(_name(self._key, self._number))
            there = data is not None and _decode(data).mark == self._mark
            self._ended = not (there and self.take(self._number + 1))
        return not self._ended

    def _lease(self) -> Lease:
        return Lease(this_process(), time.time() + TTL_S, self._mark)


class Leases:
    """The leases in one backend."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._held: set[HeldLease] = set()
        self._changed = threading.Lock()
        self._beating: threading.Thread | None = None

    @contextmanager
    def hold(self, key: str) -> Iterator[HeldLease]:
        """Hold the lease of `key` in this context. Raises StageBusy if another process holds it."""
        number, newest = self._next(key)
        if newest is not None and not newest.dead:
            who = newest.holder
            raise StageBusy(f"process {who.pid} on {who.machine} is making it")
        held = HeldLease(self.backend, key)
        if not held.take(number):
            raise StageBusy("another process took it a moment ago")
        self._keep(held)
        try:
            yield held
        finally:
            with self._changed:
                self._held.discard(held)
            held.release()

    def check(self) -> None:
        """Raise StageBusy if another process has taken over a lease that this one holds."""
        with self._changed:
            held = list(self._held)
        for each in held:
            each.confirm()

    def sweep(self) -> None:
        """Remove the leases of processes that have ended."""
        for key in {
            name.partition("/")[2].rpartition(".")[0] for name in self.backend.names(FOLDER)
        }:
            with contextlib.suppress(StageBusy), self.hold(key):
                pass

    def _next(self, key: str) -> tuple[int, Lease | None]:
        """Return the next free number, and the newest lease if there is one."""
        number, newest = 0, None
        while (data := self.backend.read(_name(key, number))) is not None:
            newest = _decode(data)
            number += 1
        return number, newest

    def _keep(self, held: HeldLease) -> None:
        with self._changed:
            self._held.add(held)
            if self._beating is None or not self._beating.is_alive():
                self._beating = threading.Thread(target=self._beat, daemon=True, name="leases")
                self._beating.start()

    def _beat(self) -> None:
        while True:
            time.sleep(BEAT_S)
            with self._changed:
                held = list(self._held)
            for each in held:
                with contextlib.suppress(Exception):  # the next beat may do better
                    each.renew()


def _name(key: str, number: int) -> str:
    return f"{FOLDER}/{key}.{number}"


def _decode(data: bytes) -> Lease:
    try:
        return msgspec.json.decode(data, type=Lease)
    except msgspec.DecodeError:
        return Lease(
            ProcessIdentity(host="", machine="", pid=0, started=0), 0.0
        )  # damaged: no one's
