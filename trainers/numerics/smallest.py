"""Exactly so many of the smallest values, however many are alike."""

from __future__ import annotations

import math
from fractions import Fraction

import torch


def count_of(share: float, n: int) -> int:
    """Return floor(share * n), for the share as it is written in decimals.

    >>> count_of(0.29, 100)  # in floats 0.29 * 100 is below 29
    29
    """
    return math.floor(Fraction(repr(share)) * n)


def smallest(magnitudes: torch.Tensor, count: int) -> torch.Tensor:
    """Return a mask of the `count` smallest of a flat tensor; of equal ones the first are taken."""
    if not count:
        return torch.zeros_like(magnitudes, dtype=torch.bool)
    threshold = magnitudes.kthvalue(count).values
    mask = magnitudes < threshold
    ties = (magnitudes == threshold).nonzero().flatten()
    mask[ties[: count - int(mask.sum())]] = True
    return mask
