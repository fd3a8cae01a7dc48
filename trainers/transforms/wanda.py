"""Wanda: pruning by weights and activations (Sun, Liu, Bair & Kolter, arXiv 2306.11695)."""

from __future__ import annotations

import torch

from slashbench import validate
from slashbench.contracts import Calibration, Weights
from slashbench.trainers.numerics.layer_inputs import LinearLayers
from slashbench.trainers.numerics.new_weights import replaced
from slashbench.trainers.numerics.smallest import count_of
from slashbench.trainers.transforms.prune import Prune


class Wanda(Prune):
    """Zero the weights of least |weight| times input norm, the same share of each output row.

    The input norms of a layer are taken after those before it are pruned. As in the paper linear
    layers are pruned and embeddings are not, here whether or not they are tied to a head.

    Parameters
    ----------
    sparsity : float
        Share of each row of a linear layer that becomes zero, in [0, 1).
    batches : int
        Number of calibration batches.

    References
    ----------
    Sun, Liu, Bair & Kolter, A Simple and Effective Pruning Approach for Large Language Models,
    arXiv 2306.11695: the score is |W_ij| |X_j| (eq. 1), compared within each row (section 3).
    """

    def __init__(self, sparsity: float = 0.5, batches: int = 8) -> None:
        super().__init__(sparsity)
        validate.at_least(1, batches=batches)
        self.batches = batches

    def apply(self, weights: Weights, calibration: Calibration) -> Weights:
        """Return new weights; floor(sparsity * inputs) of each row of a linear layer are zero."""
        layers = LinearLayers(weights, calibration, self.batches)
        new: Weights = {}
        for name, moment in layers.moments():
            if name not in layers.tables and not calibration.why_kept(name, weights[name]):
                new[name] = self.pruned(weights[name], moment)
                layers.put(name, new[name])
        return replaced(weights, new)

    def pruned(self, weight: torch.Tensor, moment: torch.Tensor) -> torch.Tensor:
        """Return one weight (rows, columns), given the second moment of its inputs."""
        scores = weight.abs() * moment.diagonal().sqrt().to(weight.dtype)
        count = count_of(self.sparsity, weight.shape[1])
        order = scores.argsort(dim=1, stable=True)
        return weight.scatter(1, order[:, :count], 0.0)
