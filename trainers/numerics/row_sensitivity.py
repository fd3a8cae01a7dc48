"""How sensitive the loss is to each row of a matrix, from gradients that training has anyway.

To second order the loss grows by half the Fisher information times the squared change, and the
Fisher information of a weight is, empirically, its mean squared gradient. A step size proportional
to its power -1/2 makes a bit worth the same in every row (reverse water-filling). After training,
`fisher` and the quantiser `gptq-loss` do the same from calibration data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

from slashbench.trainers.training.parameters import local, sum_over_ranks, widened

#: Share of the mean sensitivity that is added to every row: one without gradients still counts.
FLOOR = 0.1


class RowSensitivity:
    """Mean squared gradient of each row of parameters, summed over training steps."""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self.parameters = parameters
        self.sums = [
            torch.zeros(len(local(p)), dtype=torch.float64, device=p.device) for p in parameters
        ]

    @torch.no_grad()
    def observe(self) -> None:
        """Add the gradients of this training step."""
        for parameter, sums in zip(self.parameters, self.sums, strict=True):
            if parameter.grad is not None and sums.numel():
                gradient = widened(local(parameter.grad))
                sums += gradient.square().flatten(1).mean(1)

    def step_sizes(self, mean: float) -> list[torch.Tensor]:
        """Return a step size for each local row of each parameter.

        They are float32 of float16's precision, with `mean` for their geometric mean over all
        weights. All equal `mean` if no gradient was seen.
        """
        columns = [p[0].numel() if len(p) else 0 for p in map(local, self.parameters)]
        average, _ = self._totals([s * n for s, n in zip(self.sums, columns, strict=True)], columns)
        if not (average > 0 and math.isfinite(average)):
            return [torch.full_like(s, mean, dtype=torch.float32) for s in self.sums]
        raised = [sums + FLOOR * average for sums in self.sums]
        weighted = [r.log() * n for r, n in zip(raised, columns, strict=True)]
        log_mean, _ = self._totals(weighted, columns)
        unit = mean * math.exp(0.5 * log_mean)
        # 11 bits of mantissa: a file stores each as float16, and integer * step size is exact
        return [(unit * r.rsqrt()).half().float().clamp(min=2.0**-14) for r in raised]

    def _totals(self, rows: Sequence[torch.Tensor], columns: Sequence[int]) -> tuple[float, float]:
        """Return the mean over all weights of sums by row, and their number, over all ranks."""
        parts = torch.stack(
            [
                torch.stack([r.sum(), r.new_tensor(float(r.numel() * n))])
                for r, n in zip(rows, columns, strict=True)
            ]
        )
        total, count = sum_over_ranks(parts, self.parameters).sum(0).tolist()
        return total / count, count
