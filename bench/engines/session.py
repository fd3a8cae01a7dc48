"""One run: what a command looks results up with, and the engine that makes what is missing."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Sequence

from slashbench.bench.engines import placement
from slashbench.bench.engines.base import EngineWatcher, RunContext
from slashbench.bench.engines.driver import Driver
from slashbench.bench.engines.inline import InlineProgress
from slashbench.bench.engines.placement import EngineChoice, PlacementRequest
from slashbench.bench.machine import provenance
from slashbench.bench.pipeline.record_cache import OnExisting
from slashbench.bench.pipeline.stages import Stages
from slashbench.bench.plan.matrix import Cell
from slashbench.bench.store.store import Store


class Session:
    """A run on one store. mismatches: what decoded to other weights; refused: cell -> why nothing
    here could do it.
    """

    def __init__(
        self, place: EngineChoice, store: Store, on_existing: OnExisting, watcher: EngineWatcher
    ) -> None:
        self._place, self._store, self._watcher = place, store, watcher
        self._run = RunContext(
            name=f"slashbench-{uuid.uuid4().hex[:12]}",
            store=store.where,
            on_existing=on_existing,
            machine=place.machine,
            command=provenance.command_line(),
        )
        self.stages = Stages(
            store,
            on_existing,
            InlineProgress(watcher),
            run=self._run.name,
            machine=place.machine,
        )
        self.mismatches: list[str] = []
        self.refused: dict[str, str] = {}

    @contextlib.contextmanager
    def engaged(self, cells: Sequence[Cell]) -> Iterator[Driver]:
        """Yield a driver for those cells, which runs them in one or several calls."""
        with self._place.engine(self._run, self._store, self._watcher, cells) as engine:
            driver = Driver(self.stages, engine, self._watcher)
            self.mismatches, self.refused = driver.mismatches, driver.refused
            yield driver


@contextlib.contextmanager
def opened(
    request: PlacementRequest, store: Store, on_existing: OnExisting, watcher: EngineWatcher
) -> Iterator[Session]:
    """Open a run at the place asked for. Raises UsageError, or StoreUnusable."""
    store.sweep()
    with placement.opened(request) as place:
        yield Session(place, store, on_existing, watcher)
