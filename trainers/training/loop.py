"""The only training loop: steps, a row of figures for each, and snapshots to continue from."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from slashbench.contracts import DEFAULT_EXECUTION, Execution, TrainingHook, TrainingPlan
from slashbench.errors import CorruptFile
from slashbench.trainers.training import distributed, snapshot
from slashbench.trainers.training.snapshot import SnapshotStore
from slashbench.trainers.training.step import LossOf, TrainingStep

REVISION = 2  # of this loop: raise it when the same seed gives other weights
SAVE_EVERY_S = 60.0  # between two snapshots

Progress = Callable[[int, int, float], None]  # step, steps, loss


@dataclass(slots=True)
class TrainingLog:
    """Cost and course of a training: a row for each step."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    steps: int = 0
    rows: list[dict[str, float]] = field(default_factory=list)


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Let torch use `count` threads while the context lasts; None leaves it as it is."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def train(
    module: nn.Module,
    batches: Iterator[Any],
    loss_of: LossOf,
    plan: TrainingPlan,
    hook: TrainingHook,
    execution: Execution = DEFAULT_EXECUTION,
    progress: Progress = lambda step, steps, loss: None,
    snapshots: SnapshotStore | None = None,
) -> TrainingLog:
    """Train `module` in place.

    module: on the device that `execution` names. batches: from the first step on. snapshots: keeps
    one every minute; training continues from the one it has.
    Raises as `TrainingStep.take` does.
    """
    taken = TrainingStep(module, loss_of, plan, execution)
    log = _resumed(module, taken.optimizer, hook, snapshots)
    step_batches = itertools.islice(batches, log.steps * execution.accumulate, None)
    wall, cpu = time.perf_counter() - log.wall_s, time.process_time() - log.cpu_s
    saved_at = time.perf_counter()
    module.train()
    for step in range(log.steps, plan.steps):
        value = taken.take(step_batches, hook, step)
        row = {"step": step + 1, "loss": value, **hook.log()}
        log.rows.append({key: float(f"{number:.6g}") for key, number in row.items()})
        log.steps = step + 1
        log.wall_s, log.cpu_s = time.perf_counter() - wall, time.process_time() - cpu
        progress(step + 1, plan.steps, value)
        late = time.perf_counter() - saved_at > SAVE_EVERY_S
        if snapshots is not None and distributed.mean(late) > 0:  # all at the same step
            snapshots.write(snapshot.pack(module, taken.optimizer, hook, _as_json(log)))
            saved_at = time.perf_counter()
    hook.finish()
    return log


def _resumed(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    hook: TrainingHook,
    snapshots: SnapshotStore | None,
) -> TrainingLog:
    """Restore the snapshot, if there is a good one, and return its log; else an empty log."""
    data = snapshots.read() if snapshots is not None else None
    found = None
    with contextlib.suppress(CorruptFile):  # as if there were none
        found = snapshot.unpack(data, module) if data is not None else None
    step = distributed.agreed(found.progress["steps"] if found is not None else 0)
    if found is None or step == 0:
        return TrainingLog()  # from the start
    found.restore(module, optimizer, hook)
    return TrainingLog(**found.progress)


def _as_json(log: TrainingLog) -> dict[str, Any]:
    return {"wall_s": log.wall_s, "cpu_s": log.cpu_s, "steps": log.steps, "rows": log.rows}
