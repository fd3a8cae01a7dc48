"""Schedules over training: the learning rate, and the strength of a term."""

from __future__ import annotations

import math
from dataclasses import dataclass

from slashbench.contracts import TrainingPlan
from slashbench.errors import BadSetting


@dataclass(frozen=True, slots=True)
class Strength:
    """Factor in [0, 1] on a Lagrange multiplier over a training run.

    Parameters
    ----------
    steps : int
        Training steps of the run.
    warmup : float
        Share of the run, at the start, in which the factor grows linearly.
    finetune : float
        Share of the run, at the end, in which it is 0 (BackSlash's optional plain fine-tuning).
    """

    steps: int
    warmup: float = 0.0
    finetune: float = 0.0

    def __post_init__(self) -> None:
        shares = (self.warmup, self.finetune)
        if not (all(share >= 0 for share in shares) and sum(shares) <= 1):
            raise BadSetting(
                f"warmup={self.warmup} and finetune={self.finetune} are shares of the run: "
                "none below 0, both together at most 1"
            )

    def at(self, step: int) -> float:
        """Return the factor at `step`, counted from 0; 1 on the plateau.

        >>> [Strength(10, warmup=0.2, finetune=0.3).at(step) for step in range(10)]
        [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0]
        """
        if step >= round(self.steps * (1 - self.finetune)):
            return 0.0
        return min(1.0, (step + 1) / max(round(self.steps * self.warmup), 1))


def begun(share: float, plan: TrainingPlan) -> int:
    """Return the step, counted from 0, that begins after this share of a run; the last at most.

    >>> plan = TrainingPlan(steps=10, learning_rate=0.1, warmup=0)
    >>> begun(0.3, plan), begun(0.99, plan)
    (3, 9)
    """
    return min(round(share * plan.steps), plan.steps - 1)


def learning_rate(step: int, plan: TrainingPlan) -> float:
    """Return the learning rate at `step`, counted from 0: a linear warm-up, then a cosine to 0."""
    if step < plan.warmup:
        return plan.learning_rate * ((step + 1) / plan.warmup)
    remaining = (plan.steps - step) / max(plan.steps - plan.warmup, 1)
    return plan.learning_rate * (0.5 * (1.0 - math.cos(math.pi * remaining)))
