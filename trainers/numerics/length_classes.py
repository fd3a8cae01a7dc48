"""Classes of weights by the scale of their row and column, each with a histogram of its own.

A coder such as `rans-classes` keeps tables for rows and columns of like scale. There an integer is
dear in a line of small weights and cheap in one of large ones, which one table a matrix can't tell:
with these lengths training empties lines that are nearly empty, and leaves full ones alone.
"""

from __future__ import annotations

import torch
from torch import nn

from slashbench.trainers.numerics import code_length
from slashbench.trainers.training.parameters import local, sum_over_ranks, widened, with_step_sizes

_PER_OCTAVE = 2  # classes, of the scale of the row times that of the column
_FLOOR = 0.02  # added to the scale of each line, in units of the matrix's: one of zeros has one too
_LENT = 20.0  # integers that each class's histogram borrows from the whole matrix's


@torch.no_grad()
def classes_of(parameter: nn.Parameter, step_sizes: torch.Tensor, most: int) -> torch.Tensor:
    """Return the class of each weight in the local part, uint8, from 0 to `most` - 1.

    Half an octave of scale is a class; the middle one is that of the matrix's mean. A vector is
    all of one class.

    step_sizes: one, shape (), or one a row, shape (rows,).
    """
    weights = local(parameter)
    if parameter.ndim < 2:
        return torch.full_like(weights, most // 2, dtype=torch.uint8)
    places = widened(weights).abs().flatten(1) / step_sizes.expand(len(weights))[:, None]
    sums = torch.cat([places.sum(0), places.new_tensor([float(len(places))])]).double()
    whole = sum_over_ranks(sums[None], [parameter])[0].float()
    by_column = whole[:-1] / whole[-1].clamp(min=1)
    mean = by_column.mean().clamp(min=torch.finfo(torch.float32).tiny)
    row, column = (torch.log2(line / mean + _FLOOR) for line in (places.mean(1), by_column))
    scores = (row[:, None] + column).mul_(_PER_OCTAVE).add_(most // 2)
    return scores.round_().clamp_(0, most - 1).to(torch.uint8).view(weights.shape)


def count(
    weights: torch.Tensor, step_sizes: torch.Tensor, classes: torch.Tensor, most: int
) -> torch.Tensor:
    """Count each magnitude of round(weights / step size) in each class, float64, (most, 256)."""
    width = code_length.LARGEST + 1
    counts = torch.zeros(most * width, dtype=torch.float64, device=weights.device)
    for step_size, part, found in with_step_sizes(step_sizes, weights, classes):
        rounded = widened(part).abs().div_(step_size).round_().clamp_(max=code_length.LARGEST)
        places = rounded.to(torch.int64) + found.to(torch.int64) * width
        counts += torch.bincount(places.flatten(), minlength=counts.numel())
    return counts.view(most, width)


def slopes(counts: torch.Tensor) -> torch.Tensor:
    """Return what `code_length.slopes` does in each class, shape (classes, 256)."""
    whole = counts.sum(0)
    lent = counts + _LENT * whole / whole.sum().clamp(min=1)
    return torch.stack([code_length.slopes(each) for each in lent])
