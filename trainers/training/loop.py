"""The only training loop. A regime is a training hook; plain training has one that does nothing."""

from __future__ import annotations

import contextlib
import itertools
import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from slashbench.contracts import USUAL, Execution, TrainingHook, TrainingPlan
from slashbench.errors import CorruptFile, TrainingDiverged
from slashbench.trainers.training import distributed, snapshot
from slashbench.trainers.training.snapshot import Keeper

REVISION = 2  # of this loop: raise it when the same seed gives other weights
SAVE_EVERY_S = 60.0  # between two snapshots

Progress = Callable[[int, int, float], None]  # step, steps, loss


@dataclass(slots=True)
class TrainingLog:
    """What training cost and how it went: a row for each step."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    steps: int = 0
    rows: list[dict[str, float]] = field(default_factory=list)


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch, and ask torch for deterministic kernels."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)


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
    loss_of: Callable[[nn.Module, Any], torch.Tensor],
    plan: TrainingPlan,
    hook: TrainingHook,
    execution: Execution = USUAL,
    progress: Progress = lambda step, steps, loss: None,
    keeper: Keeper | None = None,
) -> TrainingLog:
    """Train `module` in place with AdamW, linear warm-up and cosine decay.

    module: on the device that `execution` names. batches: from the first step on. keeper: where a
    snapshot is kept every minute; training goes on from the one it has.
    Raises TrainingDiverged as soon as the loss is not finite.
    """
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters, lr=plan.learning_rate, weight_decay=plan.weight_decay, fused=True
    )
    log = _resumed(module, optimizer, hook, keeper)
    step_batches = itertools.islice(batches, log.steps * execution.accumulate, None)
    wall, cpu = time.perf_counter() - log.wall_s, time.process_time() - log.cpu_s
    saved_at = time.perf_counter()
    module.train()
    for step in range(log.steps, plan.steps):
        for group in optimizer.param_groups:
            group["lr"] = plan.learning_rate * _learning_rate(step, plan)
        optimizer.zero_grad(set_to_none=True)
        hook.before_forward()
        value = _backward(module, step_batches, loss_of, execution)
        if not math.isfinite(value):
            raise TrainingDiverged(
                f"the loss is {value} at step {step + 1}; lower the learning rate or lam"
            )
        nn.utils.clip_grad_norm_(parameters, plan.clip_norm)
        hook.before_step()
        optimizer.step()
        hook.after_step()
        row = {"step": step + 1, "loss": value, **hook.log()}
        log.rows.append({key: float(f"{number:.6g}") for key, number in row.items()})
        log.steps = step + 1
        log.wall_s, log.cpu_s = time.perf_counter() - wall, time.process_time() - cpu
        progress(step + 1, plan.steps, value)
        late = time.perf_counter() - saved_at > SAVE_EVERY_S
        if keeper is not None and distributed.mean(late) > 0:  # all at the same step
            keeper.write(snapshot.pack(module, optimizer, hook, _as_json(log)))
            saved_at = time.perf_counter()
    hook.finish()
    return log


def to_device(batch: Any, device: str) -> Any:
    """A batch with every tensor of its lists, tuples and dicts on `device`."""
    if isinstance(batch, torch.Tensor):
        return batch.to(device)
    if isinstance(batch, list | tuple):
        return type(batch)(to_device(item, device) for item in batch)
    if isinstance(batch, dict):
        return {key: to_device(item, device) for key, item in batch.items()}
    return batch


def _backward(
    module: nn.Module,
    batches: Iterator[Any],
    loss_of: Callable[[nn.Module, Any], torch.Tensor],
    execution: Execution,
) -> float:
    """Gradients of the mean loss of one step's batches. Returns that loss."""
    total = 0.0
    for whole in itertools.islice(batches, execution.accumulate):
        batch, weight = distributed.share(whole)
        with torch.autocast(
            execution.device, torch.bfloat16, enabled=execution.precision == "bf16"
        ):
            loss = loss_of(module, to_device(batch, execution.device)).float() * weight
        (loss / execution.accumulate).backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    return distributed.mean(total / execution.accumulate)


def _resumed(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    hook: TrainingHook,
    keeper: Keeper | None,
) -> TrainingLog:
    """The log up to the snapshot, everything in the state it was in; else an empty one."""
    data = keeper.read() if keeper is not None else None
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


def _learning_rate(step: int, plan: TrainingPlan) -> float:
    """Factor on the peak learning rate at `step`."""
    if step < plan.warmup:
        return (step + 1) / plan.warmup
    remaining = (plan.steps - step) / max(plan.steps - plan.warmup, 1)
    return 0.5 * (1.0 - math.cos(math.pi * remaining))
