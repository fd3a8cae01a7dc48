"""Counting symbols and looking them up."""

from __future__ import annotations

import numpy as np

from slashbench.arrays import Int8s, Int64s, Integers, Symbols
from slashbench.codecs.kernels import kernel


@kernel
def count(symbols: Integers, low: int, counts: Int64s) -> None:
    """Add 1 to counts[s - low] for each symbol s; symbols outside are left out."""
    for i in range(symbols.size):
        place = np.int64(symbols[i]) - low
        if 0 <= place < counts.size:
            counts[place] += 1


@kernel
def outside(symbols: Int8s, low: int, high: int, positions: Int64s) -> None:
    """The places of the symbols outside low to high, as many as there is room for."""
    found = 0
    for start in range(0, symbols.size, 256):
        block = symbols[start : start + 256]
        least, most = np.int8(0), np.int8(0)
        for symbol in block:  # the compiler makes this loop some twenty times as fast as the next
            least, most = min(least, symbol), max(most, symbol)
        if least < low or most > high:
            for i in range(block.size):
                if (block[i] < low or block[i] > high) and found < positions.size:
                    positions[found] = start + i
                    found += 1


@kernel
def look_up(symbols: Symbols, low: int, table: Symbols, missing: int, out: Symbols) -> None:
    """out[i] = table[symbols[i] - low], or `missing` outside the table."""
    for i in range(min(symbols.size, out.size)):
        place = np.int64(symbols[i]) - low
        out[i] = table[place] if 0 <= place < table.size else missing


@kernel
def search(symbols: Symbols, values: Symbols, codes: Symbols, missing: int, out: Symbols) -> None:
    """out[i] = codes[j] where values[j] == symbols[i] (values ascending), or `missing`."""
    n_values = min(values.size, codes.size)
    for i in range(min(symbols.size, out.size)):
        symbol = symbols[i]
        start, stop = 0, n_values
        while start < stop:
            middle = (start + stop) // 2
            if values[middle] < symbol:
                start = middle + 1
            else:
                stop = middle
        out[i] = codes[start] if start < n_values and values[start] == symbol else missing
