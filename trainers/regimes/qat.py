"""Quantization-aware training: the forward pass sees rounded weights, the gradient passes straight.

Bengio, Leonard & Courville (arXiv 1308.3432): d round(x) / dx is taken for 1. The optimiser moves
float weights by the gradient found at the rounded ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

import torch
from torch import nn

from slashbench import validate
from slashbench.contracts import Course, Regime, TrainingHook, TrainingPlan
from slashbench.selector import spell_value
from slashbench.trainers.numerics.drift import Drift
from slashbench.trainers.training.parameters import (
    Scope,
    frozen,
    in_scope,
    is_narrow,
    local,
    widened,
    with_step_sizes,
)
from slashbench.trainers.training.schedule import begun


class StraightThrough(TrainingHook):
    """Round parameters to a grid during forward and backward passes.

    Parameters
    ----------
    parameters : mapping of str to nn.Parameter
        To round. Those that are not trained are rounded too, as they will be in the file.
    step_size : float
        Of the grid, in units of the weights. `step_sizes` holds it for each parameter, and may be
        given one a row, shape (rows,).
    begin : int
        The first training step, counted from 0, that sees rounded weights.
    plan : TrainingPlan
        Of the run: for how far weights can travel on the grid.
    growing : int
        Training steps from `begin` on in which rounding grows in: the pass sees a mix of float and
        rounded weights (alpha-blending, Liu & Mattina, arXiv 1903.01061).
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        step_size: float,
        begin: int,
        plan: TrainingPlan,
        growing: int = 0,
    ) -> None:
        self.parameters = dict(parameters)
        self.drift = Drift(step_size, begin, plan)
        self.begin, self.growing = begin, growing
        self.step_sizes = {
            name: torch.tensor(step_size, device=p.device) for name, p in parameters.items()
        }
        self.steps = 0  # done
        self._floats: dict[str, torch.Tensor] | None = None

    @torch.no_grad()
    def before_forward(self) -> None:
        """Keep the float weights aside and round those in place."""
        if self.steps < self.begin or self._floats is not None:
            return
        self._floats = {name: local(p).clone() for name, p in self.parameters.items()}
        if self.steps == self.begin:
            self.drift.start(self.parameters, self.step_sizes)
        self.round(self.parameters)
        done = self.steps - self.begin
        if done < self.growing:
            for name, floats in self._floats.items():
                local(self.parameters[name]).lerp_(floats, 1 - done / self.growing)

    @torch.no_grad()
    def before_step(self) -> None:
        """Put the float weights back: the optimiser's step acts on them."""
        if self._floats is not None:
            for name, floats in self._floats.items():
                local(self.parameters[name]).copy_(floats)
            self._floats = None

    def after_step(self) -> None:
        """Count the training step."""
        self.steps += 1
        self.drift.follow(self.steps, self.parameters, self.step_sizes)

    def log(self) -> dict[str, float]:
        """Return `drift` and `moved`, as `Drift` has them; empty before rounding begins."""
        return self.drift.log()

    @torch.no_grad()
    def round(self, names: Iterable[str]) -> None:
        """Round these parameters in place."""
        for name in names:
            weights = local(self.parameters[name])
            for step_size, part in with_step_sizes(self.step_sizes[name], weights):
                rounded = widened(part).div_(step_size).round_().mul_(step_size)
                if is_narrow(part):
                    part.copy_(rounded)

    def state(self) -> dict[str, torch.Tensor]:
        """Return the number of training steps done, and where rounding began."""
        return {"steps": torch.tensor(self.steps), **self.drift.state()}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Count on from there."""
        self.steps = int(state["steps"])
        self.drift.load_state(state)


class QuantizationAware(Regime):
    """Train through the rounding of all matrices to one step size (straight-through estimator).

    Parameters
    ----------
    step : float
        Step size of the grid, in units of the weights, and of the quantiser that a recipe without
        one gets.
    begin : float
        Share of the training steps before weights are rounded, so that small initial weights do
        not all become zero.
    scope : {"matrices", "all"}
        What is rounded: parameters of two and more dimensions, or all. Frozen ones are rounded in
        the forward pass too, as they will be in the file.
    longer, peak, distil, fresh
        The course of the training: see `Course`.

    References
    ----------
    Y. Bengio, N. Leonard, A. Courville: Estimating or Propagating Gradients Through Stochastic
    Neurons. arXiv 1308.3432, section 4.
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("step",)
    added_settings: ClassVar[tuple[str, ...]] = ("longer", "peak", "distil", "fresh")

    def __init__(
        self,
        step: float = 2.0**-4,
        begin: float = 0.3,
        scope: Scope = "matrices",
        longer: float = 1.0,
        peak: float = 1.0,
        distil: float = 0.0,
        fresh: bool = False,
    ) -> None:
        validate.positive(step=step)
        validate.share(begin=begin)
        validate.choice(Scope, scope=scope)
        self.step, self.begin, self.scope = step, begin, scope
        self.course = Course(longer=longer, peak=peak, distil=distil, fresh=fresh)

    def first_rounded(self, plan: TrainingPlan) -> int:
        """Return the step at which rounding begins."""
        return begun(self.begin, plan)

    def hook(self, parameters: Mapping[str, nn.Parameter], plan: TrainingPlan) -> StraightThrough:
        """Return the rounding of the parameters in scope. Raises UsageError if there are none."""
        rounded = {**in_scope(parameters, self.scope), **frozen(parameters, self.scope)}
        return StraightThrough(rounded, self.step, self.first_rounded(plan), plan)

    @property
    def quantiser(self) -> str:
        """Rounding to the same grid."""
        return quantiser(self.step, self.scope)


def quantiser(step_size: float, scope: Scope) -> str:
    """Return the selector of the uniform quantiser that rounds as training did."""
    return f"quantize:step={spell_value(step_size)}:scope={scope}"
