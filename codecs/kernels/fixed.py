"""Fixed-length codes: every value in the same number of bits."""

from __future__ import annotations

import numpy as np

from slashbench.arrays import UInt32s
from slashbench.codecs.kernels import kernel
from slashbench.codecs.kernels.bitio import new_words, to_bytes, to_words, used_bytes
from slashbench.errors import CorruptStream


def encode(values: UInt32s, width: int) -> bytes:
    """Each value below 2^width in `width` bits, 0 to 32, padded to a byte with zeros."""
    bits = values.size * width
    words = new_words(bits)
    _encode(values, width, words)
    return to_bytes(words, bits)


def decode(data: bytes, count: int, width: int) -> UInt32s:
    """The `count` values. Raises CorruptStream unless the data has just their length."""
    if width > 32 or len(data) != (count * width + 7) // 8:
        raise CorruptStream(f"{len(data)} bytes can't be {count} values of {width} bits")
    if width == 0:
        return np.zeros(count, np.uint32)
    used_bytes(data, count * width)
    values = np.empty(count, np.uint32)
    _decode(to_words(data), width, values)
    return values


@kernel
def _encode(values: UInt32s, width: int, words: UInt32s) -> None:
    position, pending, used = 0, np.uint64(0), 0
    for i in range(values.size):
        pending = pending << np.uint64(width) | np.uint64(values[i])
        used += width
        if used >= 32:
            used -= 32
            if position < words.size:
                words[position] = np.uint32(pending >> np.uint64(used))
            position += 1
    if used and position < words.size:
        words[position] = np.uint32(pending << np.uint64(32 - used))


@kernel
def _decode(words: UInt32s, width: int, values: UInt32s) -> None:
    position, window, have = 0, np.uint64(0), 0
    for i in range(values.size):
        while have <= 32 and position < words.size:
            window |= np.uint64(words[position]) << np.uint64(32 - have)
            position += 1
            have += 32
        values[i] = np.uint32(window >> np.uint64(64 - width))
        window <<= np.uint64(width)
        have -= width
