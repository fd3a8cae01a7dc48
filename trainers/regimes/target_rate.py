"""Training to a wanted code length: the Lagrange multiplier is found during the run.

Dual ascent: the multiplier grows while the weights cost more bits than wanted and falls while they
cost less. The wanted length falls from that at the start to the target, so that no step is large.
One run finds the multiplier that a bisection over runs would.
"""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import nn

from slashbench.contracts import TrainingHook
from slashbench.errors import BadSetting
from slashbench.trainers.numerics import code_length
from slashbench.trainers.training.parameters import local, sum_over_ranks

#: Training steps between two measurements of the code length.
REFRESH = 10
#: Log of the factor on the multiplier when the length is e times what is wanted.
GAIN = 0.5
#: Measurements ahead: the length is judged by where it is going.
TREND = 4.0
#: Share of the run after which the target itself is wanted.
ARRIVAL = 0.5


class RateTerm(TrainingHook):
    """A rate term over parameters, with a Lagrange multiplier."""

    lam: float

    @abstractmethod
    def constrained(self) -> list[nn.Parameter]:
        """Return the parameters that the term acts on now."""


class Targeted(TrainingHook):
    """Steer a rate term's multiplier so that training ends at a wanted code length.

    Parameters
    ----------
    term : RateTerm
        Whose `lam` is changed.
    bits : float
        Wanted order-0 entropy of the rounded weights, in bits per parameter in scope.
    step_size : float
        Weights are rounded to, in units of the weights.
    total : int
        Training steps of the whole run.
    """

    def __init__(self, term: RateTerm, bits: float, step_size: float, total: int) -> None:
        self.term, self.bits, self.step_size, self.total = term, bits, step_size, total
        self.steps = 0  # done
        self.first = self.last = math.nan  # bits per parameter when first and last measured

    def before_forward(self) -> None:
        """Measure the code length if it is time and steer; then pass on to the rate term."""
        if self.steps % REFRESH == 0:
            self._steer(self._measure())
        self.term.before_forward()

    def before_step(self) -> None:
        """Pass on to the rate term."""
        self.term.before_step()

    def after_step(self) -> None:
        """Pass on to the rate term."""
        self.term.after_step()
        self.steps += 1

    def finish(self) -> None:
        """Pass on to the rate term."""
        self.term.finish()

    def log(self) -> dict[str, float]:
        """Return what the rate term logs, and bits per parameter when last measured."""
        return {**self.term.log(), "bits": self.last}

    def state(self) -> dict[str, torch.Tensor]:
        """Return the rate term's state, the multiplier and what was measured."""
        seen = [self.steps, self.term.lam, self.first, self.last]
        return {**self.term.state(), "target": torch.tensor(seen, dtype=torch.float64)}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Continue with that multiplier."""
        self.term.load_state(state)
        steps, self.term.lam, self.first, self.last = state["target"].tolist()
        self.steps = int(steps)

    @torch.no_grad()
    def _measure(self) -> float:
        parameters = self.term.constrained()
        if not parameters:
            return self.last
        step_size = torch.tensor(self.step_size)
        counts = torch.stack([code_length.count(local(p), step_size) for p in parameters])
        counts = sum_over_ranks(counts, parameters)
        return sum(map(code_length.entropy, counts)) / float(counts.sum())

    def _steer(self, bits: float) -> None:
        if math.isnan(bits):
            return
        if math.isnan(self.first):
            self.first = self.last = bits
        left = max(0.0, 1.0 - self.steps / (ARRIVAL * self.total))
        wanted = max(self.bits, self.bits + left * (self.first - self.bits))
        ahead = max(bits + TREND * (bits - self.last), 1e-3)
        change = GAIN * math.log(ahead / wanted)
        self.term.lam *= math.exp(min(max(change, -1.0), 1.0))
        self.last = bits


def parse(text: str) -> float | None:
    """Read a target: `2.0bits` is 2.0, nothing is None. Raises BadSetting for anything else.

    >>> parse("2.0bits")
    2.0
    """
    if not text:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)bits", text)
    if not found or float(found[1]) == 0:
        raise BadSetting(f"target={text!r} is not of the form 2.0bits (bits per parameter)")
    return float(found[1])
