"""SparseGPT: one-shot pruning with reconstruction (Frantar & Alistarh, arXiv 2301.00774)."""

from __future__ import annotations

import torch

from slashbench import validate
from slashbench.trainers.numerics import obs
from slashbench.trainers.numerics.new_weights import cast
from slashbench.trainers.numerics.smallest import count_of
from slashbench.trainers.transforms.wanda import Wanda


class SparseGPT(Wanda):
    """Zero the weights of least effect on a layer's output; adjust the others to make up for it.

    In every block of columns the weights of least w^2 / [H^-1]_jj (as it stands when their column's
    turn comes) are zeroed, the same share in each block, and the columns further right absorb the
    error. Which layers: as in `wanda`.

    Parameters
    ----------
    sparsity : float
        Share of each block that becomes zero, in [0, 1).
    batches : int
        Number of calibration batches.
    damp : float
        Share of the mean curvature that is added to each input's.

    References
    ----------
    Frantar & Alistarh, SparseGPT: Massive Language Models Can be Accurately Pruned in One-Shot,
    arXiv 2301.00774, Algorithm 1.
    """

    def __init__(self, sparsity: float = 0.5, batches: int = 8, damp: float = 0.01) -> None:
        super().__init__(sparsity, batches)
        validate.not_negative(damp=damp)
        self.damp = damp

    def pruned(self, weight: torch.Tensor, moment: torch.Tensor) -> torch.Tensor:
        """Return one weight (rows, columns), given the second moment of its inputs."""
        factor = obs.inverse_factor(moment, self.damp)
        curvature = factor.diagonal().reciprocal().square()

        def rule_of_block(start: int, block: torch.Tensor) -> obs.Rule:
            scores = block.square() * curvature[start : start + len(block), None]
            count = count_of(self.sparsity, block.numel())
            kept = torch.ones(block.numel(), dtype=torch.bool)
            kept[scores.flatten().argsort(stable=True)[:count]] = False
            kept = kept.view(block.shape)
            return lambda j, column: column * kept[j - start]

        return cast(obs.sweep(weight, factor, rule_of_block), weight.dtype)
