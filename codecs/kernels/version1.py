"""Canonical prefix codes of stream version 1: one stream, most significant bit first; decoding.

Codewords of one length are consecutive numbers, so the first of each length tells them all
(Schwartz and Kallick, CACM 7(3), 1964).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slashbench.arrays import Int32s, Int64s, UInt32s
from slashbench.codecs.kernels import kernel
from slashbench.codecs.kernels.bitio import DAMAGED, to_words, used_bytes
from slashbench.errors import CorruptStream

MAX_LENGTH = 32
TABLE_BITS = 12


def decode(data: bytes, count: int, lengths: Int64s) -> Int32s:
    """The `count` indices. Raises CorruptStream unless their codewords fill the data."""
    if lengths.min() < 1 or lengths.max() > MAX_LENGTH:
        raise CorruptStream(f"a codeword length is not in 1 to {MAX_LENGTH}")
    if int((np.int64(1) << (MAX_LENGTH - lengths)).sum()) != 1 << MAX_LENGTH:
        raise CorruptStream("the codeword lengths don't make a complete prefix code")
    if count * int(lengths.min()) > 8 * len(data):
        raise CorruptStream(f"{len(data)} bytes can't hold {count} codewords")
    order = np.argsort(lengths, kind="stable").astype(np.uint32)
    table = _short_codes(order, lengths)
    number = np.bincount(lengths, minlength=MAX_LENGTH + 1)
    start = np.cumsum(number) - number  # of each length, in `order`
    first = np.zeros_like(number)  # codeword of each length
    for length in range(1, MAX_LENGTH + 1):
        first[length] = (first[length - 1] + number[length - 1]) * 2
    indices = np.empty(count, np.int32)
    bits = _decode(to_words(data), table, order, first, number, start, indices)
    if used_bytes(data, bits) != len(data):
        raise CorruptStream("there are bytes after the last codeword")
    return indices


def _short_codes(order: UInt32s, lengths: Int64s) -> UInt32s:
    """For each TABLE_BITS bits that may come next, index << 8 | length; 0 for a longer codeword."""
    ordered = lengths[order]
    n_short = int(np.searchsorted(ordered, TABLE_BITS, side="right"))
    entries = order[:n_short] << np.uint32(8) | ordered[:n_short].astype(np.uint32)
    table = np.zeros(1 << TABLE_BITS, np.uint32)
    filled = np.repeat(entries, 1 << (TABLE_BITS - ordered[:n_short]))
    table[: filled.size] = filled
    return table


@kernel
def _decode(
    words: UInt32s,
    table: UInt32s,
    order: UInt32s,
    first: Int64s,
    number: Int64s,
    start: Int64s,
    indices: Int32s,
) -> int:
    """Fill `indices`. Returns the number of bits read, or DAMAGED."""
    position, window, have = 0, np.uint64(0), 0
    for i in range(indices.size):
        while have <= 32 and position < words.size:
            window |= np.uint64(words[position]) << np.uint64(32 - have)
            position += 1
            have += 32
        entry = table[window >> np.uint64(64 - TABLE_BITS)]
        length: Any = np.int64(entry & np.uint32(0xFF))
        index: Any = np.int64(entry >> np.uint32(8))
        if length == 0:
            length = TABLE_BITS + 1
            rank: Any = np.int64(0)
            while length <= MAX_LENGTH:
                rank = np.int64(window >> np.uint64(64 - length)) - first[length]
                if 0 <= rank < number[length]:
                    break
                length += 1
            if length > MAX_LENGTH or start[length] + rank >= order.size:
                return DAMAGED
            index = np.int64(order[start[length] + rank])
        if length > have:
            return DAMAGED
        indices[i] = index
        window <<= np.uint64(length)
        have -= length
    return position * 32 - have
