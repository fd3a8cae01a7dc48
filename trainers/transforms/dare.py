"""DARE: drop differences at random, and make those that stay larger."""

from __future__ import annotations

from typing import ClassVar

import torch

from slashbench import validate
from slashbench.contracts import Calibration, Transform, Weights
from slashbench.trainers.numerics.new_weights import replaced


class Dare(Transform):
    """Zero each difference with one probability, and divide the others by that of staying.

    For what `delta` gives; matrices only. Which differences stay is drawn from the seed of the run.

    Parameters
    ----------
    sparsity : float
        Probability of a zero, in [0, 1).

    References
    ----------
    Yu, Yu, Yu, Huang & Li, Language Models are Super Mario: Absorbing Abilities from Homologous
    Models as a Free Lunch, arXiv 2311.03099, section 3.
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("sparsity",)

    def __init__(self, sparsity: float = 0.9) -> None:
        validate.share(sparsity=sparsity)
        self.sparsity = sparsity

    def apply(self, weights: Weights, calibration: Calibration) -> Weights:
        """Return new weights; the mean of each is what it was."""
        generator = torch.Generator().manual_seed(calibration.seed)
        new: Weights = {}
        for name, w in weights.items():
            if w.ndim >= 2 and not calibration.why_kept(name, w):
                dropped = torch.rand(w.shape, generator=generator) < self.sparsity
                new[name] = w.masked_fill(dropped, 0.0) / (1.0 - self.sparsity)
        return replaced(weights, new)
