"""Prefix codes from counts: best lengths under a limit, and the canonical codewords for lengths."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from slashbench.codecs.kernels.prefix import MAX_LENGTH, Codes, Lengths
from slashbench.errors import CorruptStream


def package_merge(counts: npt.NDArray[np.int64], limit: int) -> Lengths:
    """Codeword lengths, at most `limit`, that minimise (counts * lengths).sum().

    Larmore and Hirschberg, "A fast algorithm for optimal length-limited Huffman codes", JACM
    37(3), 1990. For two or more symbols. Ties are broken by order: of two equal counts the later
    one gets the shorter codeword if they differ at all.
    """
    n = counts.size
    if n > 1 << limit:
        raise ValueError(f"{n} symbols don't fit codewords of at most {limit} bits")
    order = np.argsort(counts, kind="stable")
    leaves = counts[order]
    # One row of coins per bit level: all leaves, and the pairs of the row before.
    packages = np.zeros(0, np.int64)
    rows = []
    for _ in range(limit):
        coins = np.concatenate([leaves, packages])
        ranked = np.argsort(coins, kind="stable")  # a leaf before a package of the same weight
        rows.append(ranked < n)  # True where the coin is a leaf
        coins = coins[ranked]
        packages = coins[: coins.size // 2 * 2].reshape(-1, 2).sum(axis=1)
    # Buy the 2n - 2 lightest coins of the last row, and what their packages are made of.
    lengths = np.zeros(n, np.uint8)
    wanted = 2 * n - 2
    for is_leaf in reversed(rows):
        n_leaves = int(np.count_nonzero(is_leaf[:wanted]))
        lengths[order[:n_leaves]] += 1  # always the n_leaves lightest
        wanted = 2 * (wanted - n_leaves)
    return lengths


def canonical(lengths: npt.NDArray[np.int64]) -> Codes:
    """The codewords: numbers that count up, shortest first, within a length in symbol order.

    Raises CorruptStream unless the lengths make a complete code, whose codewords begin every
    possible string of bits (Kraft's sum is exactly 1).

    >>> [f"{code:b}" for code in canonical(np.array([2, 1, 3, 3]))]
    ['10', '0', '110', '111']
    """
    if lengths.min() < 1 or lengths.max() > MAX_LENGTH:
        raise CorruptStream(f"a codeword length is not in 1 to {MAX_LENGTH}")
    order = np.argsort(lengths, kind="stable")
    width = np.int64(1) << (MAX_LENGTH - lengths[order])  # share of all 32-bit strings
    if int(width.sum()) != 1 << MAX_LENGTH:
        raise CorruptStream("the codeword lengths don't make a complete prefix code")
    codes = np.empty(lengths.size, np.uint32)
    codes[order] = (np.cumsum(width) - width) >> (MAX_LENGTH - lengths[order])
    return codes
