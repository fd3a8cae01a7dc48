"""Order-0 entropy."""

from __future__ import annotations

import numpy as np

from slashbench.arrays import Array
from slashbench.codecs.base import Bound, as_int32
from slashbench.codecs.modelling.alphabet import histogram
from slashbench.codecs.stream.frame import domain_of
from slashbench.errors import Unencodable


def order0_bits(array: Array) -> float:
    """Return n * H of the array's own value frequencies, in bits; 0 for an empty or constant one.

    >>> order0_bits(np.array([0, 0, 0, 1, 1, 1, 5, 5, 5, -5, -5, -5], np.int8))
    24.0
    """
    if domain_of(array.dtype) != "integers":
        raise Unencodable(
            f"order-0 entropy is taken of integers, int8 to int32 and uint8 to uint32, not of "
            f"{array.dtype}"
        )
    counts = histogram(as_int32(np.ascontiguousarray(array).reshape(-1))).counts
    return float((counts * np.log2(counts.sum() / counts)).sum())


class Entropy(Bound):
    """Order-0 entropy of each tensor, in bits: a bound, not a code (Shannon 1948).

    No code that treats the symbols of a tensor alike and apart takes fewer bits. Nothing can be
    decoded from it, since no table is counted. A code that models neighbours, rows or columns may
    go below.

    References
    ----------
    C. E. Shannon, "A mathematical theory of communication", Bell System Technical Journal 27, 1948.
    """

    def bits(self, array: Array) -> float:
        """Return n * H of one tensor of any shape, in bits."""
        return order0_bits(array)
