"""Wanda: pruning by weights and activations (Sun, Liu, Bair & Kolter, arXiv 2306.11695)."""

from __future__ import annotations

import torch

from slashbench.contracts import Calibration, Weights
from slashbench.trainers.numerics.layer_inputs import LinearLayers, replaced
from slashbench.trainers.transforms.prune import Prune


class Wanda(Prune):
    """Zero the weights of least |weight| times norm of their input, in each output row alike.

    The score is |W_ij| |X_j| (eq. 1), compared within each output row (section 3); the input norms
    of a layer are taken after those before it are pruned. As in the paper linear layers are pruned
    and embeddings are not, here whether or not they are tied to a head.
    batches: number of calibration batches.
    """

    def __init__(self, sparsity: float = 0.5, batches: int = 8) -> None:
        super().__init__(sparsity)
        if batches < 1:
            raise ValueError(f"batches={batches} must be at least 1")
        self.batches = batches

    def apply(self, weights: Weights, calibration: Calibration) -> Weights:
        """New weights, floor(sparsity * inputs) of each row of a linear layer being zero."""
        layers = LinearLayers(weights, calibration, self.batches)
        new: Weights = {}
        for name, moment in layers.moments():
            if name not in layers.tables:
                new[name] = self.pruned(weights[name], moment)
                layers.put(name, new[name])
        return replaced(weights, new)

    def pruned(self, weight: torch.Tensor, moment: torch.Tensor) -> torch.Tensor:
        """One weight (rows, columns), given the second moment of its inputs (columns, columns)."""
        scores = weight.abs() * moment.diagonal().sqrt().to(weight.dtype)
        count = int(self.sparsity * weight.shape[1])
        order = scores.argsort(dim=1, stable=True)
        return weight.scatter(1, order[:, :count], 0.0)
