"""What an engine is: it takes jobs, says how they go and what came of each, and can be stopped."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

import msgspec

from slashbench.bench.engines.jobs import Job, JobOutcome
from slashbench.bench.pipeline.record_cache import OnExisting
from slashbench.bench.plan.matrix import Cell
from slashbench.record import CellRecord


class RunContext(msgspec.Struct, frozen=True, kw_only=True):
    """What all jobs of one run have in common, and every process that takes part must know."""

    name: str  # tells this run from others on the same engine
    store: str  # folder or URL
    on_existing: OnExisting
    machine: str  # the kind of machine that cells are timed on
    command: str


class EngineWatcher(Protocol):
    """Progress callbacks: of the processes of an engine, and of the run as a whole."""

    def stage(self, who: str, cell: str, name: str) -> None:
        """The process `who` starts a stage of a cell."""

    def progress(self, who: str, fraction: float, text: str) -> None:
        """It has done this fraction of the stage, 0 to 1."""

    def finished(self, cell: Cell, record: CellRecord) -> None:
        """A cell has its record."""

    def waiting(self, reason: str) -> None:
        """Nothing can be done for now."""


class Engine(ABC):
    """Where jobs run."""

    @abstractmethod
    def slots(self) -> int:
        """How many jobs can run at once, now."""

    @abstractmethod
    def timing_hosts(self) -> list[str]:
        """The machines that cells are timed on; one job at a time on each."""

    @abstractmethod
    def refuses(self, job: Job) -> str:
        """Why no process here could ever do the job; empty where one can."""

    @abstractmethod
    def submit(self, job: Job, host: str = "", patient: bool = True) -> None:
        """Start a job: on that host, if one is named. patient: see Stages."""

    @abstractmethod
    def wait(self) -> list[tuple[Job, JobOutcome]]:
        """What has come to an end; waits for a moment where nothing has."""

    @abstractmethod
    def close(self) -> None:
        """Drop what has not started; what is under way is not waited for."""
