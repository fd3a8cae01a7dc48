"""From a model, a regime and a seed to a training that is ready to run: the only set-up."""

from __future__ import annotations

import itertools
import os
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
from slashbench.trainers.training.distillation import Distilling, frozen_copy
from slashbench.trainers.training.snapshot import SnapshotStore
from slashbench.trainers.training.step import LossOf


def seed_everything(seed: int) -> None:
    """Seed Python, numpy and torch, and ask torch for deterministic kernels.

    cuBLAS has some only with a workspace of its own; torch refuses to multiply without.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)


@dataclass(frozen=True, slots=True)
class Trained:
    """What links before have made: the whole weights, those of a teacher, the steps it took.

    The teacher's are the float weights that were trained last; links after that may have changed
    them.
    """

    weights: Weights
    teacher: Weights
    steps: int


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
    model: Model,
    regime: Regime,
    seed: int,
    execution: Execution = DEFAULT_EXECUTION,
    before: Trained | None = None,
) -> Setup:
    """Seed, build, initialise and place the module, and bind the regime to it.

    With several processes each calls this, inside its process group. before: what training starts
    from, or what teaches. Raises UsageError for a model that is not trained here, or a regime that
    can do nothing with it.
    """
    if model.plan is None:
        raise UsageError(f"{type(model).__name__} is not trained here")
    seed_everything(seed)
    module = model.build(seed)
    if before is None or regime.course.fresh:
        regime.initialise(module)
    else:
        module.load_state_dict(before.weights)
    module.to(execution.device)
    plan = regime.plan(model.plan)
    teacher = _teacher(module, regime, plan, execution, before)  # before parameters are sharded
    distributed.shard(module, execution)
    hook = regime.hook(dict(module.named_parameters()), plan)  # which may freeze some
    called = distributed.called(module, execution)
    loss_of: LossOf = model.loss
    if regime.course.distil:
        begin = regime.first_rounded(plan) or 0
        hook = taught = Distilling(hook, model, module, regime.course.distil, teacher, begin)
        loss_of = taught.loss
    if called is module:
        return Setup(module, loss_of, plan, hook)
    return Setup(module, lambda _, batch: loss_of(called, batch), plan, hook)


def _teacher(
    module: nn.Module,
    regime: Regime,
    plan: TrainingPlan,
    execution: Execution,
    before: Trained | None,
) -> nn.Module | None:
    """Return the frozen module that teaches from the first step on; None if there is none yet.

    Raises UsageError for distillation that can have no teacher.
    """
    if not regime.course.distil:
        return None
    if before is not None:
        teacher = frozen_copy(module)
        teacher.load_state_dict(before.teacher)
        return teacher
    if regime.first_rounded(plan) is None:
        raise UsageError(
            "distil needs a teacher: train one in a link before, as in plain+backslash:distil=0.7"
        )
    if execution.processes > 1 and execution.sharding == "fsdp2":
        raise UsageError(
            "shards have no copy of the whole model: train the teacher in a link before"
        )
    return None


def train_model(
    model: Model,
    regime: Regime,
    seed: int,
    execution: Execution = DEFAULT_EXECUTION,
    progress: loop.Progress = lambda step, steps, loss: None,
    snapshots: SnapshotStore | None = None,
    before: Trained | None = None,
) -> tuple[Weights, loop.TrainingLog]:
    """Train `model` under `regime` from scratch, or from the snapshot that `snapshots` has.

    before: what links before have trained; the order of batches goes on after theirs. Returns the
    whole weights on the CPU, in every process, and the log. Its CPU time is that of all processes
    together. Raises as `set_up` and `loop.train` do.
    """
    ready = set_up(model, regime, seed, execution, before)
    seen = before.steps * execution.accumulate if before is not None else 0
    log = loop.train(
        ready.module,
        itertools.islice(model.batches(seed), seen, None),
        ready.loss_of,
        ready.plan,
        ready.hook,
        execution,
        progress,
        snapshots,
    )
    log.cpu_s = distributed.mean(log.cpu_s) * distributed.count()
    return distributed.whole(ready.module), log
