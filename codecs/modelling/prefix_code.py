"""Prefix codes from counts: the best lengths under a limit, and the canonical codewords."""

from __future__ import annotations

import numpy as np

from slashbench.arrays import Int64s, UInt64s
from slashbench.codecs.kernels import huffman_code
from slashbench.codecs.kernels.prefix import MAX_LENGTH
from slashbench.errors import CorruptStream


def package_merge(counts: Int64s, limit: int) -> Int64s:
    """Return codeword lengths, at most `limit`, that minimise (counts * lengths).sum().

    Larmore and Hirschberg, "A fast algorithm for optimal length-limited Huffman codes", JACM
    37(3), 1990. For two or more symbols. Ties are broken by order: of two equal counts the later
    one gets the shorter codeword if they differ at all.
    """
    if counts.size > 1 << limit:
        raise ValueError(f"{counts.size} symbols don't fit codewords of at most {limit} bits")
    order = np.argsort(counts, kind="stable")
    ascending = np.empty(counts.size, np.int64)
    huffman_code.package_merge(counts[order], limit, ascending)
    lengths = np.empty(counts.size, np.int64)
    lengths[order] = ascending
    return lengths


def canonical(lengths: Int64s) -> UInt64s:
    """Return the codewords, least significant bit first; 0 for a symbol of length 0.

    Raises CorruptStream unless the lengths make a complete code, whose codewords begin every
    possible string of bits (Kraft's sum is exactly 1), each from 1 to MAX_LENGTH.

    >>> [f"{code:b}"[::-1] for code in canonical(np.array([2, 1, 3, 3]))]
    ['1', '0', '11', '111']
    """
    codes = np.zeros(lengths.size, np.uint64)
    if not huffman_code.canonical(lengths, codes):
        raise CorruptStream(
            f"the codeword lengths make no complete prefix code of at most {MAX_LENGTH} bits"
        )
    return codes
