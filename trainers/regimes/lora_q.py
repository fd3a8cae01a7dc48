"""LoRA with the quantiser and the coder in the loop: factors of rank 1 that pay for their bits.

Minimise L(W0 + l r) + lam * R(l, r): l and r are rounded wherever the loss sees them, and R is the
bits per coded value that a coder spends on their integers. A factor's step size is relative to the
root mean square of its own rounded values, which is the unit that `stack` stores it in. So what the
loss saw is what a decoder makes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import nn

from slashbench import validate
from slashbench.contracts import TrainingPlan
from slashbench.selector import spell_value
from slashbench.trainers.numerics import code_length
from slashbench.trainers.numerics.base_units import unit_of_new
from slashbench.trainers.regimes.lora import Lora, LowRank, factored
from slashbench.trainers.training.schedule import Strength, begun

#: How much of a factor's last unit is kept: it and the rounded values depend on each other.
KEPT = 0.8


class PricedFactors(LowRank):
    """Round both factors in the forward pass, and add the slope of their rate to their gradients.

    Parameters
    ----------
    matrices : mapping of str to nn.Parameter
        What gets factors, of rank 1. The optimiser of the loop never moves them.
    new : mapping of str to nn.Parameter
        Parameters that are trained whole. They are rounded as well, and pay nothing.
    scale : float
        Factor on the product.
    plan : TrainingPlan
        Whose learning rates the factors have.
    step_size : float
        Of the grid of a factor, in units of the root mean square of its rounded values.
    new_step_size : float
        Of the grid of new parameters, in the weights' own unit.
    begin : int
        The first training step, counted from 0, that sees rounded factors.
    lam : float
        Nats of loss that a bit per coded value is worth.
    strength : Strength
        Factor on lam at a training step, counted from 0.
    """

    def __init__(
        self,
        matrices: Mapping[str, nn.Parameter],
        new: Mapping[str, nn.Parameter],
        scale: float,
        plan: TrainingPlan,
        step_size: float,
        new_step_size: float,
        begin: int,
        lam: float,
        strength: Strength,
    ) -> None:
        super().__init__(matrices, 1, scale, plan)
        self._places = {name: place for place, name in enumerate(self.left)}
        self.new, self.new_step_size = dict(new), new_step_size
        self.step_size, self.begin = step_size, begin
        self.lam, self.strength = lam, strength
        # of each factor: root mean square of the rounded values over that of the float ones
        self.ratios = torch.ones(len(self.factors), dtype=torch.float64)
        self._floats: dict[str, torch.Tensor] = {}
        self._log: dict[str, float] = {}

    def step_size_of(self, number: int) -> float:
        """Return the step size of a factor, by its place in `factors`; 0 for one of zeros."""
        return self.step_size * float(self.ratios[number]) * _root_mean_square(self.factors[number])

    def seen(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the factors of a matrix, rounded once rounding has begun."""
        number = self._places[name]
        return self._rounded(number), self._rounded(len(self.left) + number)

    def _rounded(self, number: int) -> torch.Tensor:
        factor, step_size = self.factors[number], self.step_size_of(number)
        if self.steps < self.begin or step_size == 0:
            return factor
        return (factor / step_size).round_().mul_(step_size)

    @torch.no_grad()
    def before_forward(self) -> None:
        """Round the new parameters in place."""
        if self.steps < self.begin or self._floats:
            return
        self._floats = {name: parameter.detach().clone() for name, parameter in self.new.items()}
        self._round_new()

    @torch.no_grad()
    def before_step(self) -> None:
        """Put new parameters back; then step as without rounding."""
        for name, floats in self._floats.items():
            self.new[name].copy_(floats)
        self._floats = {}
        super().before_step()

    def add_price(self) -> None:
        """Add lam / count * d(bits) / d(factor) to the gradients."""
        lam = self.lam * self.strength.at(self.steps)
        step_sizes = [self.step_size_of(number) for number in range(len(self.factors))]
        counts = torch.zeros(code_length.LARGEST + 1, dtype=torch.float64)
        for factor, step_size in zip(self.factors, step_sizes, strict=True):
            if step_size:
                counts += code_length.count(factor, torch.tensor(step_size)).cpu()
        coded = float(counts.sum())
        if not coded:
            return
        self._log = {"lam": lam, "bits": code_length.entropy(counts) / coded,
                     "zeros": float(counts[0]) / coded}  # fmt: skip
        slopes = code_length.slopes(counts)
        for factor, step_size in zip(self.factors, step_sizes, strict=True):
            if step_size and factor.grad is not None:
                place = (factor.abs() / step_size).clamp_(max=code_length.LARGEST).to(torch.int32)
                slope = slopes.to(factor.device)[place]
                factor.grad.addcmul_(factor.sign(), slope, value=lam / (coded * step_size))

    @torch.no_grad()
    def after_step(self) -> None:
        """Follow the units of the rounded factors; then make the matrices anew."""
        for number, factor in enumerate(self.factors):
            step_size = self.step_size_of(number)
            if self.steps >= self.begin and step_size:
                found = _root_mean_square((factor / step_size).round_().mul_(step_size))
                ratio = found / _root_mean_square(factor)  # 0: the grid is too coarse for any value
                self.ratios[number] = KEPT * self.ratios[number] + (1 - KEPT) * ratio
        super().after_step()

    @torch.no_grad()
    def finish(self) -> None:
        """Leave the new parameters on their grid, as the factors are."""
        self._round_new()

    def _round_new(self) -> None:
        for parameter in self.new.values():
            size = self.new_step_size
            parameter.copy_((parameter / size).round_().mul_(size))

    def log(self) -> dict[str, float]:
        """Return figures of the last step.

        `bits`: order-0 entropy of a factor's value; `zeros`: share of zeros; `lam`: as it was in
        force.
        """
        return dict(self._log)

    def state(self) -> dict[str, torch.Tensor]:
        """Return also the units."""
        return {**super().state(), "ratios": self.ratios}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Continue with those."""
        super().load_state(state)
        self.ratios.copy_(state["ratios"])


def _root_mean_square(tensor: torch.Tensor) -> float:
    return float(tensor.square().mean(dtype=torch.float64).sqrt())


class LoraQ(Lora):
    """Fine-tune by factors of rank 1 that are rounded in the loop and pay for their bits.

    Minimise loss(rounded factors) + lam * bits per value of a factor, as an entropy coder counts
    them. Embeddings and vectors stay as they are; a new head is trained whole, and rounded. The
    recipe that finds the integers again is
    `lora-q:step=4:new=0.5+delta+factors:rank=1+stack:new=0.5+quantize:step=4`. The defaults are
    those found for MiniLM in 50 training steps, on validation data.

    Parameters
    ----------
    lam : float
        Lagrange multiplier: nats of loss for a bit per value of a factor.
    step : float
        Step size of a factor's grid, in units of its root mean square.
    new : float
        Factor on the step size of what is new, such as a head, whose unit is the root mean square
        of all matrices in the base.
    peak : float
        Factor on the peak learning rate.
    begin : float
        Share of the training steps before factors are rounded in the forward pass.
    warmup : float
        Share of the training steps, from the first on, in which lam grows linearly from 0.
    scale : float
        Factor on the product of both factors: alpha / rank of the paper.

    Notes
    -----
    Ours: `backslash-q` on the factors of LoRA (Hu et al., arXiv 2106.09685, eq. 3).
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("lam", "step", "new", "peak")

    def __init__(
        self,
        lam: float = 0.01,
        step: float = 4.0,
        new: float = 0.5,
        peak: float = 100.0,
        begin: float = 0.3,
        warmup: float = 0.2,
        scale: float = 1.0,
    ) -> None:
        super().__init__(rank=1, peak=peak, scale=scale)
        validate.not_negative(lam=lam)
        validate.positive(step=step, new=new)
        validate.share(begin=begin)
        Strength(1, warmup=warmup)
        self.lam, self.step, self.new = lam, step, new
        self.begin, self.warmup = begin, warmup

    def first_rounded(self, plan: TrainingPlan) -> int:
        """Return the step at which rounding begins."""
        return begun(self.begin, plan)

    def hook(self, parameters: Mapping[str, nn.Parameter], plan: TrainingPlan) -> PricedFactors:
        """Return the factors of all linear layers but new ones, and their price.

        Raises UsageError if there are none, or for parameters of fewer than 32 bits.
        """
        base = {name: p.detach() for name, p in parameters.items() if name not in plan.new}
        return PricedFactors(
            factored(parameters, plan),
            {name: parameters[name] for name in plan.new},
            self.scale,
            plan,
            self.step,
            self.step * unit_of_new(base, self.new),
            self.first_rounded(plan),
            self.lam,
            Strength(plan.steps, warmup=self.warmup),
        )

    @property
    def quantiser(self) -> str:
        """The integers that the factors are; it goes behind `delta+factors:rank=1+stack`."""
        return f"quantize:step={spell_value(self.step)}"
