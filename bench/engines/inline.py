"""Run jobs one after the other in this process."""

from __future__ import annotations

from slashbench.bench.engines.base import EngineWatcher, RunContext
from slashbench.bench.engines.jobs import Job, JobOutcome, perform
from slashbench.bench.pipeline.stages import Stages
from slashbench.bench.plan.matrix import Cell
from slashbench.bench.store.store import Store

HERE = "here"


class Here:
    """Shows the stages of this process as those of an engine's are shown."""

    def __init__(self, watcher: EngineWatcher) -> None:
        self._watcher = watcher

    def stage(self, cell: Cell, name: str) -> None:
        """As Watcher."""
        self._watcher.stage(HERE, str(cell), name)

    def progress(self, fraction: float, text: str) -> None:
        """As Watcher."""
        self._watcher.progress(HERE, fraction, text)


class Inline:
    """The engine of `--jobs 0`: nothing to start, nothing to lose, and a debugger sees it all."""

    def __init__(self, run: RunContext, store: Store, watcher: EngineWatcher) -> None:
        self._stages = Stages(
            store,
            run.on_existing,
            Here(watcher),
            since=run.since,
            machine=run.machine,
            command=run.command,
        )
        self._job: tuple[Job, bool] | None = None

    def slots(self) -> int:
        """As Engine."""
        return 1

    def timing_hosts(self) -> list[str]:
        """As Engine."""
        return [HERE]

    def refuses(self, job: Job) -> str:
        """As Engine: what is asked for is tried."""
        return ""

    def submit(self, job: Job, host: str = "", patient: bool = True) -> None:
        """As Engine."""
        self._job = job, patient

    def wait(self) -> list[tuple[Job, JobOutcome]]:
        """As Engine: this is where the work is done."""
        if self._job is None:
            return []
        (job, self._stages.patient), self._job = self._job, None
        return [(job, perform(self._stages, job))]

    def close(self) -> None:
        """As Engine."""
