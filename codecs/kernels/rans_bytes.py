"""Decoding of rANS streams whose symbols are bytes, at fourteen bits, without large tables.

The streams are those of `slashbench.codecs.kernels.rans`. There a decoder's table has eight bytes a
slot, 128 KiB at fourteen bits, which no first-level cache holds; here a slot has one, its symbol,
and frequency and first slot of each symbol lie in a table of 1 KiB. The second look-up waits for
the first, but eight lanes have others to do meanwhile.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slashbench.arrays import Bytes, Int64s
from slashbench.codecs.kernels import brief, kernel
from slashbench.codecs.kernels.memory import load8, load16, load32, load64, store8
from slashbench.codecs.kernels.rans import LANES, ROUND

_LOW = np.uint64(1 << 31)
_2 = np.uint64(2)
_32 = np.uint64(32)


_BITS = np.uint64(14)
_MASK = np.uint64((1 << 14) - 1)

BITS = 14  # of the sum of frequencies: a constant, so that it takes no register
SLOTS = 1 << BITS
TABLE = SLOTS + 4 * 256  # bytes of a table: a symbol a slot, then the rows of the symbols


@brief
def decoding_table(frequencies: Int64s, table: Bytes) -> bool:
    """Fill table[slot] with its symbol, and behind them u16 frequency, u16 first slot of each.

    frequencies: of 256 symbols. False unless they fill 2^BITS slots.
    """
    slot = 0
    if frequencies.size != 256 or table.size != TABLE:
        return False
    for i in range(256):
        frequency = frequencies[i]
        if frequency < 0 or slot + frequency > SLOTS:
            return False
        row = SLOTS + 4 * i
        table[row], table[row + 1] = frequency & 0xFF, frequency >> 8
        table[row + 2], table[row + 3] = slot & 0xFF, (slot >> 8) & 0xFF
        table[slot : slot + frequency] = np.uint8(i)
        slot += frequency
    return slot == SLOTS


@kernel
def _take(x: Any, table: Any, target: Any) -> Any:
    """The state after one symbol less, which is stored."""
    slot = x & _MASK
    symbol = load8(table + np.int64(slot))
    store8(target, symbol)
    row = table + np.int64(symbol << _2)
    frequency, start = load16(row + SLOTS), load16(row + (SLOTS + 2))
    return frequency * (x >> _BITS) + (slot - start)


@kernel
def _word(x: Any, source: Any) -> Any:
    """(state, place) with a word taken in if the state is below 2^31."""
    fed = x << _32 | load32(source)
    low = x < _LOW
    return fed if low else x, source + (np.int64(low) << 2)


@kernel
def decode(data: Bytes, begin: int, end: int, edges: Int64s, tables: Bytes, out: Bytes) -> bool:
    """Decode one chunk, data[begin : end], into the runs that `edges` cuts `out` into.

    tables: shape (runs, TABLE). False if it is damaged.
    """
    runs = edges.size
    if tables.shape[0] != runs or tables.shape[1] != TABLE:
        return False
    if begin < 0 or end > data.size or end - begin < 8 * LANES:
        return False
    stream = data.ctypes.data
    source: Any = stream + np.int64(begin)
    stop = stream + np.int64(end)
    x = np.empty(LANES, np.uint64)
    for lane in range(LANES):
        x[lane] = load64(source + 8 * lane)
    source += 8 * LANES
    i = np.int64(0)
    for run in range(runs):
        last = edges[run]
        if last < i or last > out.size:
            return False
        table = tables.ctypes.data + run * TABLE
        x0, x1, x2, x3, x4, x5, x6, x7 = x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]
        target = out.ctypes.data + i
        whole = target + (last - i) // ROUND * ROUND
        while target < whole and source + 4 * LANES <= stop:
            for half in range(2):
                x0 = _take(x0, table, target + LANES * half + 0)
                x1 = _take(x1, table, target + LANES * half + 1)
                x2 = _take(x2, table, target + LANES * half + 2)
                x3 = _take(x3, table, target + LANES * half + 3)
                x4 = _take(x4, table, target + LANES * half + 4)
                x5 = _take(x5, table, target + LANES * half + 5)
                x6 = _take(x6, table, target + LANES * half + 6)
                x7 = _take(x7, table, target + LANES * half + 7)
            x0, source = _word(x0, source)
            x1, source = _word(x1, source)
            x2, source = _word(x2, source)
            x3, source = _word(x3, source)
            x4, source = _word(x4, source)
            x5, source = _word(x5, source)
            x6, source = _word(x6, source)
            x7, source = _word(x7, source)
            target += ROUND
        x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7] = x0, x1, x2, x3, x4, x5, x6, x7
        i = target - out.ctypes.data
        while i < last:
            for lane in range(min(LANES, last - i)):
                for place in range(i + lane, min(i + ROUND, last), LANES):
                    x[lane] = _take(x[lane], table, out.ctypes.data + place)
                if x[lane] < _LOW:
                    if source + 4 > stop:
                        return False
                    x[lane] = x[lane] << _32 | load32(source)
                    source += 4
            i += ROUND
        i = last
    return bool(source == stop and (x == _LOW).all())
