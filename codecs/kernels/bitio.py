"""Bits in and out of bytes, most significant bit first, as codewords read on paper.

Kernels see the bytes as 32-bit words, big end first, the last one filled up with zeros.

A writer keeps `used` < 32 bits in the low end of `pending` (what is above them is stale):

    pending = pending << width | value      # value < 2^width, width <= 32
    used += width
    if used >= 32: used -= 32; words[position] = low 32 bits of pending >> used; position += 1

A reader keeps `have` bits in the high end of `window`, zeros below them:

    while have <= 32: window |= words[position] << 32 - have; position += 1; have += 32
    value = window >> 64 - width; window <<= width; have -= width

Both are spelled out in each kernel, between checks of `position`: a helper that is handed an array
makes Numba count references to it for every symbol, which takes longer than the work.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import cgutils, types
from numba.extending import intrinsic

from slashbench.arrays import UInt32s
from slashbench.errors import CorruptStream

#: A kernel's answer when the stream ends inside a codeword or holds one that no encoder writes.
DAMAGED = -1


def new_words(bits: int) -> UInt32s:
    """Room for that many bits."""
    return np.zeros((bits + 31) // 32, np.uint32)


def to_bytes(words: UInt32s, bits: int) -> bytes:
    """The bytes that the first `bits` bits fill; what pads the last one is zero."""
    return words.astype(">u4").tobytes()[: (bits + 7) // 8]


def to_words(data: bytes) -> UInt32s:
    """Undo `to_bytes`, with zeros after the last byte."""
    return np.frombuffer(data + bytes(-len(data) % 4), ">u4").astype(np.uint32)


def used_bytes(data: bytes, bits: int) -> int:
    """Bytes that `bits` bits fill, after a kernel read so many.

    Raises CorruptStream if it found damage, read past the end, or left padding that isn't zero.
    """
    n_bytes = (bits + 7) // 8
    if bits == DAMAGED or n_bytes > len(data):
        raise CorruptStream("the codewords are cut off or damaged")
    padding = 8 * n_bytes - bits
    if padding and data[n_bytes - 1] & ((1 << padding) - 1):
        raise CorruptStream("the bits that pad the last byte are not zero")
    return n_bytes


def _count_leading_zeros(_context: Any, _word: Any) -> tuple[Any, Any]:
    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], cgutils.false_bit)  # of 0: 64, not undefined

    return types.int64(types.uint64), generate


#: Zero bits above the highest one in a uint64: 64 for 0, 0 from 2^63 on. For kernels only.
leading_zeros: Any = intrinsic(_count_leading_zeros)
