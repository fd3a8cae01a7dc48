"""Differences as products of two thin matrices."""

from __future__ import annotations

from typing import ClassVar

import torch

from slashbench import validate
from slashbench.contracts import Calibration, Transform, Weights
from slashbench.errors import UsageError
from slashbench.update_layout import LEFT, RIGHT


class Factors(Transform):
    """Replace each matrix's difference by the best two factors of a rank, in the order of `delta`.

    From the singular value decomposition, with the singular values shared out evenly: the factors
    that `lora` trained, turned so that each column and row stands for itself, or the nearest of
    that rank to any other difference. Matrices for which two factors would hold no fewer numbers
    stay as they are, and so do embedding tables and what is not in the base.

    Parameters
    ----------
    rank : int
        Columns of a left factor.

    References
    ----------
    Ping et al., Delta-CoMe: Training-Free Delta-Compression with Mixed-Precision for Large Language
    Models, arXiv 2406.08903, section 3.
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("rank",)

    def __init__(self, rank: int = 4) -> None:
        validate.at_least(1, rank=rank)
        self.rank = rank

    def apply(self, weights: Weights, calibration: Calibration) -> Weights:
        """Return factors in the place of matrices. Raises UsageError without a base."""
        if not calibration.base:
            raise UsageError("factors is for updates: write it behind delta")
        found: Weights = {}
        for name, w in weights.items():
            thin = w.ndim == 2 and self.rank * sum(w.shape) < w.numel()
            table = calibration.model.is_embedding(name)
            if not thin or table or name not in calibration.base or calibration.why_kept(name, w):
                found[name] = w
            elif w.count_nonzero():
                left, values, right = torch.linalg.svd(w.double(), full_matrices=False)
                root = values[: self.rank].sqrt()
                found[name + LEFT] = (left[:, : self.rank] * root).float()
                found[name + RIGHT] = (root[:, None] * right[: self.rank]).float()
        return found
