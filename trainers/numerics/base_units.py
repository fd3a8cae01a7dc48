"""What the differences of each tensor are measured in: the size of its weights in the base."""

from __future__ import annotations

from collections.abc import Mapping

import torch

LEAST = 2.0**-14  # the smallest float16 with all its digits


def units(base: Mapping[str, torch.Tensor]) -> dict[str, float]:
    """Return the root mean square of each tensor, rounded to float16."""
    return {name: _rounded(_mean_square([w])) for name, w in base.items() if w.numel()}


def unit_of_new(base: Mapping[str, torch.Tensor], factor: float = 1.0) -> float:
    """Return the unit of tensors that are not in the base, `factor` times that of all matrices."""
    matrices = [w for w in base.values() if w.ndim > 1 and w.numel()] or list(base.values())
    return _rounded(_mean_square(matrices) * factor**2) if matrices else factor


def _mean_square(tensors: list[torch.Tensor]) -> float:
    total = sum(float(w.detach().square().sum(dtype=torch.float64)) for w in tensors)
    return total / max(sum(w.numel() for w in tensors), 1)


def _rounded(mean_square: float) -> float:
    return float(torch.tensor(max(mean_square**0.5, LEAST)).half())
