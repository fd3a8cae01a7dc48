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
from typing import ClassVar, Literal

import torch
from torch import nn

from slashbench.contracts import Regime, TrainingHook, TrainingPlan
from slashbench.errors import TrainingDiverged
from slashbench.selector import spell_value
from slashbench.trainers.numerics import code_length
from slashbench.trainers.numerics.row_sensitivity import RowSensitivity
from slashbench.trainers.regimes.backslash import check_multiplier
from slashbench.trainers.regimes.qat import (
    StraightThrough,
    check_grid,
    check_share,
    quantiser,
)
from slashbench.trainers.regimes.target_rate import RateTerm, Targeted
from slashbench.trainers.regimes.target_rate import parse as target_bits
from slashbench.trainers.training.parameters import (
    Scope,
    in_scope,
    local,
    sum_over_ranks,
    with_step_sizes,
)
from slashbench.trainers.training.schedule import Strength

#: Steps between two histograms: the lengths change slowly.
REFRESH = 10


Granularity = Literal["tensor", "channel"]


class CodeLength(RateTerm):
    """Adds lam / Np * d(code length) / d(theta) to the gradient; rounds the weights in between."""

    def __init__(
        self, rounding: StraightThrough, lam: float, strength: Callable[[int], float]
    ) -> None:
        self.rounding, self.lam, self.strength = rounding, lam, strength
        self.parameters = rounding.parameters
        self.count = sum(p.numel() for p in self.parameters)
        self.counts = torch.zeros(
            len(self.parameters),
            code_length.LARGEST + 1,
            dtype=torch.float64,
            device=self.parameters[0].device,
        )
        self._seen: dict[str, float] = {}

    def before_forward(self) -> None:
        """Round the weights."""
        self.rounding.before_forward()

    @torch.no_grad()
    def before_step(self) -> None:
        """Put the float weights back and add the rate's gradient."""
        self.rounding.before_step()
        steps = self.rounding.steps
        if steps % REFRESH == 0:
            self.recount()
        lam = self.lam * self.strength(steps)
        self._seen["lam"] = lam
        if lam == 0:
            return
        grids = self.rounding.grids
        for parameter, grid, counts in zip(self.parameters, grids, self.counts, strict=True):
            if parameter.grad is None:
                continue
            slopes = code_length.slopes(counts)
            for step, part, grad in with_step_sizes(grid, local(parameter), local(parameter.grad)):
                place = part.abs().div_(step).clamp_(max=code_length.LARGEST)
                slope = slopes[place.to(torch.int32)].div_(step)
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

    @torch.no_grad()
    def recount(self) -> None:
        """Take the histograms anew. Raises TrainingDiverged where all weights round to zero."""
        for row, parameter, grid in zip(
            self.counts, self.parameters, self.rounding.grids, strict=True
        ):
            row.copy_(code_length.count(local(parameter), grid))
        sum_over_ranks(self.counts, self.parameters)
        self._summarise()
        if self._seen["zeros"] == 1.0 and self.rounding.steps >= self.rounding.begin:
            raise TrainingDiverged(
                f"all weights in scope round to zero with lam={self.lam:g}; lower lam, choose a "
                "finer step, or begin later"
            )

    def _summarise(self) -> None:
        bits = sum(code_length.entropy(counts) for counts in self.counts)
        zeros = float(self.counts[:, 0].sum())
        self._seen |= {"bits": bits / self.count, "zeros": zeros / self.count}


class ByRow(CodeLength):
    """The same on a grid with a step for each row, set when rounding begins.

    The gradients of the second half of the steps before that say how much the loss feels a row. In
    the end the weights are left on the grid, where the quantiser `ongrid` finds them.
    """

    def __init__(
        self,
        rounding: StraightThrough,
        lam: float,
        strength: Callable[[int], float],
        step: float,
    ) -> None:
        super().__init__(rounding, lam, strength)
        self.step = step
        self.sensitivity = RowSensitivity(self.parameters)

    def before_forward(self) -> None:
        """Set the steps where rounding begins; round the weights."""
        if self.rounding.steps == self.rounding.begin:
            self._set_steps()
            self.recount()
        super().before_forward()

    def before_step(self) -> None:
        """Look at the loss's gradient while there is time; then as for one step."""
        if self.rounding.begin // 2 <= self.rounding.steps < self.rounding.begin:
            self.sensitivity.observe()
        super().before_step()

    def finish(self) -> None:
        """Leave the weights on the grid."""
        self.rounding.round()

    def state(self) -> dict[str, torch.Tensor]:
        """And what was felt so far, from which the steps follow."""
        return {
            **super().state(),
            **{f"sensitivity.{i}": s for i, s in enumerate(self.sensitivity.sums)},
        }

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on with the same steps."""
        for index, sums in enumerate(self.sensitivity.sums):
            sums.copy_(state[f"sensitivity.{index}"])
        super().load_state(state)
        if self.rounding.steps > self.rounding.begin:
            self._set_steps()

    def _set_steps(self) -> None:
        self.rounding.grids = self.sensitivity.step_sizes(self.step)


class BackSlashQ(Regime):
    """Minimise loss(rounded weights) + lam * bits per parameter, as an entropy coder counts them.

    lam: Lagrange multiplier, nats of loss for a bit per parameter. step: of the grid, and of the
    quantiser that a recipe without one gets. begin: share of the steps before weights are rounded
    in the forward pass. warmup: share of the steps, from the first on, in which lam grows from 0.
    granularity: one step size for all matrices (`tensor`), or one for each row (`channel`), finer
    in sensitive rows, `step` being their geometric mean.
    target: such as 1.5bits: lam is only where the search for the multiplier starts that ends at so
    many bits per parameter in scope; for one step.
    """

    shards: ClassVar[bool] = True
    always_spelled: ClassVar[tuple[str, ...]] = ("lam", "step")

    def __init__(
        self,
        lam: float = 1.0,
        step: float = 2.0**-4,
        begin: float = 0.3,
        warmup: float = 0.2,
        scope: Scope = "matrices",
        granularity: Granularity = "tensor",
        target: str = "",
    ) -> None:
        check_multiplier(lam)
        check_grid(step)
        check_share(begin)
        self.bits = target_bits(target)
        if granularity == "channel" and (
            scope != "matrices" or self.bits is not None or begin == 0
        ):
            raise ValueError("granularity=channel is for matrices, begin above 0 and no target")
        self.lam, self.step, self.begin, self.warmup = lam, step, begin, warmup
        self.scope, self.granularity = scope, granularity

    def hook(self, parameters: Mapping[str, nn.Parameter], plan: TrainingPlan) -> TrainingHook:
        """The code length of the parameters in scope. Raises UsageError when there are none."""
        chosen = in_scope(parameters, self.scope)
        rounding = StraightThrough(chosen, self.step, round(self.begin * plan.steps))
        strength = Strength(plan.steps, warmup=self.warmup).at
        if self.granularity == "channel":
            return ByRow(rounding, self.lam, strength, self.step)
        term = CodeLength(rounding, self.lam, strength)
        return term if self.bits is None else Targeted(term, self.bits, self.step, plan.steps)

    @property
    def quantiser(self) -> str:
        """Rounding to the same grid."""
        if self.granularity == "channel":
            return f"ongrid:step={spell_value(self.step)}"  # which frozen matrices are rounded to
        return quantiser(self.step, self.scope)
