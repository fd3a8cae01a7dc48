"""Run jobs one after the other in this process."""

from __future__ import annotations

from typing_extensions import override

from slashbench.bench.engines.base import Engine, EngineWatcher, RunContext
from slashbench.bench.engines.jobs import Job, JobOutcome, perform
from slashbench.bench.pipeline.record_cache import StageWatcher
from slashbench.bench.pipeline.stages import Stages
from slashbench.bench.plan.matrix import Cell
from slashbench.bench.store.store import Store

HERE = "here"


class InlineProgress(StageWatcher):
    """Pass on the progress of stages in this process as that of an engine's worker."""

    def __init__(self, watcher: EngineWatcher) -> None:
        self._watcher = watcher

    @override
    def stage(self, cell: Cell, name: str) -> None:
        self._watcher.stage(HERE, str(cell), name)

    @override
    def progress(self, fraction: float, text: str) -> None:
        self._watcher.progress(HERE, fraction, text)


class InlineEngine(Engine):
    """The engine of `--jobs 0`: nothing to start, nothing to lose, and a debugger sees it all."""

    def __init__(self, run: RunContext, store: Store, watcher: EngineWatcher) -> None:
        self._stages = Stages(
            store,
            run.on_existing,
            InlineProgress(watcher),
            run=run.name,
            machine=run.machine,
            command=run.command,
        )
        self._job: tuple[Job, bool] | None = None

    @override
    def slots(self) -> int:
        return 1

    @override
    def timing_hosts(self) -> list[str]:
        return [HERE]

    @override
    def refuses(self, job: Job) -> str:
        return ""

    @override
    def submit(self, job: Job, host: str = "", patient: bool = True) -> None:
        self._job = job, patient

    @override
    def wait(self) -> list[tuple[Job, JobOutcome]]:
        if self._job is None:
            return []
        (job, self._stages.patient), self._job = self._job, None
        return [(job, perform(self._stages, job))]

    @override
    def close(self) -> None:
        """Do nothing: what is under way is under way here."""
