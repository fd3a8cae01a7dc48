"""BackSlash: rate-constrained training (Wu, Wen & Han, ICML 2025, arXiv 2504.16968)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

import torch
from torch import nn

from slashbench.contracts import Regime, TrainingHook, TrainingPlan
from slashbench.errors import TrainingDiverged, UsageError
from slashbench.selector import spell_value
from slashbench.trainers.numerics import ggd
from slashbench.trainers.regimes.qat import check_grid
from slashbench.trainers.regimes.target_rate import RateTerm, Targeted
from slashbench.trainers.regimes.target_rate import parse as target_bits
from slashbench.trainers.training.parameters import (
    PIECE,
    Scope,
    in_scope,
    local,
    paired,
    pieces,
    sum_over_ranks,
)
from slashbench.trainers.training.schedule import Strength

Update = Literal["gradient", "decoupled", "proximal"]
Shapes = Literal["one", "per-tensor"]


class BackSlash(RateTerm):
    """The rate term lam / Np * sum (|theta| + eps)^shape, for any torch loop.

        backslash = BackSlash(model, lam=1000.0)
        ...
        optimizer.step()
        backslash.after_step()

    parameters: a module, or parameters by name. Shared ones count once, frozen ones not at all;
    shards of FSDP2 act as the whole. lam: Lagrange multiplier of the rate (eq. 6-7), normalised by
    the number of parameters Np. Raises UsageError when nothing is in scope.
    update: where the term acts.
        `gradient`: inside the objective, Algorithm 1: the optimiser sees loss and rate together.
        Call `before_step()` before the optimiser's step.
        `decoupled`: theta -= lam shape / Np sign(theta) (|theta| + eps)^(shape - 1) after the
        optimiser's step and not scaled by the learning rate, as the authors' own code does.
        `proximal`: the decoupled step, cut where it would cross zero.
    eps: soft clipping of the gradient at zero (section 3.3); the authors' code uses 1.
    scope: every parameter, as published, or only those of two and more dimensions.
    shape: of the generalised Gaussian; None: estimated at every step that acts, from the moments
    of all parameters in scope as one set or, with shapes="per-tensor", of each.
    every: act at every so many steps only, with that many times the strength.
    strength: factor on lam at a step, counted from 0, such as `Strength(...).at`.
    """

    def __init__(
        self,
        parameters: nn.Module | Mapping[str, nn.Parameter],
        lam: float,
        *,
        update: Update = "proximal",
        eps: float = 1.0,
        scope: Scope = "matrices",
        shape: float | None = None,
        shapes: Shapes = "one",
        every: int = 1,
        strength: Callable[[int], float] = lambda step: 1.0,
    ) -> None:
        self.parameters = list(in_scope(parameters, scope).values())
        self.count = sum(p.numel() for p in self.parameters)
        self.lam, self.update, self.eps = lam, update, eps
        self.fixed_shape, self.shapes, self.every = shape, shapes, every
        self.strength = strength
        self.steps = 0  # done
        self._seen: dict[str, float] = {}
        self._scratch: dict[tuple[torch.device, torch.dtype], torch.Tensor] = {}
        self._added = False

    def before_step(self) -> None:
        """grad += lam shape / Np sign(theta) (|theta| + eps)^(shape - 1), if update="gradient"."""
        if self.update == "gradient":
            self._act()
            self._added = True

    def after_step(self) -> None:
        """Take the decoupled or proximal step, if `update` says so; count the step in any case.

        Raises UsageError if `update` is "gradient" and `before_step` was not called.
        """
        if self.update != "gradient":
            self._act()
        elif not self._added:
            raise UsageError(
                "update='gradient' acts through the optimiser: call before_step() between "
                "loss.backward() and optimizer.step(), or choose update='decoupled'"
            )
        self._added = False
        self.steps += 1

    def log(self) -> dict[str, float]:
        """Of the last step that acted: shape (the mean over weights), rate sum (|theta| +
        eps)^shape / Np before it, share of zeros after it, and lam as it was in force.
        """
        return dict(self._seen)

    def state(self) -> dict[str, torch.Tensor]:
        """The number of steps done, and what the last one that acted saw."""
        seen = {f"seen.{k}": torch.tensor(v, dtype=torch.float64) for k, v in self._seen.items()}
        return {"steps": torch.tensor(self.steps), **seen}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Count on from there."""
        self.steps = int(state["steps"])
        self._seen = {
            key.removeprefix("seen."): float(value)
            for key, value in state.items()
            if key.startswith("seen.")
        }

    @torch.no_grad()
    def _act(self) -> None:
        if self.steps % self.every:
            return
        lam = self.lam * self.strength(self.steps)
        shapes = self._estimate()
        sums = self._sums(2)
        for row, parameter, shape in zip(sums, self.parameters, shapes, strict=True):
            self._move(parameter, shape, lam * shape * self.every / self.count, row)
        rate, nonzero = sum_over_ranks(sums, self.parameters).sum(0).tolist()
        self._seen |= {"rate": rate / self.count, "zeros": 1.0 - nonzero / self.count, "lam": lam}
        if nonzero == 0:
            raise TrainingDiverged(
                f"all weights in scope became zero: lam={self.lam:g} is too strong for "
                f"{self.count:,} parameters; lower it"
            )

    def _sums(self, width: int) -> torch.Tensor:
        """A row of zeros for each parameter."""
        return torch.zeros(
            len(self.parameters), width, dtype=torch.float64, device=self.parameters[0].device
        )

    def _estimate(self) -> list[float]:
        """The shape for each parameter. Raises TrainingDiverged where there is none."""
        sums = self._sums(2)
        for row, parameter in zip(sums, self.parameters, strict=True):
            for part in pieces(local(parameter)):
                # float32 is enough within a piece that fits the cache, for weights of no more
                narrow = torch.promote_types(part.dtype, torch.float32)
                wide = narrow if part.numel() <= PIECE else torch.float64
                spare, _ = self._like(part)
                row[0] += torch.abs(part, out=spare).sum(dtype=wide)
                row[1] += torch.square(part, out=spare).sum(dtype=wide)
        sums = sum_over_ranks(sums, self.parameters).cpu()
        absolute, square = sums.sum(0).tolist()
        if not math.isfinite(square):
            raise TrainingDiverged("the weights are not finite; lower the learning rate or lam")
        if self.fixed_shape is not None:
            shapes = [self.fixed_shape] * len(self.parameters)
        elif self.shapes == "one":
            shapes = [ggd.shape_from_moments(absolute / self.count, square / self.count)]
            shapes *= len(self.parameters)
        else:
            shapes = [
                ggd.shape_from_moments(a / p.numel(), s / p.numel())
                for (a, s), p in zip(sums.tolist(), self.parameters, strict=True)
            ]
        mean = sum(s * p.numel() for s, p in zip(shapes, self.parameters, strict=True)) / self.count
        self._seen["shape"] = mean
        return shapes

    def _move(self, parameter: nn.Parameter, shape: float, step: float, sums: torch.Tensor) -> None:
        """Act on one parameter by step * (|theta| + eps)^(shape - 1).

        Adds the sum of (|theta| + eps)^shape before it moved and the number of weights that are
        not zero afterwards to sums[0] and sums[1].
        """
        weights = local(parameter)
        if self.update == "gradient" and parameter.grad is None:
            sums[1] += weights.count_nonzero()
        elif self.update == "gradient" and parameter.grad is not None:
            for part, grad in paired(weights, local(parameter.grad)):
                slope, spare = self._slope(part, shape, sums[0])
                grad.addcmul_(torch.sign(part, out=spare), slope, value=step)
                sums[1] += _nonzero(spare)
        else:
            for part in pieces(weights):
                slope, spare = self._slope(part, shape, sums[0])
                if self.update == "decoupled":
                    part.addcmul_(torch.sign(part, out=spare), slope, value=-step)
                else:  # by no more than what is left: part - clamp(part, -slope, slope)
                    torch.minimum(part, slope.mul_(step), out=spare)
                    part.sub_(torch.maximum(spare, slope.neg_(), out=spare))
                sums[1] += _nonzero(torch.sign(part, out=spare))

    def _slope(
        self, part: torch.Tensor, shape: float, rate: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(|theta| + eps)^(shape - 1), and a tensor of the same form to work with.

        The sum of its products with |theta| + eps is added to `rate`.
        """
        base, slope = self._like(part)
        torch.abs(part, out=base).add_(self.eps)
        torch.log(base, out=slope).mul_(shape - 1.0).exp_()  # vectorised, where pow is not
        if part.is_contiguous():
            rate += torch.dot(base.view(-1), slope.view(-1))
        else:
            rate += base.mul(slope).sum()
        return slope, base

    def _like(self, part: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Two tensors of the form of `part` to work in: the same memory every time, since fresh
        pages cost as much as the arithmetic.
        """
        if not part.is_contiguous():
            return torch.empty_like(part), torch.empty_like(part)
        key, size = (part.device, part.dtype), part.numel()
        if key not in self._scratch or self._scratch[key].shape[1] < size:
            self._scratch[key] = torch.empty(2, size, device=part.device, dtype=part.dtype)
        first, second = self._scratch[key]
        return first[:size].view(part.shape), second[:size].view(part.shape)


def _nonzero(signs: torch.Tensor) -> torch.Tensor:
    """How many signs are not 0; overwrites them. `count_nonzero` takes a branch for each."""
    return signs.abs_().sum(dtype=torch.float32)


class BackSlashRegime(Regime):
    """Minimise loss + lam / Np * sum (|theta| + eps)^shape, the shape re-estimated at every step.

    lam, update, eps, scope, shapes, every: see BackSlash.
    warmup: share of the steps in which lam grows from 0. finetune: share of the steps at the end
    that train without the term, as the authors do in their follow-up (arXiv 2506.00486).
    target: such as 2.0bits: lam is only where the search for the multiplier starts that ends at so
    many bits per parameter in scope, order-0 entropy of weights rounded to `step`.
    """

    shards: ClassVar[bool] = True
    revision: ClassVar[int] = 2
    always_spelled: ClassVar[tuple[str, ...]] = ("lam",)

    def __init__(
        self,
        lam: float = 1000.0,
        update: Update = "decoupled",
        eps: float = 1.0,
        scope: Scope = "all",
        shapes: Shapes = "one",
        every: int = 1,
        warmup: float = 0.0,
        finetune: float = 0.0,
        target: str = "",
        step: float = 2.0**-8,
    ) -> None:
        check_multiplier(lam)
        check_grid(step)
        if not (eps > 0 and math.isfinite(eps)):
            raise ValueError(f"eps={eps} must be a finite number > 0")
        if every < 1:
            raise ValueError(f"every={every} must be at least 1")
        Strength(1, warmup=warmup, finetune=finetune)
        self.lam, self.update, self.eps, self.scope = lam, update, eps, scope
        self.shapes, self.every, self.warmup, self.finetune = shapes, every, warmup, finetune
        self.bits, self.step = target_bits(target), step

    def hook(self, parameters: Mapping[str, nn.Parameter], plan: TrainingPlan) -> TrainingHook:
        """The rate term over `parameters`. Raises UsageError when none are in scope."""
        term = BackSlash(
            parameters,
            self.lam,
            update=self.update,
            eps=self.eps,
            scope=self.scope,
            shapes=self.shapes,
            every=self.every,
            strength=Strength(plan.steps, warmup=self.warmup, finetune=self.finetune).at,
        )
        return term if self.bits is None else Targeted(term, self.bits, self.step, plan.steps)

    @property
    def quantiser(self) -> str:
        """Rounding to the grid at which the paper codes, or that of the target."""
        return f"quantize:step={spell_value(self.step)}"


def check_multiplier(lam: float) -> None:
    """Raises ValueError for a Lagrange multiplier that is negative or not finite."""
    if not (lam >= 0 and math.isfinite(lam)):
        raise ValueError(f"lam={lam} must be a finite number >= 0")
