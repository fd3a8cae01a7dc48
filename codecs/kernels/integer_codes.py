"""Codewords of the classic codes for unsigned integers, as a prefix and a suffix of bits.

Bits are written least significant first: a codeword is the prefix, then the suffix. With z the
value, `1` after n zeros standing for the number 2^n:

    exp-Golomb of order k   v = floor(z / 2^k) + 1, n = floor(log2 v): n zeros and a one;
                            n low bits of v, then k low bits of z (Teuhola 1978)
    Golomb-Rice of order k  q = floor(z / 2^k): q zeros and a one; k low bits of z (Rice 1979).
                            From q = 24 on: 24 zeros; z in 32 bits (as JPEG-LS limits its codes)
    Elias delta             m = z + 1, n = floor(log2 m): n as exp-Golomb of order 0;
                            n low bits of m (Elias 1975)

Elias gamma is exp-Golomb of order 0. No prefix is longer than 34 bits, no suffix than 33.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slashbench.arrays import Int64s, UInt32s, UInt64s
from slashbench.codecs.kernels import kernel
from slashbench.codecs.kernels.bitio import leading_zeros
from slashbench.codecs.kernels.memory import load8, load64

EXP_GOLOMB, GOLOMB_RICE, ELIAS_DELTA = 1, 2, 3
MAX_ORDER = 30
UNARY_LIMIT = 24  # quotient from which Golomb-Rice writes the value as it is


@kernel
def codeword(value: Any, family: int, order: int) -> Any:
    """(prefix, its bits, suffix, its bits) of one uint64 below 2^32."""
    one = np.uint64(1)
    if family == GOLOMB_RICE:
        quotient = np.int64(value >> np.uint64(order))
        if quotient >= UNARY_LIMIT:
            return np.uint64(0), UNARY_LIMIT, value, 32
        low = value & ((one << np.uint64(order)) - one)
        return one << np.uint64(quotient), quotient + 1, low, order
    if family == ELIAS_DELTA:
        size = 63 - leading_zeros(value + one)
        above = np.uint64(size) + one
        zeros = 63 - leading_zeros(above)
        rest = above - (one << np.uint64(zeros))
        prefix = one << np.uint64(zeros) | rest << np.uint64(zeros + 1)
        return prefix, 2 * zeros + 1, value + one - (one << np.uint64(size)), size
    above = (value >> np.uint64(order)) + one
    zeros = 63 - leading_zeros(above)
    low = value & ((one << np.uint64(order)) - one)
    suffix = (above - (one << np.uint64(zeros))) | low << np.uint64(zeros)
    return one << np.uint64(zeros), zeros + 1, suffix, zeros + order


@kernel
def bits_at(stream: Any, size: Any, position: Any) -> Any:
    """At least 57 bits from bit `position` of `size` bytes at address `stream`; zeros after."""
    byte = position >> 3
    window = np.uint64(0)
    if byte + 8 <= size:
        window = load64(stream + byte)
    else:
        for i in range(max(0, size - byte)):
            window |= load8(stream + byte + i) << np.uint64(8 * i)
    return window >> np.uint64(position & 7)


@kernel
def read(stream: Any, size: Any, position: Any, family: int, order: int) -> Any:
    """(value, position after it) of the codeword at bit `position`; the position is -1 for none."""
    one = np.uint64(1)
    bad = np.uint64(0), np.int64(-1)
    window = bits_at(stream, size, position)
    zeros = 0
    while zeros < 34 and window >> np.uint64(zeros) & one == np.uint64(0):
        zeros += 1
    if family == GOLOMB_RICE:
        if zeros >= UNARY_LIMIT:
            value = window >> np.uint64(UNARY_LIMIT) & np.uint64(0xFFFFFFFF)
            return value, position + UNARY_LIMIT + 32
        low = window >> np.uint64(zeros + 1) & ((one << np.uint64(order)) - one)
        return np.uint64(zeros) << np.uint64(order) | low, position + zeros + 1 + order
    if family == ELIAS_DELTA:
        if zeros > 5:
            return bad
        rest = window >> np.uint64(zeros + 1) & ((one << np.uint64(zeros)) - one)
        size_bits = np.int64((one << np.uint64(zeros)) + rest) - 1
        if size_bits > 32:
            return bad
        low = window >> np.uint64(2 * zeros + 1) & ((one << np.uint64(size_bits)) - one)
        value = (one << np.uint64(size_bits)) + low - one
        if value > np.uint64(0xFFFFFFFF):
            return bad
        return value, position + 2 * zeros + 1 + size_bits
    if zeros > 33 or zeros + order > 33:
        return bad
    position += zeros + 1
    window = bits_at(stream, size, position)
    high = window & ((one << np.uint64(zeros)) - one)
    low = window >> np.uint64(zeros) & ((one << np.uint64(order)) - one)
    value = ((one << np.uint64(zeros)) + high - one) << np.uint64(order) | low
    if value > np.uint64(0xFFFFFFFF):
        return bad
    return value, position + zeros + order


@kernel
def lengths(values: UInt32s, family: int, order: int, out: Int64s) -> None:
    """out[i] = bits of the codeword of values[i]."""
    for i in range(min(values.size, out.size)):
        _, prefix_bits, _, suffix_bits = codeword(np.uint64(values[i]), family, order)
        out[i] = prefix_bits + suffix_bits


@kernel
def codewords(values: UInt32s, family: int, order: int, codes: UInt64s, out: Int64s) -> None:
    """codes[i], out[i] = the codeword of values[i], which has at most 64 bits, and its bits."""
    for i in range(min(values.size, codes.size, out.size)):
        prefix, prefix_bits, suffix, suffix_bits = codeword(np.uint64(values[i]), family, order)
        codes[i] = prefix | suffix << np.uint64(prefix_bits)
        out[i] = prefix_bits + suffix_bits
