"""Time training regimes side by side in one process.

A round is one batch: a plain training step on it and one under each regime. The order rotates from
round to round, so that a long batch or a slow moment of the machine affects all alike. Only the
second half of the rounds counts: by then every regime acts.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from slashbench.bench.machine import locks, provenance
from slashbench.contracts import Model, Regime, TrainingHook
from slashbench.errors import UsageError
from slashbench.link import Link
from slashbench.record import Samples, TrainerSpeed
from slashbench.trainers.regimes.plain import Plain
from slashbench.trainers.training import loop, setup
from slashbench.trainers.training.step import TrainingStep

#: Regimes that are timed if none are named.
DEFAULT_REGIMES = (
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
    ready = setup.set_up(model.item, Plain(), 0)
    named = dict(ready.module.named_parameters())
    short = dataclasses.replace(plan, steps=rounds)
    still = dataclasses.replace(short, learning_rate=plan.learning_rate / 1000)
    step = TrainingStep(ready.module, ready.loss_of, still)  # weights hardly move
    racing = [_RegimeContestant(PLAIN, ready.hook)]
    racing += [_RegimeContestant(link.text, link.item.hook(named, short)) for link in regimes]
    batches = model.item.batches(0)
    with locks.alone(), loop.threads(model.item.threads):
        ready.module.train()
        for turn in range(rounds):
            batch = next(batches)
            first = turn % len(racing)
            for at, one in enumerate(racing[first:] + racing[:first]):
                progress(f"{model.text}: {one.name}", (turn + at / len(racing)) / rounds)
                one.take(step, batch, turn, counts=turn >= rounds // 2)
    return [
        TrainerSpeed(
            regime=one.name,
            model=model.text,
            machine=provenance.machine(),
            n_parameters=sum(p.numel() for p in named.values()),
            step=Samples(wall_ns=one.wall_ns, cpu_ns=one.cpu_ns, warmup=rounds // 2),
            regime_ns=one.regime_ns,
        )
        for one in racing
    ]


class _RegimeContestant:
    """A regime and what its steps took."""

    def __init__(self, name: str, hook: TrainingHook) -> None:
        self.name, self.hook = name, _Timed(hook)
        self.wall_ns: list[int] = []
        self.cpu_ns: list[int] = []
        self.regime_ns: list[int] = []

    def take(self, step: TrainingStep, batch: Any, turn: int, *, counts: bool) -> None:
        """Take one step; keep its times if it counts."""
        self.hook.spent_ns = 0
        wall, cpu = time.perf_counter_ns(), time.process_time_ns()
        step.take(iter([batch]), self.hook, turn)
        self.hook.log()
        if counts:
            self.wall_ns.append(time.perf_counter_ns() - wall)
            self.cpu_ns.append(time.process_time_ns() - cpu)
            self.regime_ns.append(self.hook.spent_ns)


class _Timed(TrainingHook):
    """Times what a hook does."""

    def __init__(self, hook: TrainingHook) -> None:
        self.hook, self.spent_ns = hook, 0

    def before_forward(self) -> None:
        with self._timed():
            self.hook.before_forward()

    def before_step(self) -> None:
        with self._timed():
            self.hook.before_step()

    def after_step(self) -> None:
        with self._timed():
            self.hook.after_step()

    def log(self) -> dict[str, float]:
        with self._timed():
            return self.hook.log()

    @contextmanager
    def _timed(self) -> Iterator[None]:
        started = time.perf_counter_ns()
        yield
        self.spent_ns += time.perf_counter_ns() - started
