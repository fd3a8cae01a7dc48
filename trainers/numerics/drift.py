"""The drift budget: how far training lets weights travel on their grid once rounding has begun.

An optimiser such as AdamW moves a weight by about the learning rate a step at most, so the sum of
learning rates over the step size bounds the integers that a weight can pass. Where it is far below
1, training through the rounding can change next to nothing, whatever its loss.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from slashbench.contracts import TrainingPlan
from slashbench.trainers.training.parameters import local, sum_over_ranks, widened, with_step_sizes
from slashbench.trainers.training.schedule import learning_rate

#: Training steps between two looks at the weights.
REFRESH = 20
_LARGEST = 2**15 - 1  # integers are compared as int16; those beyond count as one
_FIRST = "first."


class Drift:
    """Follow how far weights can travel on a grid, and which have left the integer they began at.

    Parameters
    ----------
    step_size : float
        Of the grid: the geometric mean over all weights.
    begin : int
        The first training step, counted from 0, that sees rounded weights.
    plan : TrainingPlan
        Of the run.
    """

    def __init__(self, step_size: float, begin: int, plan: TrainingPlan) -> None:
        self.step_size, self.begin, self.plan = step_size, begin, plan
        self._first: dict[str, torch.Tensor] = {}
        self._seen: dict[str, float] = {}

    def start(
        self, parameters: Mapping[str, nn.Parameter], step_sizes: Mapping[str, torch.Tensor]
    ) -> None:
        """Remember the integers that trained parameters begin at."""
        self._first = {
            name: _integers(local(parameter), step_sizes[name])
            for name, parameter in parameters.items()
            if parameter.requires_grad
        }

    @torch.no_grad()
    def follow(
        self,
        steps: int,
        parameters: Mapping[str, nn.Parameter],
        step_sizes: Mapping[str, torch.Tensor],
    ) -> None:
        """Look where weights are after `steps` training steps, now and then and after the last."""
        if not self._first or (steps % REFRESH and steps != self.plan.steps):
            return
        trained = [parameters[name] for name in self._first]
        sums = torch.zeros(len(trained), 2, dtype=torch.float64, device=trained[0].device)
        for row, parameter, (name, first) in zip(sums, trained, self._first.items(), strict=True):
            now = _integers(local(parameter), step_sizes[name])
            row[0] = (now != first.to(now.device)).sum()  # a snapshot leaves it on the CPU
            row[1] = first.numel()
        moved, count = sum_over_ranks(sums, trained).sum(0).tolist()
        self._seen = {"drift": self.budget(steps), "moved": moved / max(count, 1)}

    def budget(self, steps: int) -> float:
        """Return the sum of learning rates from `begin` on, over the first `steps`, in step sizes.

        >>> plan = TrainingPlan(steps=4, learning_rate=0.5, warmup=4)
        >>> Drift(0.25, 1, plan).budget(3)
        2.5
        """
        total = sum(learning_rate(step, self.plan) for step in range(self.begin, steps))
        return total / self.step_size

    def log(self) -> dict[str, float]:
        """Return figures of the last look, empty before the first.

        `drift`: the sum of learning rates since rounding began, in step sizes; `moved`: the share
        of weights whose integer is not the one they began at.
        """
        return dict(self._seen)

    def state(self) -> dict[str, torch.Tensor]:
        """Return the integers that weights began at, and the last figures."""
        seen = {key: torch.tensor(v, dtype=torch.float64) for key, v in self._seen.items()}
        return {**{f"{_FIRST}{name}": v for name, v in self._first.items()}, **seen}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Compare with those integers from now on."""
        first = {k.removeprefix(_FIRST): v for k, v in state.items() if k.startswith(_FIRST)}
        self._first = {name: integers.clone() for name, integers in first.items()}
        self._seen = {key: float(state[key]) for key in ("drift", "moved") if key in state}


def _integers(weights: torch.Tensor, step_sizes: torch.Tensor) -> torch.Tensor:
    """Return round(weights / step size) as int16."""
    parts = [
        widened(part).div(step_size).round_().clamp_(-_LARGEST, _LARGEST).to(torch.int16).view(-1)
        for step_size, part in with_step_sizes(step_sizes, weights)
    ]
    return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.int16)
