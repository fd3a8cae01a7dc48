"""Codebooks: every weight becomes one of a tensor's levels."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from slashbench.contracts import Quantised, Quantiser
from slashbench.grid import Levels
from slashbench.trainers.integers import check_finite
from slashbench.trainers.quantize import Scope

Array = npt.NDArray[Any]

MAX_ROUNDS = 300  # of Lloyd's iteration; it ends when nothing moves


def by_frequency(indices: Array, levels: Array) -> Quantised:
    """Indices renumbered so that 0 is the most frequent level, unused levels left out.

    Codes that favour small integers then take the fewest bits; to others the order is all the same.
    """
    counts = np.bincount(indices.reshape(-1), minlength=len(levels))
    order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    rank = np.empty(len(levels), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return Quantised(rank[indices], Levels(levels[order].astype(np.float32)))


class KMeans(Quantiser):
    """Share weights among `levels` values a tensor, found by k-means (Deep Compression).

    Han, Mao & Dally, arXiv 1510.00149, section 3: Lloyd's algorithm from levels evenly spaced
    between the least and the greatest weight ("linear", which they find best), without their
    fine-tuning of the levels. Exact in one dimension: a cluster is a run of the sorted weights.
    scope: matrices only, vectors staying in their native dtype; or all.
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("levels",)

    def __init__(self, levels: int = 16, scope: Scope = "matrices") -> None:
        if not 1 <= levels <= 1 << 16:
            raise ValueError(f"levels={levels} must be from 1 to 65536")
        self.levels, self.scope = levels, scope

    def quantise(self, name: str, weight: Array) -> Quantised | None:
        """int32 indices by falling frequency, and their levels."""
        if self.scope == "matrices" and weight.ndim < 2:
            return None
        check_finite(name, weight)
        if not weight.size:
            return Quantised(weight.astype(np.int32), Levels(np.zeros(0, np.float32)))
        levels = lloyd(np.sort(weight, axis=None).astype(np.float64), self.levels)
        indices = np.searchsorted(_borders(levels), weight)
        return by_frequency(indices, levels)


def lloyd(ordered: Array, count: int) -> Array:
    """At most `count` increasing levels of locally least squared error for sorted float64s."""
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    levels = np.unique(np.linspace(ordered[0], ordered[-1], count))
    for _ in range(MAX_ROUNDS):
        ends = np.searchsorted(ordered, _borders(levels), side="right")
        edges = np.concatenate([[0], ends, [len(ordered)]])
        sizes = np.diff(edges)
        means = np.diff(sums[edges]) / np.maximum(sizes, 1)
        moved = np.where(sizes > 0, means, levels)  # a level that serves none stays where it is
        if np.array_equal(moved, levels):
            break
        levels = moved
    return levels


def _borders(levels: Array) -> Array:
    """Midpoints: a value on one belongs to the lower level."""
    middle: Array = (levels[1:] + levels[:-1]) / 2
    return middle
