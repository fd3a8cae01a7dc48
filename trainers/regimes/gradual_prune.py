"""Pruning while training (Zhu & Gupta, arXiv 1710.01878)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import nn

from slashbench.contracts import Regime, TrainingHook, TrainingPlan
from slashbench.trainers.numerics.smallest import count_of, smallest
from slashbench.trainers.training.parameters import in_scope, local

#: Masks are drawn anew this many times while sparsity rises.
UPDATES = 50


class Masks(TrainingHook):
    """Keeps the smallest weights of all matrices together at zero, more and more of them.

    sparsity: share that is zero in the end. first, last: steps between which it rises as
    sparsity * (1 - (1 - t)^3) (eq. 1).
    """

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], sparsity: float, first: int, last: int
    ) -> None:
        self.parameters = list(parameters.values())
        self.count = sum(p.numel() for p in self.parameters)
        self.sparsity, self.first, self.last = sparsity, first, max(last, first + 1)
        self.every = max(1, (self.last - first) // UPDATES)
        self.steps = 0  # done
        self.masks: list[torch.Tensor] | None = None

    def sparsity_at(self, step: int) -> float:
        """Share of zeros asked for at `step`, counted from 0."""
        share = min(1.0, max(0.0, (step - self.first) / (self.last - self.first)))
        return self.sparsity * (1.0 - (1.0 - share) ** 3)

    @torch.no_grad()
    def after_step(self) -> None:
        """Choose the masks anew where it is time, and apply them."""
        due = (self.steps - self.first) % self.every == 0 or self.steps == self.last
        if self.first <= self.steps <= self.last and due:
            self._choose(count_of(self.sparsity_at(self.steps), self.count))
        if self.masks is not None:
            for parameter, mask in zip(self.parameters, self.masks, strict=True):
                local(parameter).mul_(mask)
        self.steps += 1

    def _choose(self, n_zeros: int) -> None:
        if n_zeros == 0:
            return
        weights = [local(p) for p in self.parameters]
        zeros = smallest(torch.cat([w.abs().flatten() for w in weights]), n_zeros)
        parts = torch.split(~zeros, [w.numel() for w in weights])
        self.masks = [part.view(w.shape) for part, w in zip(parts, weights, strict=True)]

    def log(self) -> dict[str, float]:
        """Share of zeros after the last step."""
        nonzero = sum(int(local(p).count_nonzero()) for p in self.parameters)
        return {"zeros": 1.0 - nonzero / self.count}

    def state(self) -> dict[str, torch.Tensor]:
        """The number of steps done and the masks in use."""
        masks = {str(i): mask for i, mask in enumerate(self.masks or [])}
        return {"steps": torch.tensor(self.steps), **masks}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on with those masks."""
        self.steps = int(state["steps"])
        if "0" in state:
            self.masks = [state[str(i)].to(p.device) for i, p in enumerate(self.parameters)]


class GradualPrune(Regime):
    """Prune by global magnitude while training, on a cubic schedule; pruned weights stay zero.

    sparsity: share of the matrices' weights that is zero in the end, in [0, 1). begin, end: shares
    of the steps between which it rises; the rest trains what is left.
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("sparsity",)

    def __init__(self, sparsity: float = 0.8, begin: float = 0.2, end: float = 0.7) -> None:
        if not 0.0 <= sparsity < 1.0:
            raise ValueError(f"sparsity={sparsity} must be in [0, 1)")
        if not 0.0 <= begin < end <= 1.0:
            raise ValueError(f"begin={begin} and end={end}: shares of the steps, begin first")
        self.sparsity, self.begin, self.end = sparsity, begin, end

    def hook(self, parameters: Mapping[str, nn.Parameter], plan: TrainingPlan) -> Masks:
        """Masks for all matrices. Raises UsageError when there are none."""
        first, last = round(self.begin * plan.steps), round(self.end * plan.steps) - 1
        return Masks(in_scope(parameters, "matrices"), self.sparsity, first, last)
