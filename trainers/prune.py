"""Pruning by magnitude after training."""

from __future__ import annotations

from typing import ClassVar

import torch

from slashbench.contracts import Calibration, Transform, Weights


class MagnitudePrune(Transform):
    """Zero the smallest weights of all matrices together (global magnitude, Han et al. 2015).

    sparsity: share of the matrices' weights that becomes zero, in [0, 1). Vectors are left alone.
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("sparsity",)

    def __init__(self, sparsity: float = 0.5) -> None:
        if not 0.0 <= sparsity < 1.0:
            raise ValueError(f"sparsity={sparsity} must be in [0, 1)")
        self.sparsity = sparsity

    def apply(self, weights: Weights, calibration: Calibration) -> Weights:
        """New weights with the floor(sparsity * count) smallest magnitudes set to zero."""
        matrices = {id(w): w for w in weights.values() if w.is_floating_point() and w.ndim >= 2}
        magnitudes = torch.cat([w.abs().flatten() for w in matrices.values()] or [torch.empty(0)])
        count = int(self.sparsity * magnitudes.numel())
        if count == 0:
            return dict(weights)
        threshold = magnitudes.kthvalue(count).values
        pruned = {key: w.where(w.abs() > threshold, 0.0) for key, w in matrices.items()}
        return {name: pruned.get(id(w), w) for name, w in weights.items()}
