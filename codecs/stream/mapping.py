"""Signed symbols to the unsigned integers that a code wants: zig-zag, and by rank.

Zig-zag needs no table: 0, -1, 1, -2, 2, ... become 0, 1, 2, 3, 4, ..., a bijection of int32 and
uint32 (as in Protocol Buffers). The rank map is the paper's (BackSlash, arXiv:2504.16968,
Algorithm 2): values are numbered by falling frequency, and the table of values is sent.
"""

from __future__ import annotations

import numpy as np

from slashbench.arrays import Int64s, Symbols, UInt32s


def zigzag(symbols: Symbols) -> UInt32s:
    """Small magnitudes to small numbers.

    >>> zigzag(np.array([0, -1, 1, -2, 2, -(2**31)], np.int32)).tolist()
    [0, 1, 2, 3, 4, 4294967295]
    """
    sign = (symbols >> 31).view(np.uint32)  # all ones below zero
    mapped: UInt32s = symbols.view(np.uint32) << np.uint32(1)
    mapped ^= sign
    return mapped


def unzigzag(values: UInt32s) -> Symbols:
    """Undo `zigzag`."""
    negative = np.uint32(0) - (values & np.uint32(1))
    symbols: UInt32s = values >> np.uint32(1)
    symbols ^= negative
    return symbols.view(np.int32)


def zigzag_of(symbol: int) -> int:
    """`zigzag` of one number."""
    return symbol << 1 if symbol >= 0 else ~(symbol << 1)


def unzigzag_of(value: int) -> int:
    """Undo `zigzag_of`."""
    return value >> 1 ^ -(value & 1)


def by_rank(values: Symbols, counts: Int64s) -> Symbols:
    """Return distinct values in the paper's order: most frequent first, then small |v|, then v < 0.

    >>> by_rank(np.array([-3, -1, 0, 1], np.int32), np.array([9, 2, 5, 2])).tolist()
    [-3, 0, -1, 1]
    """
    ranked: Symbols = values[np.lexsort((zigzag(values), -counts))]
    return ranked


def rank_table(ranked: Symbols) -> UInt32s:
    """Return ranked values as zig-zagged differences between neighbours' zig-zag values.

    Frequency falls with |v| in a typical tensor, so they are small. Sums wrap around at 2^32.
    """
    places = zigzag(ranked)
    return zigzag(np.diff(places, prepend=np.uint32(0)).view(np.int32))


def from_rank_table(table: UInt32s) -> Symbols:
    """Undo `rank_table`."""
    places = np.cumsum(unzigzag(table).view(np.uint32), dtype=np.uint32)
    return unzigzag(places)
