"""DeepShape: the histogram of trained weights reshaped (arXiv 2506.00486, versions 1 to 3)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from scipy.special import gammaincinv

from slashbench import validate
from slashbench.arrays import Array
from slashbench.contracts import Calibration, Transform, Weights
from slashbench.trainers.numerics import ggd
from slashbench.trainers.numerics.new_weights import cast, replaced

GRID = 2.0**-13  # weights are ranked, and written, on this grid


class DeepShape(Transform):
    """Map magnitudes in order onto a generalised Gaussian of lower shape and smaller scale.

    Shape and scale of all matrices together are estimated by moments; a weight of rank r among n
    gets the target's quantile at r. Here by magnitude, the sign being kept, equal weights get equal
    values, and zero stays zero. Vectors (norms, biases), which the authors' exclusion of rare
    values leaves out, are left alone. The authors train on afterwards to win the accuracy back;
    this does not.

    Parameters
    ----------
    shape : float
        The target's shape as a multiple of the estimated one.
    scale : float
        The target's scale as a multiple of the estimated one.

    References
    ----------
    Wu, Xiong, Wen & Han, arXiv 2506.00486v1, from its description.
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("shape", "scale")

    def __init__(self, shape: float = 0.8, scale: float = 0.6) -> None:
        validate.positive(shape=shape, scale=scale)
        self.shape, self.scale = shape, scale

    def apply(self, weights: Weights, calibration: Calibration) -> Weights:
        """Return new weights."""
        matrices = {
            name: w
            for name, w in {id(w): (n, w) for n, w in weights.items()}.values()  # tied ones once
            if w.ndim >= 2 and w.numel() and not calibration.why_kept(name, w)
        }
        if not matrices:
            return dict(weights)
        levels = {name: (w.double().abs() / GRID).round().numpy() for name, w in matrices.items()}
        seen, counts = np.unique(
            np.concatenate([of.ravel() for of in levels.values()]), return_counts=True
        )
        table = self._table(seen * GRID, counts)
        new = {}
        for name, w in matrices.items():
            magnitudes = torch.from_numpy(table[np.searchsorted(seen, levels[name])])
            new[name] = cast(magnitudes, w.dtype) * w.sign()
        return replaced(weights, new)

    def _table(self, values: Array, counts: Array) -> Array:
        """Return the new magnitude of each of the increasing `values`, of so many weights."""
        mean, square = (float(counts @ values**power) / counts.sum() for power in (1, 2))
        if mean == 0.0:
            return values
        shape = ggd.shape_from_ratio(square / mean**2)
        target_scale = self.scale * ggd.scale_from_moments(square, shape)
        target_shape = self.shape * shape
        ranks = (np.cumsum(counts) - counts / 2) / counts.sum()
        # |x| = scale t^(1/shape), t Gamma(1/shape) distributed
        magnitudes = target_scale * gammaincinv(1 / target_shape, ranks) ** (1 / target_shape)
        magnitudes[values == 0] = 0.0
        return np.asarray(np.rint(magnitudes / GRID) * GRID)
