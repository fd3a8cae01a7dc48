"""Pruning by magnitude after training."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch

from slashbench.contracts import Calibration, Transform, Weights
from slashbench.trainers.numerics.layer_inputs import check_finite, replaced


class Prune(Transform):
    """Zero a share of the weights.

    sparsity: share of the weights in scope that becomes zero, in [0, 1).
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("sparsity",)

    def __init__(self, sparsity: float = 0.5) -> None:
        if not 0.0 <= sparsity < 1.0:
            raise ValueError(f"sparsity={sparsity} must be in [0, 1)")
        self.sparsity = sparsity


class WithoutData(Prune):
    """Pruning that looks at weights alone: of all matrices, vectors being left as they are."""

    def apply(self, weights: Weights, calibration: Calibration) -> Weights:
        """New weights, floor(sparsity * count) of each set that is ranked together being zero."""
        matrices: Weights = {
            name: w for name, w in weights.items() if w.is_floating_point() and w.ndim >= 2
        }
        for name, matrix in matrices.items():
            check_finite(name, matrix)
        first = {id(w): name for name, w in reversed(matrices.items())}  # tied names count once
        return replaced(weights, self.pruned({name: matrices[name] for name in first.values()}))

    @abstractmethod
    def pruned(self, matrices: Weights) -> Weights:
        """The matrices, each once, with their smallest weights set to zero."""


class MagnitudePrune(WithoutData):
    """Zero the smallest weights of all matrices together (global magnitude, Han et al. 2015)."""

    def pruned(self, matrices: Weights) -> Weights:
        """All magnitudes are ranked together."""
        magnitudes = torch.cat([w.abs().flatten() for w in matrices.values()] or [torch.empty(0)])
        threshold = _threshold(magnitudes, self.sparsity)
        return {name: w.where(w.abs() > threshold, 0.0) for name, w in matrices.items()}


class LayerPrune(WithoutData):
    """Zero the smallest weights of each matrix, the same share of all (Han et al. 2015)."""

    def pruned(self, matrices: Weights) -> Weights:
        """The magnitudes of each matrix are ranked among themselves."""
        return {
            name: w.where(w.abs() > _threshold(w.abs().flatten(), self.sparsity), 0.0)
            for name, w in matrices.items()
        }


def _threshold(magnitudes: torch.Tensor, sparsity: float) -> float:
    """The magnitude up to which floor(sparsity * count) weights lie; -1 where that is none."""
    count = int(sparsity * magnitudes.numel())
    return float(magnitudes.kthvalue(count).values) if count else -1.0
