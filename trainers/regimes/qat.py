"""Quantization-aware training: the forward pass sees rounded weights, the gradient passes straight.

Bengio, Leonard & Courville (arXiv 1308.3432): d round(x) / dx is taken for 1. The optimiser moves
float weights by the gradient found at the rounded ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import nn

from slashbench.contracts import Regime, TrainingHook, TrainingPlan
from slashbench.selector import spell_value
from slashbench.trainers.training.parameters import (
    Scope,
    in_scope,
    local,
    with_step_sizes,
)


class StraightThrough(TrainingHook):
    """Rounds parameters to a grid during forward and backward passes.

    step: of the grid; `grids` holds it for each parameter, and may be given one a row, shape
    (rows,). begin: the first training step, counted from 0, that sees rounded weights.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], step: float, begin: int) -> None:
        self.parameters = list(parameters.values())
        self.begin = begin
        self.grids = [torch.tensor(step, device=p.device) for p in self.parameters]
        self.steps = 0  # done
        self._floats: list[torch.Tensor] | None = None

    @torch.no_grad()
    def before_forward(self) -> None:
        """Keep the float weights aside and round those in place."""
        if self.steps < self.begin or self._floats is not None:
            return
        self._floats = [local(parameter).clone() for parameter in self.parameters]
        self.round()

    @torch.no_grad()
    def before_step(self) -> None:
        """Put the float weights back: the optimiser's step acts on them."""
        if self._floats is not None:
            for parameter, floats in zip(self.parameters, self._floats, strict=True):
                local(parameter).copy_(floats)
            self._floats = None

    def after_step(self) -> None:
        """Count the step."""
        self.steps += 1

    @torch.no_grad()
    def round(self) -> None:
        """Round the parameters in place."""
        for parameter, steps in zip(self.parameters, self.grids, strict=True):
            for step, part in with_step_sizes(steps, local(parameter)):
                part.div_(step).round_().mul_(step)

    def state(self) -> dict[str, torch.Tensor]:
        """The number of steps done."""
        return {"steps": torch.tensor(self.steps)}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Count on from there."""
        self.steps = int(state["steps"])


class QuantizationAware(Regime):
    """Train through the rounding of all matrices to one uniform step (straight-through estimator).

    step: of the grid, and of the quantiser that a recipe without one gets. begin: share of the
    steps before weights are rounded, so that small initial weights don't all become zero.
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("step",)

    def __init__(
        self, step: float = 2.0**-4, begin: float = 0.3, scope: Scope = "matrices"
    ) -> None:
        check_grid(step)
        check_share(begin)
        self.step, self.begin, self.scope = step, begin, scope

    def hook(self, parameters: Mapping[str, nn.Parameter], plan: TrainingPlan) -> StraightThrough:
        """Rounding of the parameters in scope. Raises UsageError when there are none."""
        chosen = in_scope(parameters, self.scope)
        return StraightThrough(chosen, self.step, round(self.begin * plan.steps))

    @property
    def quantiser(self) -> str:
        """Rounding to the same grid."""
        return quantiser(self.step, self.scope)


def quantiser(step: float, scope: Scope) -> str:
    """The selector of the uniform quantiser that rounds as training did."""
    return f"quantize:step={spell_value(step)}:scope={scope}"


def check_grid(step: float) -> None:
    """Raises ValueError for a step that can't be."""
    if not (step > 0 and math.isfinite(step)):
        raise ValueError(f"step={step} must be a finite number > 0")


def check_share(begin: float) -> None:
    """Raises ValueError for a share of the run that can't be."""
    if not 0 <= begin < 1:
        raise ValueError(f"begin={begin} is a share of the steps, in [0, 1)")
