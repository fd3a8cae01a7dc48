"""Records of stages in one store: found if they stand, else made by one process alone, and kept."""

from __future__ import annotations

import contextlib
import errno
import time
import traceback
import uuid
from collections.abc import Callable
from typing import Literal, Protocol, TypeVar

import torch

from slashbench.bench.machine import locks, provenance
from slashbench.bench.pipeline.keys import Fields
from slashbench.bench.plan.matrix import Cell
from slashbench.bench.store.store import Store
from slashbench.errors import StageBusy, StoreUnusable, VerificationMismatch
from slashbench.record import CellRecord, Provenance, Record, TimeRecord
from slashbench.trainers.training import loop

OnExisting = Literal["missing", "failed", "always"]

R = TypeVar("R", bound=Record)

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)  # says nothing about a cell


class StageWatcher(Protocol):
    """Progress callbacks of one process."""

    def stage(self, cell: Cell, name: str) -> None:
        """A stage of `cell` starts to do work (a cached one is never announced)."""

    def progress(self, fraction: float, text: str) -> None:
        """It has done this fraction of the stage, 0 to 1."""


class StageFailed(Exception):
    """A stage failed; its record says why."""

    def __init__(self, reason: str, mismatch: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.mismatch = mismatch


class RecordCache:
    """The records of one store, under a run's policy for those that exist.

    Parameters
    ----------
    run
        Name of the run, which its records carry. What others made is made again where `on_existing`
        says so; what any process of this run made stands. Times would not do: clocks are put back.
    command
        The command that asks for the records, if it is not this process's own.
    """

    def __init__(
        self, store: Store, on_existing: OnExisting, watcher: StageWatcher, run: str, command: str
    ) -> None:
        self.store = store
        self.watcher = watcher
        self.run = run or f"slashbench-{uuid.uuid4().hex[:12]}"
        self._on_existing, self._command = on_existing, command

    def cached(self, kind: type[R], key: str) -> R | None:
        """Return a record that the run's policy for existing ones accepts, or None.

        Raises StageFailed for that of a stage that failed.
        """
        found = self.store.get(kind, key)
        if found is None:
            return None
        again = self._on_existing == "always" or (
            self._on_existing == "failed" and found.status == "failed"
        )
        if again and found.provenance.run != self.run:
            return None
        if found.status == "failed" and kind is not CellRecord:
            raise StageFailed(found.reason)
        return found

    def found(self, kind: type[R], key: str, usable: Callable[[R], bool]) -> R | None:
        """Return what `cached` does, if it is usable."""
        found = self.cached(kind, key)
        return found if found is not None and usable(found) else None

    def stage(
        self,
        cell: Cell,
        name: str,
        kind: type[R],
        key: str,
        what: Fields,
        make: Callable[[], Fields],
        usable: Callable[[R], bool] = lambda found: True,
    ) -> R:
        """Return the record of that key if it is usable; else make it, in this process alone.

        A failure is kept as a record too, and raised.
        """
        found = self.found(kind, key, usable)
        if found is not None:
            return found
        with self.store.leases.hold(key):
            found = self.found(kind, key, usable)  # another process may have made it meanwhile
            if found is not None:
                return found
            self.watcher.stage(cell, name)
            with locks.at_work() if kind is not TimeRecord else contextlib.nullcontext():
                return self._make(cell, name, kind, key, what, make)

    def _make(
        self,
        cell: Cell,
        name: str,
        kind: type[R],
        key: str,
        what: Fields,
        make: Callable[[], Fields],
    ) -> R:
        started = time.perf_counter()
        failure = None
        fields: Fields = {"status": "ok"}
        try:
            with loop.threads(cell.model.item.threads):
                fields |= make()
        except (StageFailed, StoreUnusable, StageBusy):
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _NO_ROOM:
                raise StoreUnusable(
                    f"{name}: {error}; make room, or set TMPDIR to another folder"
                ) from error
            failure = StageFailed(_reason(name, error), isinstance(error, VerificationMismatch))
            fields |= {
                "status": "failed",
                "reason": failure.reason,
                "traceback_tail": "".join(traceback.format_exception(error))[-2000:],
            }
        record = kind(
            key=key,
            wall_s=time.perf_counter() - started,
            provenance=self.provenance(cell),
            **{**what, **fields},
        )
        self.store.leases.check()  # or the record is another process's to make
        self.store.put(record)
        if failure is not None:
            raise failure
        return record

    def provenance(self, cell: Cell) -> Provenance:
        """Return the provenance of a record of that cell, made now."""
        threads = cell.model.item.threads or torch.get_num_threads()
        return provenance.provenance(threads, self._command, self.run)


def _reason(stage: str, error: Exception) -> str:
    if isinstance(error, MemoryError):
        return f"{stage}: out of memory"
    return f"{stage}: {type(error).__name__}: {error}"
