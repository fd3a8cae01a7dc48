"""Where a run takes place, from what a user asked for; Dask is imported only where it is needed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slashbench.bench.engines.base import Engine, EngineWatcher, RunContext
from slashbench.bench.engines.inline import InlineEngine
from slashbench.bench.engines.jobs import Job
from slashbench.bench.machine import provenance
from slashbench.bench.plan.estimate import estimate_s
from slashbench.bench.plan.matrix import Cell
from slashbench.bench.store.store import Store
from slashbench.errors import UsageError

if TYPE_CHECKING:
    from distributed import Client

#: Work by the models' hints, in seconds, below which starting processes costs more than it saves.
WORTH_S = 20.0


@dataclass(frozen=True)
class PlacementRequest:
    """What a user asked for. jobs: processes of this machine, 0 for none beside this one, None for
    what it has room for. scheduler: address of a running cluster. timeout_s, retries: of a job.
    """

    jobs: int | None = None
    scheduler: str | None = None
    timeout_s: float | None = None
    retries: int = 2

    def __post_init__(self) -> None:
        if self.jobs is not None and self.jobs < 0:
            raise UsageError(f"--jobs {self.jobs}: give a number of processes, 0 or more")
        if self.timeout_s is not None and not self.timeout_s > 0:
            raise UsageError(f"--timeout {self.timeout_s:g}: give seconds, more than 0")
        if self.retries < 0:
            raise UsageError(f"--retries {self.retries}: give a number, 0 or more")
        if self.jobs == 0 and self.timeout_s is not None:
            raise UsageError("--timeout needs a process that can be stopped: --jobs 1 or more")


class EngineChoice:
    """A place for a run. machine: the kind that cells are timed on."""

    def __init__(self, request: PlacementRequest, client: Client | None) -> None:
        self._request, self._client = request, client
        self.machine = provenance.machine()
        if client is not None:
            from slashbench.bench.engines import dask_engine

            self.machine = dask_engine.usual_machine(client)

    @contextlib.contextmanager
    def engine(
        self, run: RunContext, store: Store, watcher: EngineWatcher, cells: Sequence[Cell]
    ) -> Iterator[Engine]:
        """Start the engine for those cells, for the context."""
        jobs = processes(self._request, cells) if self._client is None else None
        if jobs == 0:
            yield InlineEngine(run, store, watcher)
            return
        from slashbench.bench.engines import dask_engine

        with contextlib.ExitStack() as stack:
            client = self._client or stack.enter_context(
                dask_engine.local(jobs or 1, self._request.retries)
            )
            engine = dask_engine.DaskEngine(client, run, watcher, self._request.timeout_s)
            stack.callback(engine.close)
            yield engine


@contextlib.contextmanager
def opened(request: PlacementRequest) -> Iterator[EngineChoice]:
    """Open the place that was asked for. Raises UsageError where that fails."""
    if request.scheduler is None:
        yield EngineChoice(request, None)
        return
    from slashbench.bench.engines import dask_engine

    with dask_engine.running(request.scheduler) as client:
        yield EngineChoice(request, client)


def processes(request: PlacementRequest, cells: Sequence[Cell]) -> int:
    """How many processes of this machine run the cells; 0: none but this one.

    Where the user leaves it open, as many as there are cores and memory for, but none where there
    is room for one only, or where they would take longer to start than they save.
    """
    if request.jobs is not None:
        return request.jobs
    least = 0 if request.timeout_s is None else 1  # only another process can be stopped
    if len(cells) < 2 or estimate_s(cells) < WORTH_S:
        return least
    from slashbench.bench.engines import dask_settings

    room = dask_settings.affordable([Job(cell, "checkpoint").needs for cell in cells])
    return min(room, len(cells)) if room > 1 else least
