"""What training regimes cost, side by side in one process.

Every round is one batch: a plain training step on it and one under each regime, the first of them
another one each round, so that long batches and a slow machine hit all alike. Only the second half
of the rounds counts: by then every regime acts.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from slashbench.bench.machine import timing
from slashbench.contracts import Model, Regime, TrainingHook
from slashbench.errors import UsageError
from slashbench.link import Link
from slashbench.record import Samples, TrainerSpeed
from slashbench.trainers.training import loop

USUAL = (
    "backslash:lam=200:update=gradient:scope=matrices,"
    "backslash:lam=200:update=gradient:scope=matrices:every=4,"
    "backslash:lam=200:update=proximal:scope=matrices,"
    "backslash:lam=200:update=proximal:scope=matrices:every=4,"
    "backslash-q,qat,norm:p=1,gradual-prune"
)
PLAIN = "plain"

Progress = Callable[[str, float], None]


def run(
    model: Link[Model], regimes: Sequence[Link[Regime]], rounds: int, progress: Progress
) -> list[TrainerSpeed]:
    """Time `rounds` steps of training `model`, plain and under each regime.

    Raises UsageError for a model that is not trained here, or fewer than 2 rounds.
    """
    plan = model.item.plan
    if plan is None:
        raise UsageError(f"{model.name} is not trained here; `bench list models` shows which are")
    if rounds < 2:
        raise UsageError("at least 2 rounds: the first half of them is warm-up")
    loop.seed_everything(0)
    module = model.item.build(0)
    named = dict(module.named_parameters())
    short = dataclasses.replace(plan, steps=rounds)
    racing = [_Contestant(PLAIN, TrainingHook())]
    racing += [_Contestant(link.text, link.item.hook(named, short)) for link in regimes]
    batches = model.item.batches(0)
    step = _Step(module, model.item, plan.learning_rate / 1000)  # weights hardly move
    with timing.alone(), loop.threads(model.item.threads):
        module.train()
        for turn in range(rounds):
            batch = next(batches)
            first = turn % len(racing)
            for at, one in enumerate(racing[first:] + racing[:first]):
                progress(f"{model.text}: {one.name}", (turn + at / len(racing)) / rounds)
                one.add(*step.take(batch, one.hook), counts=turn >= rounds // 2)
    return [
        TrainerSpeed(
            regime=one.name,
            model=model.text,
            machine=timing.machine(),
            n_parameters=sum(p.numel() for p in named.values()),
            step=Samples(wall_ns=one.wall_ns, cpu_ns=one.cpu_ns, warmup=rounds // 2),
            regime_ns=one.regime_ns,
        )
        for one in racing
    ]


class _Contestant:
    """A regime and what its steps took."""

    def __init__(self, name: str, hook: TrainingHook) -> None:
        self.name, self.hook = name, hook
        self.wall_ns: list[int] = []
        self.cpu_ns: list[int] = []
        self.regime_ns: list[int] = []

    def add(self, wall: int, cpu: int, regime: int, *, counts: bool) -> None:
        """Keep one step's times, if it counts."""
        if counts:
            self.wall_ns.append(wall)
            self.cpu_ns.append(cpu)
            self.regime_ns.append(regime)


class _Step:
    """One training step as the loop takes it, with the time spent in the hook apart."""

    def __init__(self, module: nn.Module, model: Model, learning_rate: float) -> None:
        self.module, self.model = module, model
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=learning_rate, fused=True)
        self.regime_ns = 0

    def take(self, batch: Any, hook: TrainingHook) -> tuple[int, int, int]:
        """(wall, CPU, wall in the hook) nanoseconds."""
        self.regime_ns = 0
        wall, cpu = time.perf_counter_ns(), time.process_time_ns()
        self.optimizer.zero_grad(set_to_none=True)
        with self._in_regime():
            hook.before_forward()
        loss = self.model.loss(self.module, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        with self._in_regime():
            hook.before_step()
        self.optimizer.step()
        with self._in_regime():
            hook.after_step()
            hook.log()
        loss.item()
        return time.perf_counter_ns() - wall, time.process_time_ns() - cpu, self.regime_ns

    @contextmanager
    def _in_regime(self) -> Iterator[None]:
        started = time.perf_counter_ns()
        yield
        self.regime_ns += time.perf_counter_ns() - started
