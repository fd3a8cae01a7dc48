"""Pruning by magnitude after training."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch

from slashbench import validate
from slashbench.contracts import Calibration, Transform, Weights
from slashbench.trainers.numerics.new_weights import replaced
from slashbench.trainers.numerics.smallest import count_of, smallest


class Prune(Transform):
    """Zero a share of the weights."""

    always_spelled: ClassVar[tuple[str, ...]] = ("sparsity",)

    def __init__(self, sparsity: float = 0.5) -> None:
        validate.share(sparsity=sparsity)
        self.sparsity = sparsity


class WithoutData(Prune):
    """Pruning that looks at weights alone: those of all matrices; vectors and buffers stay."""

    def apply(self, weights: Weights, calibration: Calibration) -> Weights:
        """Return new weights; floor(sparsity * count) of each set ranked together are zero."""
        matrices: Weights = {
            name: w
            for name, w in weights.items()
            if w.ndim >= 2 and not calibration.why_kept(name, w)
        }
        first = {id(w): name for name, w in reversed(matrices.items())}  # tied names count once
        return replaced(weights, self.pruned({name: matrices[name] for name in first.values()}))

    @abstractmethod
    def pruned(self, matrices: Weights) -> Weights:
        """Return the matrices, each once, with their smallest weights set to zero."""


class MagnitudePrune(WithoutData):
    """Zero the smallest weights of all matrices together (global magnitude pruning).

    Parameters
    ----------
    sparsity : float
        Share of the matrices' weights that becomes zero, in [0, 1): exactly floor(sparsity * count)
        of them. Of equal magnitudes those that come first are zeroed.

    References
    ----------
    Han, Pool, Tran & Dally, Learning both Weights and Connections for Efficient Neural Networks,
    arXiv 1506.02626, section 3.
    """

    def pruned(self, matrices: Weights) -> Weights:
        """Rank all magnitudes together."""
        magnitudes = torch.cat([w.abs().flatten() for w in matrices.values()] or [torch.empty(0)])
        mask = smallest(magnitudes, count_of(self.sparsity, magnitudes.numel()))
        masks = torch.split(mask, [w.numel() for w in matrices.values()])
        return {
            name: w.masked_fill(own.view(w.shape), 0.0)
            for (name, w), own in zip(matrices.items(), masks, strict=True)
        }


class LayerPrune(WithoutData):
    """Zero the smallest weights of each matrix, the same share of all.

    Parameters
    ----------
    sparsity : float
        Share of each matrix's weights that becomes zero, in [0, 1): exactly
        floor(sparsity * count) of them. Of equal magnitudes those that come first are zeroed.

    References
    ----------
    Han, Pool, Tran & Dally, Learning both Weights and Connections for Efficient Neural Networks,
    arXiv 1506.02626, section 3.
    """

    def pruned(self, matrices: Weights) -> Weights:
        """Rank the magnitudes of each matrix among themselves."""
        new = {}
        for name, w in matrices.items():
            mask = smallest(w.abs().flatten(), count_of(self.sparsity, w.numel()))
            new[name] = w.masked_fill(mask.view(w.shape), 0.0)
        return new
