"""Fine-tuning for a small difference: W = W0 + scale * k, and the integers k cost bits.

Minimise L(W0 + scale * k) + lam * R(k), R the bits per parameter that a coder with a table for each
tensor spends on k. Training starts at k = 0, where R is 0: each integer has to be worth its bits.
What the task never touches, such as the embedding rows of words that do not occur, has no gradient,
stays at 0 and costs nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import nn

from slashbench import validate
from slashbench.contracts import Regime, TrainingHook, TrainingPlan
from slashbench.errors import UsageError
from slashbench.selector import spell_value
from slashbench.trainers.numerics import code_length
from slashbench.trainers.numerics.base_units import unit_of_new, units
from slashbench.trainers.training.parameters import gradient, in_scope, is_narrow, together
from slashbench.trainers.training.schedule import Strength, learning_rate

#: Training steps between two histograms: the lengths change slowly.
REFRESH = 5


class PricedDifference(TrainingHook):
    """Round differences in the forward pass; pull them to 0 by the slope of their rate.

    The optimiser moves float differences by the gradient found at the rounded ones (straight
    through), in units of each tensor's scale. Then the price acts, as a proximal step: a difference
    shrinks by what the optimiser would move it for the slope of its bits, and stops at 0. As a part
    of the gradient it would gather momentum, and differences worth nothing would swing about 0.

    Parameters
    ----------
    parameters : mapping of str to nn.Parameter
        Those that are trained, at the values that training starts from.
    origins : mapping of str to torch.Tensor
        What differences are to, W0.
    scales : mapping of str to float
        Of the grid of each tensor's differences.
    lam : float
        Nats of loss that a bit per parameter is worth.
    strength : Strength
        Factor on lam at a training step, counted from 0.
    plan : TrainingPlan
        Whose learning rates are in scales.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        origins: Mapping[str, torch.Tensor],
        scales: Mapping[str, float],
        lam: float,
        strength: Strength,
        plan: TrainingPlan,
    ) -> None:
        self.plan = plan
        self.squares = torch.zeros(len(parameters), dtype=torch.float64)  # of gradients, summed
        self.parameters, self.origins = dict(parameters), dict(origins)
        self.scales, self.lam, self.strength = dict(scales), lam, strength
        self.count = sum(p.numel() for p in self.parameters.values())
        self._floats = {name: torch.empty_like(w) for name, w in self.origins.items()}
        self._rounded = False
        self.counts = {
            name: torch.zeros(code_length.LARGEST + 1, dtype=torch.float64, device=w.device)
            for name, w in self.origins.items()
        }
        self.steps = 0  # done
        self._seen: dict[str, float] = {}

    @torch.no_grad()
    def before_forward(self) -> None:
        """Keep the float weights aside and round their differences in place."""
        if self._rounded:
            return
        for name, parameter in self.parameters.items():
            scale = self.scales[name]
            for floats, part, origin in together(
                self._floats[name], parameter.detach(), self.origins[name]
            ):
                floats.copy_(part)
                _round(part, origin, scale)
        self._rounded = True

    @torch.no_grad()
    def before_step(self) -> None:
        """Put the float weights back. Raises UsageError for a sparse gradient."""
        for number, (name, parameter) in enumerate(self.parameters.items()):
            parameter.copy_(self._floats[name])
            grad = gradient(name, parameter)
            if grad is not None:
                self.squares[number] += grad.square().mean().double().cpu()
        self._rounded = False
        if self.steps % REFRESH == 0:
            self.recount()

    @torch.no_grad()
    def after_step(self) -> None:
        """Turn the optimiser's step, which counts in scales, into one of weights; then shrink."""
        lam = self.lam * self.strength.at(self.steps)
        self._seen["lam"] = lam
        rate = learning_rate(self.steps, self.plan)
        self.steps += 1
        spread = (self.squares / self.steps).sqrt().clamp(min=1e-12).tolist()
        for (name, parameter), size in zip(self.parameters.items(), spread, strict=True):
            scale = self.scales[name]
            # as AdamW moves a weight of mean gradient g and root mean square gradient s by rate g/s
            pull = rate * lam / (self.count * scale * size)
            pulls = code_length.slopes(self.counts[name]) * pull
            for part, before, origin in together(
                parameter.detach(), self._floats[name], self.origins[name]
            ):
                torch.lerp(before, part, scale, out=part)
                z = part.sub_(origin).div_(scale)
                place = z.abs().clamp_(max=code_length.LARGEST).to(torch.int32)
                left = z.abs().sub_(pulls[place]).clamp_(min=0.0)
                torch.mul(left.copysign_(z), scale, out=part)
                part.add_(origin)

    @torch.no_grad()
    def finish(self) -> None:
        """Leave the weights on the grid."""
        for name, parameter in self.parameters.items():
            for part, origin in together(parameter.detach(), self.origins[name]):
                _round(part, origin, self.scales[name])

    @torch.no_grad()
    def recount(self) -> None:
        """Take the histograms of the integers anew."""
        for name, counts in self.counts.items():
            scale = torch.tensor(self.scales[name])
            counts.zero_()
            for part, origin in together(self.parameters[name].detach(), self.origins[name]):
                counts += code_length.count(part - origin, scale)
        self._note()

    def _note(self) -> None:
        bits = sum(map(code_length.entropy, self.counts.values()))
        zeros = sum(float(counts[0]) for counts in self.counts.values())
        self._seen |= {"bits": bits / self.count, "zeros": zeros / self.count}

    def log(self) -> dict[str, float]:
        """Return figures of the last histogram.

        `bits`: order-0 entropy per trained parameter; `zeros`: share of zeros; `lam`: as it was in
        force at the last step.
        """
        return dict(self._seen)

    def state(self) -> dict[str, torch.Tensor]:
        """Return the number of training steps done and the histograms."""
        counts = {f"counts.{name}": counts for name, counts in self.counts.items()}
        return {"steps": torch.tensor(self.steps), "squares": self.squares, **counts}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Continue with those histograms."""
        self.steps = int(state["steps"])
        self.squares.copy_(state["squares"])
        for name, counts in self.counts.items():
            counts.copy_(state[f"counts.{name}"])
        self._note()


def _round(part: torch.Tensor, origin: torch.Tensor, scale: float) -> None:
    part.sub_(origin).div_(scale).round_().mul_(scale).add_(origin)


class DeltaQ(Regime):
    """Fine-tune W = W0 + scale * k, from k = 0, for loss + lam * bits of k per parameter.

    W0 are the pretrained weights; 0 for what is new, such as a head. A tensor's scale is `step`
    times the root mean square of its pretrained weights, as `stack` has it. The recipe that keeps
    the integers is `delta-q:step=0.1+delta+stack+quantize:step=0.1`.

    Parameters
    ----------
    lam : float
        Lagrange multiplier: nats of loss for a bit per parameter.
    step : float
        Of the grid, in units of a tensor's root mean square in the base.
    rate : float
        Learning rate at its peak, in scales: how far an integer's float moves in a step.
    warmup : float
        Share of the training steps, from the first on, in which lam grows linearly from 0.

    Notes
    -----
    Ours. It is `backslash-q` with the pretrained weights for the origin and the grid for the unit
    of length. Differences paid for while training: Guo, Rush & Kim, Parameter-Efficient Transfer
    Learning with Diff Pruning, arXiv 2012.07463, where the price is on their number.
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("lam", "step", "rate")

    def __init__(
        self, lam: float = 1.0, step: float = 0.1, rate: float = 0.1, warmup: float = 0.2
    ) -> None:
        validate.not_negative(lam=lam)
        validate.positive(step=step, rate=rate)
        Strength(1, warmup=warmup)
        self.lam, self.step, self.rate, self.warmup = lam, step, rate, warmup

    def plan(self, plan: TrainingPlan) -> TrainingPlan:
        """Return the model's own plan with a learning rate in scales."""
        return dataclasses.replace(plan, learning_rate=self.rate)

    def hook(self, parameters: Mapping[str, nn.Parameter], plan: TrainingPlan) -> TrainingHook:
        """Return the price of the differences of all parameters that are trained.

        Raises UsageError for parameters of fewer than 32 bits.
        """
        chosen = in_scope(parameters, "all")
        base = {name: p.detach() for name, p in parameters.items() if name not in plan.new}
        relative, new = units(base), unit_of_new(base)
        origins, scales = {}, {}
        for name, parameter in chosen.items():
            if is_narrow(parameter):
                raise UsageError(
                    f"{name} is {parameter.dtype}, too coarse for small differences: train in "
                    "float32 (--precision bf16 computes in bfloat16 with weights in float32)"
                )
            first = parameter.detach().clone()
            origins[name] = torch.zeros_like(first) if name in plan.new else first
            scales[name] = self.step * relative.get(name, new)
        strength = Strength(plan.steps, warmup=self.warmup)
        return PricedDifference(chosen, origins, scales, self.lam, strength, plan)

    @property
    def quantiser(self) -> str:
        """The integers that the differences are; it goes behind `delta+stack`."""
        return f"quantize:step={spell_value(self.step)}"
