"""Canonical prefix codes: a table answers for short codewords, first codes for longer ones.

Schwartz and Kallick, "Generating a canonical prefix encoding", CACM 7(3), 1964: codewords of one
length are consecutive numbers, so the first of each length tells them all.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from slashbench.codecs.kernels import kernel
from slashbench.codecs.kernels.bitio import (
    DAMAGED,
    Words,
    new_words,
    to_bytes,
    to_words,
    used_bytes,
)
from slashbench.errors import CorruptStream

MAX_LENGTH = 32
TABLE_BITS = 12  # 4096 entries of 4 bytes stay in the first-level cache

Indices = npt.NDArray[np.int32]
Lengths = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.uint32]
Integers = npt.NDArray[np.int64]


def encode(indices: Indices, lengths: Lengths, codes: Codes, bits: int) -> bytes:
    """The codewords of the indices, `bits` bits in all, padded to a byte with zeros."""
    words = new_words(bits)
    written = _encode(indices, lengths, codes, words)
    if written != bits:
        raise ValueError(f"{bits} bits were announced, {written} written")
    return to_bytes(words, bits)


def decode(data: bytes, count: int, lengths: Lengths) -> Indices:
    """The `count` indices. Raises CorruptStream unless their codewords fill the data.

    lengths: of a complete code (Kraft's sum is 1), each from 1 to MAX_LENGTH.
    """
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


def _short_codes(order: Codes, lengths: Lengths) -> Codes:
    """For each TABLE_BITS bits that may come next, index << 8 | length; 0 for a longer codeword."""
    ordered = lengths[order]
    n_short = int(np.searchsorted(ordered, TABLE_BITS, side="right"))
    entries = order[:n_short] << np.uint32(8) | ordered[:n_short]
    table = np.zeros(1 << TABLE_BITS, np.uint32)
    filled = np.repeat(entries, 1 << (TABLE_BITS - ordered[:n_short].astype(np.int64)))
    table[: filled.size] = filled
    return table


@kernel
def _encode(indices: Indices, lengths: Lengths, codes: Codes, words: Words) -> int:
    """Write all codewords. Returns the number of bits, or DAMAGED for an index without one."""
    position, pending, used = 0, np.uint64(0), 0
    for i in range(indices.size):
        index = indices[i]
        if index < 0 or index >= lengths.size or index >= codes.size:
            return DAMAGED
        length: Any = np.int64(lengths[index])
        pending = pending << np.uint64(length) | np.uint64(codes[index])
        used += length
        if used >= 32:
            used -= 32
            if position < words.size:
                words[position] = np.uint32(pending >> np.uint64(used))
            position += 1
    if used and position < words.size:
        words[position] = np.uint32(pending << np.uint64(32 - used))
    return position * 32 + used


@kernel
def _decode(
    words: Words,
    table: Codes,
    order: Codes,
    first: Integers,
    number: Integers,
    start: Integers,
    indices: Indices,
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
