"""From a model, a regime and a seed to a training that is ready to run: the only set-up."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from slashbench.contracts import (
    DEFAULT_EXECUTION,
    Execution,
    Model,
    Regime,
    TrainingHook,
    TrainingPlan,
    Weights,
)
from slashbench.errors import UsageError
from slashbench.trainers.training import distributed, loop
from slashbench.trainers.training.snapshot import SnapshotStore
from slashbench.trainers.training.step import LossOf


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch, and ask torch for deterministic kernels."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)


@dataclass(frozen=True, slots=True)
class Setup:
    """A module as training finds it, and what trains it.

    module: on its device, its parameters sharded if the execution says so. loss_of: calls the
    wrapper of the module under DDP.
    """

    module: nn.Module
    loss_of: LossOf
    plan: TrainingPlan
    hook: TrainingHook


def set_up(
    model: Model, regime: Regime, seed: int, execution: Execution = DEFAULT_EXECUTION
) -> Setup:
    """Seed, build, initialise and place the module, and bind the regime to it.

    With several processes each calls this, inside its process group. Raises UsageError for a
    model that is not trained here, or a regime that can do nothing with it.
    """
    if model.plan is None:
        raise UsageError(f"{type(model).__name__} is not trained here")
    seed_everything(seed)
    module = model.build(seed)
    regime.initialise(module)
    module.to(execution.device)
    loss_of: LossOf = model.loss
    if execution.processes > 1:
        spread = distributed.spread(module, execution)
        loss_of = lambda _, batch: model.loss(spread, batch)  # noqa: E731
    plan = regime.plan(model.plan)
    hook = regime.hook(dict(module.named_parameters()), plan)
    return Setup(module, loss_of, plan, hook)


def train_model(
    model: Model,
    regime: Regime,
    seed: int,
    execution: Execution = DEFAULT_EXECUTION,
    progress: loop.Progress = lambda step, steps, loss: None,
    snapshots: SnapshotStore | None = None,
) -> tuple[Weights, loop.TrainingLog]:
    """Train `model` under `regime` from scratch, or from the snapshot that `snapshots` has.

    Returns the whole weights on the CPU, in every process, and the log. Its CPU time is that of
    all processes together. Raises as `set_up` and `loop.train` do.
    """
    ready = set_up(model, regime, seed, execution)
    log = loop.train(
        ready.module,
        model.batches(seed),
        ready.loss_of,
        ready.plan,
        ready.hook,
        execution,
        progress,
        snapshots,
    )
    log.cpu_s = distributed.mean(log.cpu_s) * distributed.count()
    return distributed.whole(ready.module), log
