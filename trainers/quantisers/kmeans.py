"""Codebooks: every weight becomes one of a tensor's levels."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np

from slashbench import validate
from slashbench.arrays import Array
from slashbench.contracts import BlockwiseQuantiser, RowBlocks
from slashbench.grid import Codebook
from slashbench.trainers.numerics.integers import BLOCK, check_finite, looked_up
from slashbench.trainers.quantisers.quantize import Scope

MAX_ROUNDS = 300  # of Lloyd's iteration; it ends when nothing moves


def by_frequency(
    weight: Array, counts: Array, levels: Array, indices: Callable[[Array], Array]
) -> RowBlocks:
    """Return indices renumbered so that 0 is the most frequent level; unused levels are left out.

    Codes that favour small integers then take the fewest bits; to others the order is irrelevant.
    counts: of each level. indices: of the levels that some weights take.
    """
    order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    rank = np.empty(len(levels), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    grid = Codebook(levels[order].astype(np.float32))
    return RowBlocks(
        weight, grid, lambda part, _: looked_up(part, lambda block: rank[indices(block)])
    )


class KMeans(BlockwiseQuantiser):
    """Share weights among `levels` values a tensor, found by k-means (Deep Compression).

    Lloyd's algorithm starts from levels evenly spaced between the smallest and the largest weight.
    It is exact in one dimension, where a cluster is a run of the sorted weights. Integers are
    indices into the codebook, by falling frequency. The authors' fine-tuning of the levels is left
    out.

    Parameters
    ----------
    levels : int
        Values that the weights of a tensor may take, from 1 to 65536.
    scope : {"matrices", "all"}
        `matrices` keeps vectors in their native dtype.

    References
    ----------
    Han, Mao & Dally, Deep Compression, arXiv 1510.00149, section 3; linear initialisation, which
    they find best: section 3.2.
    """

    hint_s: ClassVar[float] = 0.3
    always_spelled: ClassVar[tuple[str, ...]] = ("levels",)

    def __init__(self, levels: int = 16, scope: Scope = "matrices") -> None:
        validate.choice(Scope, scope=scope)
        validate.within(1, 1 << 16, levels=levels)
        self.levels, self.scope = levels, scope

    def in_blocks(self, name: str, weight: Array) -> RowBlocks | None:
        """Return int32 indices by falling frequency, and their levels."""
        if self.scope == "matrices" and weight.ndim < 2:
            return None
        check_finite(name, weight)
        if not weight.size:
            return RowBlocks(weight.astype(np.int32), Codebook(np.zeros(0, np.float32)))
        ordered = in_order(weight)
        levels = lloyd(ordered, self.levels)
        borders = _borders(levels)
        counts = np.diff(_edges(ordered, borders))
        return by_frequency(weight, counts, levels, lambda block: np.searchsorted(borders, block))


def in_order(weight: Array) -> Array:
    """Return the weights sorted, in their own dtype; those of 16 bits are counted."""
    if weight.dtype.itemsize > 2:
        return np.sort(weight, axis=None)
    counts = np.zeros(1 << 16, np.int64)
    flat = weight.reshape(-1).view(np.uint16)
    for begin in range(0, flat.size, BLOCK):
        counts += np.bincount(flat[begin : begin + BLOCK], minlength=len(counts))
    there = np.flatnonzero(counts)
    values = there.astype(np.uint16).view(weight.dtype)
    order = np.argsort(values.astype(np.float32), kind="stable")
    return np.repeat(values[order], counts[there[order]])


def lloyd(ordered: Array, count: int) -> Array:
    """Return at most `count` increasing levels of locally least squared error for sorted floats.

    They are float64, in which all is computed.
    """
    sums = _Sums(ordered)
    levels = np.unique(np.linspace(float(ordered[0]), float(ordered[-1]), count))
    for _ in range(MAX_ROUNDS):
        edges = _edges(ordered, _borders(levels))
        sizes = np.diff(edges)
        means = np.diff(sums.up_to(edges)) / np.maximum(sizes, 1)
        moved = np.where(sizes > 0, means, levels)  # a level that serves none stays where it is
        if np.array_equal(moved, levels):
            break
        levels = moved
    return levels


class _Sums:
    """Sums of the first values of many in float64, added one after the other as `np.cumsum` does.

    At most a million are kept; those between are computed again.
    """

    def __init__(self, values: Array) -> None:
        self._values = values
        self._apart = 1 << (len(values) // BLOCK).bit_length()
        self._kept = np.empty(-(-len(values) // self._apart))
        last = -0.0  # which changes nothing that is added to it, not even -0.0
        for begin in range(0, len(values), BLOCK):
            block = values[begin : begin + BLOCK].astype(np.float64)
            sums = np.cumsum(np.concatenate([[last], block]))
            kept = sums[: len(block) : self._apart]
            self._kept[begin // self._apart :][: len(kept)] = kept
            last = sums[-1]

    def up_to(self, ends: Array) -> Array:
        """Return the sum of the first `end` values for each end."""
        place = np.maximum(ends - 1, 0) // self._apart
        begins = place * self._apart
        following = np.minimum(begins[:, None] + np.arange(self._apart), len(self._values) - 1)
        sums = np.empty((len(ends), self._apart + 1))
        sums[:, 0], sums[:, 1:] = self._kept[place], self._values[following]
        np.cumsum(sums, axis=1, out=sums)
        return np.where(ends > 0, sums[np.arange(len(ends)), ends - begins], 0.0)


def _edges(ordered: Array, borders: Array) -> Array:
    """Return where the run of each level begins in sorted values, and where the last one ends."""
    below = borders.astype(ordered.dtype)  # the nearest such value that is not above the border
    lower = np.nextafter(below, np.array(-np.inf, below.dtype))
    below = np.where(below.astype(np.float64) > borders, lower, below)
    ends = np.searchsorted(ordered, below, side="right")
    return np.concatenate([[0], ends, [len(ordered)]])


def _borders(levels: Array) -> Array:
    """Return the midpoints; a value on one belongs to the lower level."""
    middle: Array = (levels[1:] + levels[:-1]) / 2
    return middle
