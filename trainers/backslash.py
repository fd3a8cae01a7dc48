"""BackSlash: rate-constrained training (Wu, Wen & Han, ICML 2025, arXiv 2504.16968)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

import torch

from slashbench.contracts import Penalty, Regime
from slashbench.trainers import ggd

if TYPE_CHECKING:
    from torch import nn

Update = Literal["gradient", "decoupled", "proximal"]
Scope = Literal["all", "matrices"]

#: Elements handled at once: a temporary that stays in the second-level cache.
CHUNK = 1 << 16


class BackSlash(Regime):
    """Minimise loss + lam / Np * sum (|theta| + eps)^shape, the shape re-estimated at every step.

    lam: Lagrange multiplier of the rate, normalised by the number of parameters Np (eq. 6-7).
    update: where the term acts.
        `gradient`: inside the objective, Algorithm 1: the optimiser sees loss and rate together.
        `decoupled`: theta -= lam shape / Np sign(theta) (|theta| + eps)^(shape - 1) after the
        optimiser's step and not scaled by the learning rate, as the authors' own code does.
        `proximal`: the decoupled step, cut where it would cross zero.
    eps: soft clipping of the gradient at zero (section 3.3); the authors' code uses 1.
    scope: every parameter, as published, or only those of two and more dimensions.
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("lam",)

    def __init__(
        self,
        lam: float = 1000.0,
        update: Update = "decoupled",
        eps: float = 1.0,
        scope: Scope = "all",
    ) -> None:
        if not (lam >= 0 and math.isfinite(lam)):
            raise ValueError(f"lam={lam} must be a finite number >= 0")
        if not (eps > 0 and math.isfinite(eps)):
            raise ValueError(f"eps={eps} must be a finite number > 0")
        self.lam, self.update, self.eps, self.scope = lam, update, eps, scope

    def penalty(self, parameters: Mapping[str, nn.Parameter]) -> Penalty:
        """The rate term over `parameters`. Raises ValueError when none are in scope."""
        chosen = [p for p in parameters.values() if self.scope == "all" or p.ndim >= 2]
        if not chosen:
            raise ValueError(f"no parameters in scope {self.scope!r}: nothing to constrain")
        penalties = {"gradient": InGradient, "decoupled": Decoupled, "proximal": Proximal}
        return penalties[self.update](chosen, self.lam, self.eps)


class RatePenalty(Penalty):
    """The discretised generalised Gaussian rate (DGGR) of all parameters together (eq. 3-5, 8)."""

    def __init__(self, parameters: list[nn.Parameter], lam: float, eps: float) -> None:
        self.parameters = parameters
        self.count = sum(p.numel() for p in parameters)
        self.lam = lam
        self.eps = eps
        self.shape = math.nan  # of the last step

    def estimate_shape(self) -> float:
        """Shape of all parameters as one set, from their moment ratio; 2 when all are zero."""
        absolute = square = 0.0
        for parameter in self.parameters:
            for part in _chunks(parameter):
                absolute += float(part.abs().sum())
                square += float(part.square().sum())
        if absolute == 0.0 or not math.isfinite(square):
            return ggd.MAX_SHAPE if absolute == 0.0 else math.nan
        return ggd.shape_from_ratio(square * self.count / absolute**2)

    def slope(self, part: torch.Tensor) -> torch.Tensor:
        """|d/dtheta| of lam / Np (|theta| + eps)^shape for one flat tensor."""
        slope = part.abs().add_(self.eps)
        if self.shape != 1.0:
            slope.log_().mul_(self.shape - 1.0).exp_()
        return slope.mul_(self.lam * self.shape / self.count)

    def log(self) -> dict[str, float]:
        """Shape of the last step and the share of weights that are exactly zero."""
        zeros = sum(p.numel() - int(p.detach().count_nonzero()) for p in self.parameters)
        return {"shape": self.shape, "zeros": zeros / self.count}


class InGradient(RatePenalty):
    """Algorithm 1: the term is part of the objective, so its gradient joins the loss's."""

    def add_gradient(self) -> None:
        """grad += lam shape / Np sign(theta) (|theta| + eps)^(shape - 1)."""
        self.shape = self.estimate_shape()
        for parameter in self.parameters:
            if parameter.grad is None:
                continue
            for part, grad in zip(_chunks(parameter), _chunks(parameter.grad), strict=True):
                grad.addcmul_(part.sign(), self.slope(part))


class Decoupled(RatePenalty):
    """The authors' update: a step of its own after the optimiser's; weights may cross zero."""

    def after_step(self) -> None:
        """theta -= lam shape / Np sign(theta) (|theta| + eps)^(shape - 1)."""
        self.shape = self.estimate_shape()
        for parameter in self.parameters:
            for part in _chunks(parameter):
                part.sub_(part.sign().mul_(self.slope(part)))


class Proximal(RatePenalty):
    """The decoupled update that stops at zero: no weight swings around it by a step's length."""

    def after_step(self) -> None:
        """|theta| -= min(|theta|, lam shape / Np (|theta| + eps)^(shape - 1))."""
        self.shape = self.estimate_shape()
        for parameter in self.parameters:
            for part in _chunks(parameter):
                step = self.slope(part)
                part.sub_(part.clamp(-step, step))


def _chunks(tensor: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Flat views of a parameter or gradient, free of autograd, small enough for the cache."""
    flat = tensor.detach()
    return torch.split(flat.view(-1), CHUNK) if flat.is_contiguous() else (flat,)
