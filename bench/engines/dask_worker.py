"""What a Dask worker does for us: one job at a time, on objects built here from their spelling.

Nothing but text crosses the wire, so that a worker needs the same slashbench, torch and plug-ins,
and no object of the driver's.
"""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import platform
import signal
import sys
import threading
import time
from typing import Any

import msgspec
import torch
from distributed import get_worker
from typing_extensions import override

from slashbench.bench.engines.base import RunContext
from slashbench.bench.engines.jobs import Job, JobOutcome, Kind, perform
from slashbench.bench.machine import provenance
from slashbench.bench.pipeline import keys
from slashbench.bench.pipeline.record_cache import StageWatcher
from slashbench.bench.pipeline.stages import Stages
from slashbench.bench.plan.matrix import Cell, CellText
from slashbench.bench.store.store import Store
from slashbench.errors import UsageError
from slashbench.version import __version__

_EVERY_S = 0.5  # between two words on the progress of a stage

_one_at_a_time = threading.Lock()  # seeds and numbers of threads are a process's


class JobOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it is sent to a worker."""

    run: RunContext
    number: int
    cell: CellText
    code: dict[str, str]  # that the cell runs beside slashbench, as the driver has it
    kind: Kind
    depth: int
    patient: bool


class WorkerPlace(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker tells the driver about itself."""

    machine: str
    cpus: int
    versions: dict[str, str]
    lacks: str  # what it must have for our work; empty where it has it all


def work(order: bytes) -> bytes:
    """Do one job. Returns its outcome; that of a worker with other code is `unusable`."""
    asked = msgspec.json.decode(order, type=JobOrder)
    if other := _other_code(asked):
        return msgspec.json.encode(JobOutcome("unusable", other))
    with _one_at_a_time:
        mine = _stages(asked.run)
        mine.patient = asked.patient
        mine.records.watcher = Reporter(asked)
        job = Job(_cell(asked.cell), asked.kind, asked.depth)
        return msgspec.json.encode(perform(mine, job))


def _other_code(asked: JobOrder) -> str:
    """Return what keeps this worker from making the driver's records; empty where nothing does."""
    here = f"the worker at {get_worker().address}"
    same = "records would not be the same: install the same there"
    try:
        mine = keys.code(_cell(asked.cell))
    except UsageError as error:
        return f"{here} can't do {asked.cell.model} with {asked.cell.codec} ({error}); {same}"
    differ = [
        f"{name} {mine.get(name) or 'none'}, this command {asked.code.get(name) or 'none'}"
        for name in sorted(mine.keys() | asked.code.keys())
        if mine.get(name) != asked.code.get(name)
    ]
    return f"{here} has {'; '.join(differ)}; {same}" if differ else ""


def place() -> bytes:
    """What the driver must know of this worker before it gives it work."""
    return msgspec.json.encode(
        WorkerPlace(
            machine=provenance.machine(),
            cpus=torch.get_num_threads(),
            versions=versions(),
            lacks=_lacks(),
        )
    )


def _lacks() -> str:
    if multiprocessing.current_process().daemon:
        return "processes of its own, to decode in (distributed.worker.daemon: false)"
    if "MALLOC_TRIM_THRESHOLD_" in os.environ and sys.platform == "linux":
        return "memory as other processes have it, or times are wrong (no MALLOC_TRIM_THRESHOLD_)"
    return ""


def versions() -> dict[str, str]:
    """What must be the same in driver and workers: keys of records depend on it."""
    python = ".".join(platform.python_version_tuple()[:2])
    return {"slashbench": __version__, "torch": str(torch.__version__), "Python": python}


def dask_setup(worker: Any) -> None:
    """Called by Dask when a worker starts: Ctrl-C is for the driver, which ends the workers."""
    with contextlib.suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGINT, signal.SIG_IGN)


class Reporter(StageWatcher):
    """Tell the driver what this worker does."""

    def __init__(self, order: JobOrder) -> None:
        self._order = order
        self._said = 0.0
        self._tell({"started": True})

    @override
    def stage(self, cell: Cell, name: str) -> None:
        self._tell({"cell": str(cell), "stage": name})

    @override
    def progress(self, fraction: float, text: str) -> None:
        if time.monotonic() - self._said > _EVERY_S:
            self._said = time.monotonic()
            self._tell({"fraction": fraction, "text": text})

    def _tell(self, what: dict[str, Any]) -> None:
        worker = get_worker()
        who = {"job": self._order.number, "worker": worker.address, "pid": os.getpid()}
        worker.log_event(self._order.run.name, {**who, **what})


@functools.lru_cache(maxsize=1)
def _stages(run: RunContext) -> Stages:
    """Kept from job to job: it has the last checkpoint in memory."""
    return Stages(
        Store(run.store),
        run.on_existing,
        _Silent(),
        run=run.name,
        machine=run.machine,
        command=run.command,
    )


@functools.lru_cache(maxsize=256)
def _cell(text: CellText) -> Cell:
    return text.cell()


class _Silent(StageWatcher):
    """Progress callbacks that do nothing, until there is a job."""

    @override
    def stage(self, cell: Cell, name: str) -> None:
        pass

    @override
    def progress(self, fraction: float, text: str) -> None:
        pass
