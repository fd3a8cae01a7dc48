"""A frequency table from two numbers: the generalised Gaussian, cut into cells.

The weights of a trained layer follow exp(-|x / scale|^shape) closely, with shapes between 1 and 2
(BackSlash, arXiv:2504.16968, section 3); after rounding, a symbol's probability is the integral
over its cell. Shape and scale take the place of a table. Location is zero: the means of weight
matrices are some hundredths of their deviation, which costs a squared part of that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slashbench.arrays import Float64s, Int64s
from slashbench.codecs.kernels import generalised_gaussian as kernels
from slashbench.errors import CorruptStream

MAX_REACH = 2047  # a table has at most 4096 values


@dataclass(frozen=True, slots=True)
class GeneralisedGaussian:
    """A model of the integers -reach to reach, by indices on two logarithmic grids.

    The shape is 2^(shape / 32 - 4), 1/16 to 8; the scale is 2^(scale / 64 - 8), in symbols.
    """

    shape: int
    scale: int
    reach: int

    def check(self, bits: int) -> None:
        """Raises CorruptStream for indices off their grids, or a reach over 2^bits / 8."""
        if not (
            0 <= self.shape <= kernels.MAX_SHAPE
            and 0 <= self.scale <= kernels.MAX_SCALE
            and 0 <= self.reach <= max_reach(bits)
        ):
            raise CorruptStream(f"no generalised Gaussian for tables of {bits} bits: {self}")

    def frequencies(self, bits: int) -> Int64s:
        """Return frequencies that sum to 2^bits, all at least 1, shape (2 reach + 1,)."""
        masses = np.empty(self.reach + 1)
        kernels.cells(self.shape, self.scale, masses)
        frequencies = np.empty(2 * self.reach + 1, np.int64)
        kernels.share(masses, bits, frequencies)
        return frequencies


def max_reach(bits: int) -> int:
    """Largest reach of a table that sums to 2^bits: a quarter of it goes to rare values at most."""
    return 1 << bits - 3


def fit(folded: Int64s) -> GeneralisedGaussian:
    """Fit the model that codes these magnitudes in the fewest bits; its reach is theirs.

    folded: how often 0, 1, 2, ... occur as a magnitude, shape (reach + 1,). Approximate maximum
    likelihood; the encoder's business alone, so it may use any logarithm.
    """
    counts = folded.astype(np.float64)
    shape, scale = kernels.fit(counts, *_from_moments(counts), 2)
    return GeneralisedGaussian(shape, scale, folded.size - 1)


def _from_moments(counts: Float64s) -> tuple[int, int]:
    """Indices near the best: from E[x^2] / E[|x|]^2, 2 for Laplace and 1.57 for a Gaussian.

    Straight lines and a parabola through those two and what lies between (Mallat, IEEE Trans.
    PAMI 11(7), 1989, solves for the shape); rounding adds 1/12 to E[x^2] (Sheppard).
    """
    values, n = np.arange(counts.size), max(float(counts.sum()), 1.0)
    mean = max(float(counts @ values) / n, 1e-3)
    square = max(float(counts @ (values * values)) / n - 1 / 12, mean * mean)
    octaves = min(max((2.0 - square / (mean * mean)) / 0.43, -1.0), 1.2)  # log2 of the shape
    log_scale = 0.5 * np.log2(square) - 0.5 + 1.46 * octaves - 0.46 * octaves * octaves
    scale = kernels.SCALE_ZERO + round(kernels.SCALE_STEPS * log_scale)
    shape = kernels.SHAPE_ZERO + round(kernels.SHAPE_STEPS * octaves)
    return shape, min(max(scale, 0), kernels.MAX_SCALE)
