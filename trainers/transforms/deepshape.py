"""DeepShape: the histogram of trained weights reshaped (arXiv 2506.00486, versions 1 to 3)."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import gammaincinv

from slashbench.contracts import Calibration, Transform, Weights
from slashbench.trainers.numerics import ggd
from slashbench.trainers.numerics.layer_inputs import check_finite, replaced

GRID = 2.0**-13  # weights are ranked, and written, on this grid


class DeepShape(Transform):
    """Map magnitudes in order onto a generalised Gaussian of lower shape and smaller scale.

    Wu, Xiong, Wen & Han, arXiv 2506.00486v1, from its description: shape and scale of all matrices
    together are estimated by moments; the target has `shape` times that shape and `scale` times
    that scale; a weight of rank r among n gets the target's quantile at r. Here by magnitude, the
    sign being kept, equal weights get equal values, and zero stays zero. Vectors (norms, biases),
    which the authors' exclusion of rare values leaves out, are left alone. They train on afterwards
    to win the accuracy back; this does not.
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("shape", "scale")

    def __init__(self, shape: float = 0.8, scale: float = 0.6) -> None:
        for name, value in (("shape", shape), ("scale", scale)):
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{name}={value} must be a finite number > 0")
        self.shape, self.scale = shape, scale

    def apply(self, weights: Weights, calibration: Calibration) -> Weights:
        """New weights. Raises Unencodable for weights that are not finite."""
        matrices = {
            name: w
            for name, w in {id(w): (n, w) for n, w in weights.items()}.values()  # tied ones once
            if w.is_floating_point() and w.ndim >= 2 and w.numel()
        }
        if not matrices:
            return dict(weights)
        for name, w in matrices.items():
            check_finite(name, w)
        levels = {
            name: (w.double().abs() / GRID).round().long().numpy() for name, w in matrices.items()
        }
        table = self._table(np.bincount(np.concatenate([v.ravel() for v in levels.values()])))
        new = {
            name: torch.from_numpy(table[levels[name]]).to(w.dtype) * w.sign()
            for name, w in matrices.items()
        }
        return replaced(weights, new)

    def _table(self, counts: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The new magnitude of each level of the grid, given how many weights lie on it."""
        values = np.arange(len(counts)) * GRID
        mean, square = (float(counts @ values**power) / counts.sum() for power in (1, 2))
        if mean == 0.0:
            return values
        shape = ggd.shape_from_ratio(square / mean**2)
        target_scale = self.scale * ggd.scale_from_moments(square, shape)
        target_shape = self.shape * shape
        ranks = (np.cumsum(counts) - counts / 2) / counts.sum()
        # |x| = scale t^(1/shape), t Gamma(1/shape) distributed
        magnitudes = target_scale * gammaincinv(1 / target_shape, ranks) ** (1 / target_shape)
        magnitudes[0] = 0.0
        return np.asarray(np.rint(magnitudes / GRID) * GRID)
