"""The only training loop. A regime is a penalty object; plain training is one that does nothing."""

from __future__ import annotations

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

from slashbench.contracts import Penalty, TrainingPlan
from slashbench.errors import TrainingDiverged

LOG_EVERY = 10  # steps between two rows of the training log
REVISION = 1  # of this loop: raise it when the same seed gives other weights

Progress = Callable[[int, int, float], None]  # step, steps, loss


@dataclass(slots=True)
class TrainingLog:
    """What training cost and how it went."""

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
    penalty: Penalty,
    progress: Progress = lambda step, steps, loss: None,
) -> TrainingLog:
    """Train `module` in place with AdamW, linear warm-up and cosine decay.

    Raises TrainingDiverged as soon as the loss is not finite.
    """
    parameters = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters, lr=plan.learning_rate, weight_decay=plan.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: _learning_rate(s, plan))
    log = TrainingLog()
    wall, cpu = time.perf_counter(), time.process_time()
    module.train()
    for step in range(plan.steps):
        loss = loss_of(module, next(batches))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, plan.clip_norm)
        penalty.add_gradient()
        optimizer.step()
        schedule.step()
        penalty.after_step()
        log.steps = step + 1
        value = loss.item()
        if not math.isfinite(value):
            raise TrainingDiverged(
                f"the loss is {value} at step {step + 1}; lower the learning rate or lam"
            )
        if step % LOG_EVERY == 0 or step + 1 == plan.steps:
            log.rows.append({"step": step + 1, "loss": value, **penalty.log()})
        progress(step + 1, plan.steps, value)
    log.wall_s, log.cpu_s = time.perf_counter() - wall, time.process_time() - cpu
    return log


def _learning_rate(step: int, plan: TrainingPlan) -> float:
    """Factor on the peak learning rate at `step`."""
    if step < plan.warmup:
        return (step + 1) / plan.warmup
    remaining = (plan.steps - step) / max(plan.steps - plan.warmup, 1)
    return 0.5 * (1.0 - math.cos(math.pi * remaining))
