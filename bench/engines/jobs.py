"""Jobs of an engine: a checkpoint, a size with its metrics, a timing.

The queue hands out jobs so that no two under way wait for each other: a checkpoint is made once,
before the cells that share it, and the first cell of a quantized checkpoint, which evaluates it,
before the others. Beside a training, cells of other models come first: two trainings of the largest
model at once would set how much memory a run takes.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from slashbench.bench.machine import heap
from slashbench.bench.pipeline.keys import checkpoint_key
from slashbench.bench.pipeline.record_cache import StageFailed
from slashbench.bench.pipeline.stages import Stages
from slashbench.bench.plan.matrix import Cell
from slashbench.contracts import Needs
from slashbench.errors import StageBusy, StoreUnusable, VerificationMismatch

Kind = Literal["checkpoint", "size", "time"]

#: What came of a job. done: made, or failed with a record; sized: all but timing is there; busy:
#: another process is at it, or at work on the machine; mismatch: the decoded weights are others;
#: unusable: the results can't be written, or the worker has other code; died: its process did, more
#: often than it may; lost: the way to the engine was.
Status = Literal["done", "sized", "busy", "mismatch", "unusable", "died", "lost"]

RETRY_S = 1.0  # after which a job that another process was at is tried again


@dataclass(frozen=True, eq=False)
class Job:
    """One piece of work on a cell. depth: of the checkpoint, in transforms."""

    cell: Cell
    kind: Kind
    depth: int = 0

    def __str__(self) -> str:
        return f"{self.kind} {self.cell}"

    @property
    def needs(self) -> Needs:
        """Return what a worker needs for it; training takes a GPU for each process on one."""
        least = self.cell.model.item.needs
        trains = self.kind == "checkpoint" and self.cell.recipe.trains_at(self.depth)
        if not trains or self.cell.model.item.plan is None:
            return least
        execution = self.cell.execution
        return Needs(
            cpus=max(least.cpus, execution.processes),
            gpus=max(least.gpus, execution.processes if execution.device == "cuda" else 0),
            memory_bytes=least.memory_bytes * execution.processes,
        )


class JobOutcome(msgspec.Struct, frozen=True):
    """What came of a job, and why."""

    status: Status
    reason: str = ""


def perform(stages: Stages, job: Job) -> JobOutcome:
    """Do a job in this process; its results go to the store."""
    if job.kind == "time":
        return _outcome(stages, job)
    try:
        return _outcome(stages, job)
    finally:
        heap.give_back()


def _outcome(stages: Stages, job: Job) -> JobOutcome:
    try:
        if job.kind == "checkpoint":
            stages.checkpoint(job.cell, job.depth)
        elif job.kind == "time":
            stages.run(job.cell)
        elif stages.run_untimed(job.cell) is None:
            return JobOutcome("sized")
    except StageFailed:
        pass  # the record says why, and those of the cells that share it will
    except StageBusy as error:
        return JobOutcome("busy", str(error))
    except VerificationMismatch as error:
        return JobOutcome("mismatch", str(error))
    except StoreUnusable as error:
        return JobOutcome("unusable", str(error))
    return JobOutcome("done")


@dataclass
class JobQueue:
    """The jobs that are left. made: returns whether the store has a checkpoint of that key."""

    cells: Iterable[Cell]
    made: Callable[[str], bool]
    _ready: deque[Cell] = field(default_factory=deque)
    _sized: deque[Cell] = field(default_factory=deque)
    _parked: dict[str, list[Cell]] = field(default_factory=dict)  # by what is under way for them
    _claims: dict[Job, str] = field(default_factory=dict)  # what a job under way makes for others
    _later: list[tuple[float, int, Job]] = field(default_factory=list)
    _known: set[str] = field(default_factory=set)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self._ready.extend(self.cells)

    def work(self) -> Job | None:
        """Return the next job that can start now, timings left out, or None."""
        if self._later and self._later[0][0] <= time.monotonic():
            return heapq.heappop(self._later)[2]
        training = {job.cell.model.text for job in self._claims if job.kind == "checkpoint"}
        put_off: deque[Cell] = deque()
        job = None
        while job is None and self._ready:
            cell = self._ready.popleft()
            if cell.model.text in training:
                put_off.append(cell)
            else:
                job = self._claim(cell)
        while job is None and put_off:
            job = self._claim(put_off.popleft())
        self._ready.extendleft(reversed(put_off))
        return job

    def timing(self) -> Job | None:
        """Return the next timing, or None; nothing else may run on its machine."""
        return Job(self._sized.popleft(), "time") if self._sized else None

    def finished(self, job: Job, status: Status) -> None:
        """Note that a job has ended, or never will: what waited for it may go on."""
        makes = self._claims.pop(job, None)
        waiting = []
        if makes is not None:
            self._known.add(makes)
            waiting = self._parked.pop(makes)
        if job.kind == "checkpoint":
            waiting.insert(0, job.cell)
        elif status == "sized":
            self._sized.append(job.cell)
        self._ready.extendleft(reversed(waiting))

    def drop(self, job: Job) -> None:
        """Leave out the cell of a job; what waited for it may try for itself."""
        makes = self._claims.pop(job, None)
        if makes is not None:
            self._ready.extendleft(reversed(self._parked.pop(makes)))

    def again(self, job: Job, after_s: float = RETRY_S) -> None:
        """Put a job back for later; what waits for it goes on waiting."""
        if job.kind == "time":
            self._sized.append(job.cell)
        else:
            heapq.heappush(self._later, (time.monotonic() + after_s, next(self._numbers), job))

    @property
    def empty(self) -> bool:
        """Return whether nothing is left to start."""
        return not (self._ready or self._sized or self._later)

    def _claim(self, cell: Cell) -> Job | None:
        """Return the next job on a cell; None if it has to wait for one that is under way."""
        job, makes = self._next(cell)
        if makes in self._parked:
            self._parked[makes].append(cell)
            return None
        if makes:
            self._claims[job] = makes
            self._parked[makes] = []
        return job

    def _next(self, cell: Cell) -> tuple[Job, str]:
        """Return the next job on a cell, and the key of what it makes for others, or empty."""
        keys = [checkpoint_key(cell, depth) for depth in range(len(cell.recipe.transforms) + 1)]
        for depth, key in enumerate(keys):
            if not self._is_known(keys[-1]) and not self._is_known(key):
                return Job(cell, "checkpoint", depth), key
        quantized = f"{keys[-1]} {cell.recipe.quantiser.text}"
        return Job(cell, "size"), "" if quantized in self._known else quantized

    def _is_known(self, key: str) -> bool:
        if key not in self._known and self.made(key):
            self._known.add(key)
        return key in self._known
