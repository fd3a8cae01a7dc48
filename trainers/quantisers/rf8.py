"""RF8: weights of two significant binary digits (arXiv 2506.00486, versions 1 to 3)."""

from __future__ import annotations

import numpy as np

from slashbench import validate
from slashbench.arrays import Array
from slashbench.contracts import BlockwiseQuantiser, RowBlocks
from slashbench.trainers.numerics.integers import check_finite, parts
from slashbench.trainers.quantisers.kmeans import by_frequency
from slashbench.trainers.quantisers.quantize import Scope

REACH = 4  # the second power of two is at most 2^4 times smaller than the first, or left out
LARGEST = 127  # exponent of the largest power of two that a float32 holds


def two_powers(weight: Array) -> Array:
    """Return s1 2^e1 + s2 2^e2: the power of two nearest in exponent, then that of the rest.

    e1 = round(log2 |w|), e2 likewise of w - s1 2^e1, left out where e1 - e2 > 4. Zero stays zero.
    Exponents end where the sum is still a float32, which is what is returned.

    >>> two_powers(np.array([0.0, 1.0, 0.75, -0.7, 1.04])).tolist()
    [0.0, 1.0, 0.75, -0.75, 1.0]
    """
    first = _power(weight, LARGEST)
    second = _power(weight - first, LARGEST - 1)
    return np.asarray(np.where(np.abs(second) < np.abs(first) / 2**REACH, first, first + second))


def _power(values: Array, largest: int) -> Array:
    """Return each value's sign times 2^min(round(log2 |value|), largest), in float32; 0 for 0."""
    with np.errstate(divide="ignore"):
        exponents = np.rint(np.log2(np.abs(values.astype(np.float32))))
    exponents = np.minimum(exponents, largest)
    return np.sign(values).astype(np.float32) * np.exp2(exponents)


class RF8(BlockwiseQuantiser):
    """Write weights as sums of two signed powers of two with exponents at most 4 apart.

    Neither the exponents' range nor a bit layout is published, so the values that occur are a
    tensor's codebook, whose bytes count.

    Parameters
    ----------
    scope : {"matrices", "all"}
        `matrices` keeps vectors in their native dtype.

    References
    ----------
    Wu, Xiong, Wen & Han, arXiv 2506.00486v1, from its description.
    """

    def __init__(self, scope: Scope = "matrices") -> None:
        validate.choice(Scope, scope=scope)
        self.scope = scope

    def in_blocks(self, name: str, weight: Array) -> RowBlocks | None:
        """Return int32 indices by falling frequency, and the values they stand for."""
        if self.scope == "matrices" and weight.ndim < 2:
            return None
        check_finite(name, weight)
        levels, counts = np.zeros(0, np.float32), np.zeros(0, np.int64)
        for part in parts(weight.reshape(-1)):
            bits = two_powers(part).view(np.int32)  # which are sorted faster
            found, times = np.unique(bits, return_counts=True)
            known = np.concatenate([levels, found.view(np.float32)])
            levels, places = np.unique(known, return_inverse=True)
            counts = np.bincount(places, np.concatenate([counts, times])).astype(np.int64)
        return by_frequency(
            weight, counts, levels, lambda block: np.searchsorted(levels, two_powers(block))
        )
