"""BackSlash with the quantiser and the coder in the loop.

Minimise L(round(theta)) + lam * R(theta), R the bits per parameter that a coder with a table per
tensor spends on round(theta / step). It differs from the paper's Algorithm 1 in three points: the
loss sees the rounded weights (straight-through estimator), the rate is that of the integers' own
histogram in place of |theta|^shape, tensor by tensor, and lam weighs bits, so that it does not
depend on the scale of the weights. As in Algorithm 1 the term is part of the gradient: the
optimiser weighs it against the loss weight by weight.

Related: entropy-constrained training (Wiedemann, Marban, Mueller & Samek, arXiv 1812.07520).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
from torch import nn

from slashbench.contracts import Penalty, Regime, TrainingPlan
from slashbench.errors import TrainingDiverged
from slashbench.trainers import codelength
from slashbench.trainers.backslash import check_multiplier
from slashbench.trainers.schedule import Strength
from slashbench.trainers.straight_through import (
    StraightThrough,
    check_grid,
    check_share,
    quantiser,
)
from slashbench.trainers.target import RatePenalty, Targeted
from slashbench.trainers.target import parse as target_bits
from slashbench.trainers.tensors import Scope, in_scope, local, paired, sum_over_ranks

#: Steps between two histograms: the lengths change slowly.
REFRESH = 10


class CodeLength(RatePenalty):
    """Adds lam / Np * d(code length) / d(theta) to the gradient; rounds the weights in between."""

    def __init__(
        self, rounding: StraightThrough, lam: float, strength: Callable[[int], float]
    ) -> None:
        self.rounding, self.lam, self.strength = rounding, lam, strength
        self.parameters, self.step = rounding.parameters, rounding.step
        self.count = sum(p.numel() for p in self.parameters)
        self.counts = torch.zeros(
            len(self.parameters),
            codelength.LARGEST + 1,
            dtype=torch.float64,
            device=self.parameters[0].device,
        )
        self._seen: dict[str, float] = {}

    def before_forward(self) -> None:
        """Round the weights."""
        self.rounding.before_forward()

    @torch.no_grad()
    def add_gradient(self) -> None:
        """Put the float weights back and add the rate's gradient."""
        self.rounding.add_gradient()
        steps = self.rounding.steps
        if steps % REFRESH == 0:
            self._recount()
        lam = self.lam * self.strength(steps)
        self._seen["lam"] = lam
        if lam == 0:
            return
        for parameter, counts in zip(self.parameters, self.counts, strict=True):
            if parameter.grad is None:
                continue
            slopes = codelength.slopes(counts, self.step)
            for part, grad in paired(local(parameter), local(parameter.grad)):
                place = part.abs().div_(self.step).clamp_(max=codelength.LARGEST)
                slope = slopes[place.to(torch.int32)]
                grad.addcmul_(part.sign(), slope, value=lam / self.count)

    def after_step(self) -> None:
        """Count the step."""
        self.rounding.after_step()

    def log(self) -> dict[str, float]:
        """Of the last histogram: order-0 entropy in bits per parameter in scope, share of zeros;
        and lam as it was in force.
        """
        return dict(self._seen)

    def state(self) -> dict[str, torch.Tensor]:
        """The number of steps done and the histograms in use."""
        return {**self.rounding.state(), "counts": self.counts}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on with those histograms."""
        self.rounding.load_state(state)
        self.counts = state["counts"].to(self.counts.device)
        self._summarise()

    def _recount(self) -> None:
        for row, parameter in zip(self.counts, self.parameters, strict=True):
            row.copy_(codelength.count(local(parameter), self.step))
        sum_over_ranks(self.counts, self.parameters)
        self._summarise()
        zeros = float(self.counts[:, 0].sum())
        if zeros == self.count and self.rounding.steps >= self.rounding.begin:
            raise TrainingDiverged(
                f"all weights in scope round to zero at step {self.step:g} with lam={self.lam:g}; "
                "lower lam, choose a finer step, or begin later"
            )

    def _summarise(self) -> None:
        bits = sum(codelength.entropy(counts) for counts in self.counts)
        zeros = float(self.counts[:, 0].sum())
        self._seen |= {"bits": bits / self.count, "zeros": zeros / self.count}


class BackSlashQ(Regime):
    """Minimise loss(rounded weights) + lam * bits per parameter, as an entropy coder counts them.

    lam: Lagrange multiplier, nats of loss for a bit per parameter. step: of the grid, and of the
    quantiser that a recipe without one gets. begin: share of the steps before weights are rounded
    in the forward pass. rise: share of the steps, from the first one on, in which lam grows from 0.
    target: such as 1.5bits: lam is only where the search for the multiplier starts that ends at so
    many bits per parameter in scope.
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("lam", "step")

    def __init__(
        self,
        lam: float = 1.0,
        step: float = 2.0**-4,
        begin: float = 0.3,
        rise: float = 0.2,
        scope: Scope = "matrices",
        target: str = "",
    ) -> None:
        check_multiplier(lam)
        check_grid(step)
        check_share(begin)
        self.bits = target_bits(target)
        self.lam, self.step, self.begin, self.rise, self.scope = lam, step, begin, rise, scope

    def penalty(self, parameters: Mapping[str, nn.Parameter], plan: TrainingPlan) -> Penalty:
        """The code length of the parameters in scope. Raises UsageError when there are none."""
        chosen = in_scope(parameters, self.scope)
        rounding = StraightThrough(chosen, self.step, round(self.begin * plan.steps))
        term = CodeLength(rounding, self.lam, Strength(plan.steps, rise=self.rise).at)
        return term if self.bits is None else Targeted(term, self.bits, self.step, plan.steps)

    @property
    def quantiser(self) -> str:
        """Rounding to the same grid."""
        return quantiser(self.step, self.scope)
