"""A short list of small numbers in few bytes: adaptive binary arithmetic coding.

The range coder is that of LZMA (I. Pavlov): 32 bits of range, carries kept back, probabilities of
12 bits. A number is `width` binary decisions, the highest first, each with a probability for what
came before it within the number. It is (ones + 0.4) / (decisions + 0.8), counted so far.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slashbench.arrays import Bytes, Int64s
from slashbench.codecs.kernels import brief

_TOP = 1 << 24
_MOST = 1 << 20  # decisions after which counts stay as they are


@brief
def _zero(counts: Int64s, node: int) -> Any:
    """The probability of a zero, 1 to 4095 of 4096."""
    zeros, ones = counts[node, 0], counts[node, 1]
    return min(max((4096 * (5 * zeros + 2)) // (5 * (zeros + ones) + 4), 1), 4095)


@brief
def encode(numbers: Int64s, width: int, out: Bytes) -> int:
    """Write the numbers, each below 2^width, to `out`. Returns the bytes; -1 if it is too short."""
    counts = np.zeros((1 << width, 2), np.int64)
    low, span = np.int64(0), np.int64(0xFFFFFFFF)
    cache, pending, at = np.int64(0), np.int64(0), 0
    first = True
    for i in range(numbers.size + 1):
        node = 1
        for level in range(width if i < numbers.size else 5):
            shifts = 0
            if i < numbers.size:
                bit = numbers[i] >> (width - 1 - level) & 1
                bound = (span >> 12) * _zero(counts, node)
                if bit:
                    low += bound
                    span -= bound
                else:
                    span = bound
                if counts[node, 0] + counts[node, 1] < _MOST:
                    counts[node, bit] += 1
                node = 2 * node + bit
                while span < _TOP:
                    span <<= 8
                    shifts += 1
            else:
                shifts = 1  # the end: what is kept back goes out
            for _ in range(shifts):
                if low < 0xFF000000 or low > 0xFFFFFFFF:
                    carry = low >> 32
                    if at + pending + 1 > out.size:
                        return -1
                    if not first:
                        out[at] = (cache + carry) & 0xFF
                        at += 1
                    first = False
                    while pending:
                        out[at] = (0xFF + carry) & 0xFF
                        at += 1
                        pending -= 1
                    cache = low >> 24 & 0xFF
                else:
                    pending += 1
                low = (low & 0x00FFFFFF) << 8
    return at


@brief
def decode(data: Bytes, width: int, numbers: Int64s) -> bool:
    """Read the numbers back. False unless `data` is used to its end."""
    counts = np.zeros((1 << width, 2), np.int64)
    if data.size < 4:
        return False
    code, span, at = np.int64(0), np.int64(0xFFFFFFFF), 4
    for i in range(4):
        code = code << 8 | np.int64(data[i])
    for i in range(numbers.size):
        node = 1
        for _ in range(width):
            bound = (span >> 12) * _zero(counts, node)
            bit = 0
            if code < bound:
                span = bound
            else:
                code -= bound
                span -= bound
                bit = 1
            if counts[node, 0] + counts[node, 1] < _MOST:
                counts[node, bit] += 1
            node = 2 * node + bit
            while span < _TOP:
                if at >= data.size:
                    return False
                code = code << 8 | np.int64(data[at])
                span <<= 8
                at += 1
        numbers[i] = node - (1 << width)
    return at == data.size
