"""Exp-Golomb codes of order k for unsigned 32-bit integers.

The codeword of m is m + 2^k in binary, after one zero for each bit it has beyond the first k + 1:
2 * floor(log2(m / 2^k + 1)) + 1 + k bits. Teuhola, "A compression method for clustered
bit-vectors", Information Processing Letters 7(6), 1978; Table 2 of the BackSlash paper
(arXiv:2504.16968) lists codewords for k = 0 to 5.
"""

from __future__ import annotations

import numpy as np

from slashbench.arrays import Int64s, UInt32s
from slashbench.codecs.kernels import kernel
from slashbench.codecs.kernels.bitio import (
    DAMAGED,
    leading_zeros,
    new_words,
    to_bytes,
    to_words,
    used_bytes,
)
from slashbench.errors import CorruptStream

MAX_ORDER = 30


def lengths_by_order(values: UInt32s) -> Int64s:
    """Exact bits that all values take together, for each order 0 to MAX_ORDER; shape (31,)."""
    classes = np.zeros((33, 33), np.int64)
    bits = np.zeros(MAX_ORDER + 1, np.int64)
    _classify(values, classes)
    _add_up(_LENGTHS, classes, bits)
    return bits


def best_order(values: UInt32s) -> tuple[int, int]:
    """(order, bits) of the shortest code for all values together; the lowest order on a tie."""
    bits = lengths_by_order(values)
    order = int(bits.argmin())
    return order, int(bits[order])


def encode(values: UInt32s, order: int, bits: int) -> bytes:
    """The codewords one after the other, `bits` bits in all, padded to a byte with zeros.

    >>> code = encode(np.array([0, 1, 2, 3], np.uint32), order=0, bits=12)
    >>> f"{int.from_bytes(code):016b}"  # 1 010 011 00100 and four bits of padding
    '1010011001000000'
    """
    words = new_words(bits)
    written = _encode(values, order, words)
    if written != bits:
        raise ValueError(f"{bits} bits were announced, {written} written")
    return to_bytes(words, bits)


def decode(data: bytes, count: int, order: int) -> tuple[UInt32s, int]:
    """(values, bytes used) of `count` codewords at the start of `data`.

    Raises CorruptStream, before anything is allocated if the data is too short for `count`.
    """
    if order > MAX_ORDER or count * (order + 1) > 8 * len(data):
        raise CorruptStream(f"{len(data)} bytes can't hold {count} codewords of order {order}")
    values = np.empty(count, np.uint32)
    bits = _decode(to_words(data), order, values)
    return values, used_bytes(data, bits)


def _length_table() -> Int64s:
    """Codeword length by order and by the two bit lengths that `_classify` counts."""
    order, size, complement = np.ogrid[: MAX_ORDER + 1, :33, :33]
    # m + 2^k has bit_length(m) bits, or one more on a carry; k + 1 if m < 2^k.
    total = np.where(size <= order, order + 1, size + (complement <= order))
    table: Int64s = (2 * total - 1 - order).astype(np.int64)
    return table


_LENGTHS = _length_table()


@kernel
def _classify(values: UInt32s, classes: Int64s) -> None:
    """Count values m by bit_length(m) and bit_length(~m): all that a codeword's length rests on.

    ~m is the complement within bit_length(m) bits: m + 2^k carries just when it is below 2^k.
    """
    for i in range(values.size):
        value = np.uint64(values[i])
        size = 64 - leading_zeros(value)
        complement = (np.uint64(1) << np.uint64(size)) - np.uint64(1) - value
        classes[size, 64 - leading_zeros(complement)] += 1


@kernel
def _add_up(lengths: Int64s, classes: Int64s, bits: Int64s) -> None:
    """bits[k] = what the values of all classes take in order k; most classes are empty."""
    for size in range(classes.shape[0]):
        for complement in range(classes.shape[1]):
            count = classes[size, complement]
            if count > 0:
                for order in range(bits.size):
                    bits[order] += count * lengths[order, size, complement]


@kernel
def _encode(values: UInt32s, order: int, words: UInt32s) -> int:
    """Write all codewords. Returns the number of bits."""
    position, pending, used = 0, np.uint64(0), 0
    offset = np.uint64(1) << np.uint64(order)
    for i in range(values.size):
        value = np.uint64(values[i]) + offset
        left = 2 * (64 - leading_zeros(value)) - 1 - order
        while left > 0:  # a codeword has up to 65 bits, so up to three turns
            width = min(left, 32)
            left -= width
            part = value >> np.uint64(left) & np.uint64(0xFFFFFFFF)
            pending = pending << np.uint64(width) | part
            used += width
            if used >= 32:
                used -= 32
                if position < words.size:
                    words[position] = np.uint32(pending >> np.uint64(used))
                position += 1
    if used and position < words.size:
        words[position] = np.uint32(pending << np.uint64(32 - used))
    return position * 32 + used


@kernel
def _decode(words: UInt32s, order: int, values: UInt32s) -> int:
    """Fill `values`. Returns the number of bits read, or DAMAGED."""
    position, window, have = 0, np.uint64(0), 0
    offset = np.uint64(1) << np.uint64(order)
    for i in range(values.size):
        while have <= 32 and position < words.size:
            window |= np.uint64(words[position]) << np.uint64(32 - have)
            position += 1
            have += 32
        zeros = leading_zeros(window)
        width = zeros + 1 + order
        if width > 33:  # a value beyond 2^32 - 1, or no one bit left in the data
            return DAMAGED
        window <<= np.uint64(zeros)
        have -= zeros
        while have <= 32 and position < words.size:
            window |= np.uint64(words[position]) << np.uint64(32 - have)
            position += 1
            have += 32
        value = (window >> np.uint64(64 - width)) - offset
        if width > have or value > np.uint64(0xFFFFFFFF):
            return DAMAGED
        values[i] = np.uint32(value)
        window <<= np.uint64(width)
        have -= width
    return position * 32 - have
