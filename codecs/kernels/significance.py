"""Zeros apart from the rest: a flag for each symbol, eight to a byte, and the symbols flagged."""

from __future__ import annotations

from typing import Any

import numpy as np

from slashbench.arrays import Bytes, Integers
from slashbench.codecs.kernels import kernel


@kernel
def gather(symbols: Integers, flags: Bytes, values: Integers) -> int:
    """Flag the symbols that are not 0, the first in a byte's lowest bit, and copy them to `values`.

    flags: ceil(n / 8) bytes. values: room for n. Returns the number of symbols flagged.
    """
    found = 0
    for i in range(min(flags.size, (symbols.size + 7) // 8)):
        byte = 0
        for bit in range(min(8, symbols.size - 8 * i)):
            symbol = symbols[8 * i + bit]
            values[found] = symbol  # overwritten by the next one unless it counts
            flag = int(symbol != 0)
            byte |= flag << bit
            found += flag
        flags[i] = byte
    return found


@kernel
def count(flags: Bytes) -> int:
    """How many flags are set."""
    total = 0
    for byte in flags:
        pairs = byte - (byte >> 1 & 0x55)
        fours = (pairs & 0x33) + (pairs >> 2 & 0x33)
        total += (fours + (fours >> 4)) & 0x0F
    return total


@kernel
def scatter(flags: Bytes, values: Integers, symbols: Integers) -> bool:
    """Undo `gather`; values: those flagged, and one more that is never used.

    False unless there are so many flags, none beyond the symbols and none for a zero.
    """
    n, left = values.size - 1, symbols.size % 8
    if flags.size != (symbols.size + 7) // 8 or count(flags) != n:
        return False
    if left and flags[-1] >> left != 0:
        return False
    zeros = 0
    for i in range(n):
        zeros += int(values[i] == 0)
    taken: Any = 0  # at most n, where a look does no harm: nobody can predict a branch here
    for i in range(symbols.size // 8):
        byte = np.int64(flags[i])
        for bit in range(8):
            flag = byte >> bit & 1
            symbols[8 * i + bit] = values[taken] & -flag
            taken += flag
    for bit in range(left):
        flag = np.int64(flags[-1]) >> bit & 1
        symbols[symbols.size - left + bit] = values[taken] & -flag
        taken += flag
    return zeros == 0
