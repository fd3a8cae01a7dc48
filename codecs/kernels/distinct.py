"""The few distinct bit patterns of an array, found in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from slashbench.arrays import FloatBits, UInt64s
from slashbench.arrays import Places as PlaceArray
from slashbench.codecs.kernels import kernel

_MIX = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio (Knuth, vol. 3, 6.4)
_SHIFT = np.uint64(64 - 15)
SLOTS = 1 << 15


@kernel
def find(words: FloatBits, patterns: UInt64s, places: PlaceArray) -> int:
    """Fill `patterns` in the order in which they are met, and the place of each word's among them.

    Returns how many there are; -1 as soon as they are more than `patterns` holds, which is at most
    SLOTS / 4.
    """
    table = np.full(SLOTS, -1, np.int32)
    found = 0
    for i in range(words.size):
        word = np.uint64(words[i])
        slot: Any = np.int64((word * _MIX) >> _SHIFT)
        while table[slot] >= 0 and patterns[table[slot]] != word:
            slot = (slot + 1) & (SLOTS - 1)
        if table[slot] < 0:
            if found == patterns.size:
                return -1
            patterns[found] = word
            table[slot] = found
            found += 1
        places[i] = table[slot]
    return found
