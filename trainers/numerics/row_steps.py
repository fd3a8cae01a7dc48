"""Steps by row, set by how much the loss feels each row, from gradients that training has anyway.

To second order the loss gains half the Fisher information times change^2, and that of a weight is,
empirically, its mean squared gradient. A step proportional to its power -1/2 makes a bit buy as
much in every row (reverse water-filling). After training, `sensitivity` and `gptq-loss` do the same
from calibration data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from slashbench.trainers.training.tensors import local, sum_over_ranks

FLOOR = 0.1  # share of the mean over all weights added to each row: what was not seen is worth it


class FeltSteps:
    """Adds up squared gradients of the rows of parameters; makes steps of them."""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self.parameters = parameters
        self.sums = [
            torch.zeros(len(local(p)), dtype=torch.float64, device=p.device) for p in parameters
        ]

    @torch.no_grad()
    def look(self) -> None:
        """Add the gradients of the step at hand."""
        for parameter, sums in zip(self.parameters, self.sums, strict=True):
            if parameter.grad is not None and sums.numel():
                gradient = local(parameter.grad)
                sums += gradient.square().flatten(1).mean(1)

    def steps(self, step: float) -> list[torch.Tensor]:
        """A step for each local row of each parameter, float32 of float16's precision; their
        geometric mean over all weights is `step`. All are `step` where nothing was felt.
        """
        columns = [p[0].numel() if len(p) else 0 for p in map(local, self.parameters)]
        felt, _ = self._totals([s * n for s, n in zip(self.sums, columns, strict=True)], columns)
        if not (felt > 0 and math.isfinite(felt)):
            return [torch.full_like(s, step, dtype=torch.float32) for s in self.sums]
        raised = [sums + FLOOR * felt for sums in self.sums]
        weighted = [r.log() * n for r, n in zip(raised, columns, strict=True)]
        log_mean, _ = self._totals(weighted, columns)
        unit = step * math.exp(0.5 * log_mean)
        # 11 bits of mantissa: a file stores each as float16, and integer * step is exact
        return [(unit * r.rsqrt()).half().float().clamp(min=2.0**-14) for r in raised]

    def _totals(self, rows: Sequence[torch.Tensor], columns: Sequence[int]) -> tuple[float, float]:
        """(mean over all weights of a sum by row, number of weights), over all ranks."""
        parts = torch.stack(
            [
                torch.stack([r.sum(), r.new_tensor(float(r.numel() * n))])
                for r, n in zip(rows, columns, strict=True)
            ]
        )
        total, count = sum_over_ranks(parts, self.parameters).sum(0).tolist()
        return total / count, count
