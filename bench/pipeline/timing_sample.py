"""Which part of the tensors a codec is timed on: all of them, or a fixed sample if it is slow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from slashbench.arrays import Array

#: Shares of the tensors that a codec may be timed on, from the whole down. Fixed, so that the
#: figures of two runs are of the same values or of stated other ones.
SHARES = tuple(Fraction(1, 4**power) for power in range(6))

#: No sample is smaller, unless there is no more: tables and calls would weigh too much.
LEAST_VALUES = 1 << 17


def sample(arrays: Sequence[Array], share: Fraction) -> list[Array]:
    """Return the middle rows of each tensor, `share` of them and at least one, as views.

    Rows stay whole, since codecs may model them; the type and the number of dimensions stay too.
    """
    if share == 1:
        return list(arrays)
    return [_middle(array, share) for array in arrays if array.size]


def largest_share(
    arrays: Sequence[Array], seconds_of: Callable[[Sequence[Array]], float], budget_s: float
) -> Fraction:
    """Return the largest of SHARES on which one pass takes at most `budget_s` seconds.

    Parameters
    ----------
    seconds_of
        Measures one pass over some arrays. It is asked about samples from the smallest on, each
        four times as large, and about no more than one that is too large.
    """
    allowed = [share for share in SHARES if share == 1 or _values(arrays, share) >= LEAST_VALUES]
    found = allowed[-1]
    for share in reversed(allowed[:-1]):
        if 4 * seconds_of(sample(arrays, found)) > budget_s:
            break
        found = share
    return found


def _values(arrays: Sequence[Array], share: Fraction) -> int:
    return int(share * sum(array.size for array in arrays))


def _middle(array: Array, share: Fraction) -> Array:
    if array.ndim == 0:
        return array
    rows = max(1, int(len(array) * share))
    start = (len(array) - rows) // 2
    return array[start : start + rows]
