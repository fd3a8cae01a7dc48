"""A Lagrange multiplier that finds itself: training to a wanted code length.

Dual ascent: the multiplier grows while the weights cost more bits than wanted and falls while they
cost less. What is wanted falls from what they cost at first to the target, so that no step is
violent. One run finds what a bisection over runs would.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import torch
from torch import nn

from slashbench.contracts import TrainingHook
from slashbench.trainers.numerics import code_length
from slashbench.trainers.training.parameters import local, sum_over_ranks

REFRESH = 10  # steps between two looks at the code length
GAIN = 0.5  # log of the factor on the multiplier when the length is e times what is wanted
TREND = 4.0  # looks ahead: the length is judged by where it is going
ARRIVAL = 0.5  # share of the run after which the target itself is wanted


class RateTerm(TrainingHook):
    """A rate term over parameters, with a Lagrange multiplier."""

    lam: float
    parameters: list[nn.Parameter]


class Targeted(TrainingHook):
    """Steers `inner.lam` so that the parameters, rounded to `step`, end at `bits` of order-0
    entropy per parameter in scope. steps: of the whole run.
    """

    def __init__(self, inner: RateTerm, bits: float, step: float, steps: int) -> None:
        self.inner, self.bits, self.step, self.total = inner, bits, step, steps
        self.steps = 0  # done
        self.first = self.last = math.nan  # bits per parameter at the first and the last look

    def before_forward(self) -> None:
        """Measure the code length if it is time and steer; then pass on to the rate term."""
        if self.steps % REFRESH == 0:
            self._steer(self._measure())
        self.inner.before_forward()

    def before_step(self) -> None:
        """Pass on to the rate term."""
        self.inner.before_step()

    def after_step(self) -> None:
        """Pass on to the rate term."""
        self.inner.after_step()
        self.steps += 1

    def log(self) -> dict[str, float]:
        """Return what the rate term logs, and bits per parameter when last measured."""
        return {**self.inner.log(), "bits": self.last}

    def state(self) -> dict[str, torch.Tensor]:
        """Return the rate term's state, the multiplier and what was measured."""
        seen = [self.steps, self.inner.lam, self.first, self.last]
        return {**self.inner.state(), "target": torch.tensor(seen, dtype=torch.float64)}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on with that multiplier."""
        self.inner.load_state(state)
        steps, self.inner.lam, self.first, self.last = state["target"].tolist()
        self.steps = int(steps)

    @torch.no_grad()
    def _measure(self) -> float:
        step = torch.tensor(self.step)
        counts = torch.stack([code_length.count(local(p), step) for p in self.inner.parameters])
        counts = sum_over_ranks(counts, self.inner.parameters)
        return sum(map(code_length.entropy, counts)) / float(counts.sum())

    def _steer(self, bits: float) -> None:
        if math.isnan(self.first):
            self.first = self.last = bits
        left = max(0.0, 1.0 - self.steps / (ARRIVAL * self.total))
        wanted = max(self.bits, self.bits + left * (self.first - self.bits))
        ahead = max(bits + TREND * (bits - self.last), 1e-3)
        change = GAIN * math.log(ahead / wanted)
        self.inner.lam *= math.exp(min(max(change, -1.0), 1.0))
        self.last = bits


def parse(text: str) -> float | None:
    """`2.0bits` -> 2.0, empty -> None. Raises ValueError for anything else."""
    if not text:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)bits", text)
    if not found or float(found[1]) == 0:
        raise ValueError(f"target={text!r} is not of the form 2.0bits (bits per parameter)")
    return float(found[1])
