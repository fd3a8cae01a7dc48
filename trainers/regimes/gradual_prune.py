"""Pruning while training (Zhu & Gupta, arXiv 1710.01878)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import nn

from slashbench import validate
from slashbench.contracts import Regime, TrainingHook, TrainingPlan
from slashbench.errors import BadSetting
from slashbench.trainers.numerics.smallest import count_of, smallest
from slashbench.trainers.training.parameters import in_scope, local, widened

#: Masks are drawn anew this many times while sparsity rises.
UPDATES = 50


class Masks(TrainingHook):
    """Keep the smallest weights of all matrices together at zero, more and more of them.

    Parameters
    ----------
    parameters : mapping of str to nn.Parameter
        What is pruned. One that is frozen later stays as it is from then on.
    sparsity : float
        Share of the weights that is zero in the end.
    first, last : int
        Training steps between which it rises as sparsity * (1 - (1 - t)^3) (eq. 1): it
        is there at `last` even if that is not above `first`.
    """

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], sparsity: float, first: int, last: int
    ) -> None:
        self.parameters = list(parameters.values())
        self.count = sum(p.numel() for p in self.parameters)
        self.sparsity, self.first, self.last = sparsity, min(first, last - 1), last
        self.every = max(1, (self.last - first) // UPDATES)
        self.steps = 0  # done
        self.masks: list[torch.Tensor] | None = None

    def sparsity_at(self, step: int) -> float:
        """Return the share of zeros asked for at `step`, counted from 0."""
        share = min(1.0, max(0.0, (step - self.first) / (self.last - self.first)))
        return self.sparsity * (1.0 - (1.0 - share) ** 3)

    @torch.no_grad()
    def after_step(self) -> None:
        """Choose the masks anew if it is time, and apply them."""
        due = (self.steps - self.first) % self.every == 0 or self.steps == self.last
        if self.first <= self.steps <= self.last and due:
            self._choose(count_of(self.sparsity_at(self.steps), self.count))
        if self.masks is not None:
            for parameter, mask in zip(self.parameters, self.masks, strict=True):
                if parameter.requires_grad:
                    local(parameter).masked_fill_(~mask, 0.0)
        self.steps += 1

    def _choose(self, n_zeros: int) -> None:
        """Mask exactly that many weights, the smallest; of equal ones the first."""
        if n_zeros == 0:
            return
        weights = [local(p) for p in self.parameters]
        magnitudes = torch.cat([widened(w).abs().flatten() for w in weights])
        parts = torch.split(~smallest(magnitudes, n_zeros), [w.numel() for w in weights])
        self.masks = [part.view(w.shape).clone() for part, w in zip(parts, weights, strict=True)]

    def log(self) -> dict[str, float]:
        """Return `zeros`, the share of zeros after the last step."""
        nonzero = sum(int(local(p).count_nonzero()) for p in self.parameters)
        return {"zeros": 1.0 - nonzero / self.count}

    def state(self) -> dict[str, torch.Tensor]:
        """Return the number of training steps done and the masks in use."""
        masks = {str(i): mask for i, mask in enumerate(self.masks or [])}
        return {"steps": torch.tensor(self.steps), **masks}

    def load_state(self, state: Mapping[str, torch.Tensor]) -> None:
        """Continue with those masks."""
        self.steps = int(state["steps"])
        if "0" in state:
            self.masks = [state[str(i)].to(p.device) for i, p in enumerate(self.parameters)]


class GradualPrune(Regime):
    """Prune by global magnitude while training, on a cubic schedule; pruned weights stay zero.

    Parameters
    ----------
    sparsity : float
        Share of the matrices' weights that is zero in the end, in [0, 1): floor(sparsity * count).
    begin, end : float
        Shares of the training steps between which it rises; the rest trains what is left.

    References
    ----------
    M. Zhu, S. Gupta: To prune, or not to prune. arXiv 1710.01878, eq. 1.
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("sparsity",)

    def __init__(self, sparsity: float = 0.8, begin: float = 0.2, end: float = 0.7) -> None:
        validate.share(sparsity=sparsity, begin=begin)
        if not begin < end <= 1.0:
            raise BadSetting(f"begin={begin} and end={end}: shares of the steps, begin first")
        self.sparsity, self.begin, self.end = sparsity, begin, end

    def hook(self, parameters: Mapping[str, nn.Parameter], plan: TrainingPlan) -> Masks:
        """Return masks for all matrices. Raises UsageError if there are none."""
        first, last = round(self.begin * plan.steps), max(round(self.end * plan.steps) - 1, 0)
        return Masks(in_scope(parameters, "matrices"), self.sparsity, first, last)
