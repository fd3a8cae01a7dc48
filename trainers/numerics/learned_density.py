"""Learned densities of quantized values, one for each tensor, as learned image codecs have them.

Ballé, Minnen, Singh, Hwang & Johnston, arXiv 1802.01436, appendix 6.1: a cumulative distribution
made of layers that grow with their input, and an integer's probability is its rise over one step.
Densities are evaluated on a table of eight points a step and interpolated linearly in between, so
that a training step costs little more than looking weights up.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

REACH = 64  # integers beyond it cost what the last one does
FINE = 8  # points of the table for each step
_WIDTHS = (1, 3, 3, 1)
_SPREAD = 10.0  # of the first densities, in steps
_TINY = 1e-9


class LearnedDensities(nn.Module):
    """Bits of a value under a density for each of `tensors` tensors, all learned together."""

    def __init__(self, tensors: int) -> None:
        super().__init__()
        layers = len(_WIDTHS) - 1
        scale = _SPREAD ** (1 / layers)
        self.matrices, self.biases = nn.ParameterList(), nn.ParameterList()
        self.factors = nn.ParameterList()
        for columns, rows in itertools.pairwise(_WIDTHS):
            start = torch.tensor(1 / scale / rows).expm1().log().item()
            self.matrices.append(nn.Parameter(torch.full((tensors, rows, columns), start)))
            # spread over the units, so that they differ from the start
            spread = torch.linspace(-0.5, 0.5, rows) if rows > 1 else torch.zeros(1)
            self.biases.append(nn.Parameter(spread.view(1, rows, 1).repeat(tensors, 1, 1)))
            self.factors.append(nn.Parameter(torch.zeros(tensors, rows, 1)))

    def table(self) -> torch.Tensor:
        """Return the bits of values from -REACH to REACH, (tensors, points)."""
        points = torch.arange(2 * REACH * FINE + 1, device=self.matrices[0].device) / FINE - REACH
        low, high = self._logits(points - 0.5), self._logits(points + 0.5)
        side = -(low + high).sign().detach()  # sigmoids are subtracted where they are small
        rise = (torch.sigmoid(side * high) - torch.sigmoid(side * low)).abs()
        return -torch.log2(rise.clamp(min=_TINY))

    def _logits(self, points: torch.Tensor) -> torch.Tensor:
        """Return the logits of the cumulative distributions, (tensors, points)."""
        values = points.expand(len(self.matrices[0]), 1, -1)
        last = len(self.matrices) - 1
        for i, (matrix, bias, factor) in enumerate(
            zip(self.matrices, self.biases, self.factors, strict=True)
        ):
            values = torch.bmm(functional.softplus(matrix), values) + bias
            if i < last:
                values = values + torch.tanh(factor) * torch.tanh(values)
        return values[:, 0]


def place(values: torch.Tensor) -> torch.Tensor:
    """Return where values, in steps, stand in a table: at the point below them."""
    return ((values + REACH) * FINE).clamp_(0, 2 * REACH * FINE - 1).to(torch.int64)


def slopes(table: torch.Tensor) -> torch.Tensor:
    """Return the bits that a step more costs behind each point, (points - 1,)."""
    return table.diff() * FINE


def shares(places: Sequence[torch.Tensor], points: int) -> torch.Tensor:
    """Return the number of values behind each point, (tensors, points), of all tensors' places."""
    counted = [torch.bincount(p.flatten(), minlength=points) for p in places]
    return torch.stack(counted).float()
