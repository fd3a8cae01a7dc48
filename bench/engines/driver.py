"""The driver of a run: gives an engine what is left to do, and keeps a record where it could not.

It holds no results: those are in the store, where other drivers may be at the same cells.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from slashbench.bench.engines.base import Engine, EngineWatcher
from slashbench.bench.engines.jobs import Job, JobOutcome, JobQueue
from slashbench.bench.pipeline.stages import Stages
from slashbench.bench.plan.matrix import Cell
from slashbench.errors import EngineLost, StoreUnusable
from slashbench.record import CheckpointRecord

#: How long timing waits for other runs on the machine before it goes ahead, marked as contended.
PATIENCE_S = 60.0

_PAUSE_S = 0.1


class Driver:
    """Runs cells on an engine. `mismatches` and `refused` say what went wrong beyond records."""

    def __init__(self, stages: Stages, engine: Engine, watcher: EngineWatcher) -> None:
        self.stages, self.engine, self.watcher = stages, engine, watcher
        self.mismatches: list[str] = []
        self.refused: dict[str, str] = {}  # cell -> why
        self._under_way: dict[Job, str] = {}  # -> host, of a timing
        self._waits_since: float | None = None  # timing, for other runs on the machine
        self._patient = True

    def run(self, cells: Sequence[Cell]) -> None:
        """Run every cell; one failure never stops the others.

        Raises StoreUnusable when results can't be written, EngineLost when the engine is gone.
        """
        queue = JobQueue(cells, lambda key: self.stages.cached(CheckpointRecord, key))
        while not queue.empty or self._under_way:
            self._hand_out(queue)
            ended = self.engine.wait()
            for job, outcome in ended:
                del self._under_way[job]
                self._take(queue, job, outcome)
            if not ended and not self._under_way:
                time.sleep(_PAUSE_S)

    def _hand_out(self, queue: JobQueue) -> None:
        slots = self.engine.slots()
        while len(self._under_way) < slots:
            if slots == 1 and self._hand_out_timing(queue):
                continue
            timing = any(self._under_way.values())
            job = None if timing else queue.work()
            if job is None:
                break
            self._start(queue, job)
        if not any(not host for host in self._under_way.values()):
            while self._hand_out_timing(queue):
                pass

    def _hand_out_timing(self, queue: JobQueue) -> bool:
        """Start a timing on a machine on which nothing runs, if there is one of each."""
        busy = set(self._under_way.values())
        idle = [host for host in self.engine.timing_hosts() if host not in busy]
        job = queue.timing() if idle else None
        if job is None:
            return False
        self._start(queue, job, idle[0])
        return True

    def _start(self, queue: JobQueue, job: Job, host: str = "") -> None:
        reason = self.engine.refuses(job)
        if reason:
            self.refused[str(job.cell)] = reason
            queue.drop(job)
            return
        self._under_way[job] = host
        self.engine.submit(job, host, self._patient)

    def _take(self, queue: JobQueue, job: Job, outcome: JobOutcome) -> None:
        if outcome.status == "unusable":
            raise StoreUnusable(outcome.reason)
        if outcome.status == "busy":
            self._wait(job, outcome.reason)
            queue.again(job)
            return
        if outcome.status == "lost":
            queue.again(job)
            return
        if job.kind == "time":
            self._waits_since = None
        if outcome.status == "died":
            self._record(job, outcome.reason)
        elif outcome.status == "mismatch":
            self.mismatches.append(outcome.reason)
        queue.finished(job, outcome.status)
        if outcome.status != "sized" and job.kind != "checkpoint":
            record = self.stages.cell_record(job.cell)
            if record is None:
                raise EngineLost(f"{job.cell} was run, but its record is not in the store")
            self.watcher.finished(job.cell, record)

    def _record(self, job: Job, reason: str) -> None:
        if job.kind == "checkpoint":
            self.stages.fail_checkpoint(job.cell, job.depth, reason)
        else:
            self.stages.fail(job.cell, f"{job.kind}: {reason}")

    def _wait(self, job: Job, reason: str) -> None:
        if not self._under_way:
            self.watcher.waiting(reason)
        if job.kind == "time":
            self._waits_since = self._waits_since or time.monotonic()
            self._patient = self._patient and time.monotonic() - self._waits_since < PATIENCE_S
