"""Interleaved rANS in bands of eight rows: a lane to a row, a table to every row, column and state.

States, words and renormalisation are those of `rans`. What differs is which symbol belongs to which
lane. A chunk is whole rows, in bands of eight; row r of a band belongs to lane r. Columns are taken
two at a time: in turn, each lane decodes its two symbols and then takes in a word if its state is
below 2^31. The last column of an odd number is taken alone, and of a band that is not full only the
lanes that have a row act.

Since the lanes are at one column at a time, the table of a symbol costs little to find: it has the
number (row's class + column's class) * states + trellis state. The trellis state is 0 at the
beginning of a row, and an entry of a table names the one that follows its symbol.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slashbench.arrays import Bytes, Int64s, Places, UInt64s
from slashbench.codecs.kernels import brief, kernel
from slashbench.codecs.kernels.memory import load8, load16, load32, load64, store8, store32, store64
from slashbench.codecs.kernels.rans import LANES, MAX_BITS, _make_room, _push, _word

_LOW = np.uint64(1 << 31)
_3 = np.uint64(3)
_16 = np.uint64(16)
_32 = np.uint64(32)
_48 = np.uint64(48)
_SHORT = np.uint64(0xFFFF)
_WORD = np.uint64(0xFFFFFFFF)


@brief
def decoding_table(
    patterns: UInt64s, successors: UInt64s, frequencies: Int64s, bits: int, table: UInt64s
) -> bool:
    """table[slot] = pattern | frequency << 16 | bias << 32 | successor << 48.

    False unless 2^bits are filled.
    """
    slot = 0
    for i in range(frequencies.size):
        frequency = frequencies[i]
        if frequency < 1 or slot + frequency > 1 << bits:
            return False
        entry = patterns[i] | np.uint64(frequency) << _16 | successors[i] << _48
        for j in range(frequency):
            table[slot + j] = entry | np.uint64(j) << _32
        slot += frequency
    return slot == 1 << bits


@kernel
def encode(
    places: Places,
    n_columns: int,
    height: int,
    row_classes: Int64s,
    column_classes: Int64s,
    successors: Bytes,
    table: UInt64s,
    bits: int,
    out: Bytes,
    sizes: Int64s,
) -> bool:
    """Encode chunks of `height` rows, the last one first, towards the front of `out`.

    places: flat, which row of its table each symbol has. successors: shape (states, places), the
    trellis state after it. table: shape (tables * places, 4), of `rans.encoding_table`. False if
    `out` is too short: 2 bytes a symbol and 96 a chunk do.
    """
    states, n_places = successors.shape
    tables, target = table.ctypes.data, out.ctypes.data
    shift = np.uint64(63 - 2 * bits)
    at = np.int64(out.size)
    x = np.empty(LANES, np.uint64)
    entries = np.empty((LANES, n_columns), np.int64)
    n_rows = row_classes.size
    for c in range(sizes.size - 1, -1, -1):
        top, low, high = at, c * height, min((c + 1) * height, n_rows)
        if at < 2 * (high - low) * n_columns + 96:
            return False
        x[:] = _LOW
        for band in range(low + (high - low - 1) // LANES * LANES, low - 1, -LANES):
            lanes = min(LANES, high - band)
            for lane in range(lanes):
                state: Any = 0
                row = band + lane
                for j in range(n_columns):
                    place = np.int64(places[row * n_columns + j])
                    number = (row_classes[row] + column_classes[j]) * states + state
                    entries[lane, j] = tables + 32 * (number * n_places + place)
                    state = np.int64(successors[state, place])
            first = (n_columns - 1) // 2 * 2
            for j in range(first, -1, -2):
                for lane in range(lanes - 1, -1, -1):
                    a = entries[lane, j]
                    if j + 1 < n_columns:
                        b = entries[lane, j + 1]
                        x[lane], at = _make_room(x[lane], a, b, shift, target, at)
                        x[lane] = _push(x[lane], b)
                    elif x[lane] >= (load64(a + 24) & _WORD) << np.uint64(63 - bits):
                        at -= 4
                        store32(target + at, x[lane])
                        x[lane] >>= _32
                    x[lane] = _push(x[lane], a)
        at -= 8 * LANES
        for lane in range(LANES):
            store64(target + at + 8 * lane, x[lane])
        sizes[c] = top - at
    return True


@kernel
def _take(x: Any, entries: Any, mask: Any, b: Any, target: Any) -> Any:
    """The state after one symbol less, which is stored."""
    entry = entries + np.int64((x & mask) << _3)
    store8(target, load8(entry))
    return load16(entry + 2) * (x >> b) + load32(entry + 4)


@kernel
def _step(x: Any, entries: Any, state: Any, mask: Any, b: Any, target: Any) -> Any:
    """(state of the coder, of the trellis) after one symbol less, which is stored."""
    entry = entries + np.int64((state << b) + (x & mask) << _3)
    store8(target, load8(entry))
    return load16(entry + 2) * (x >> b) + load16(entry + 4), load16(entry + 6)


@kernel
def decode(
    data: Bytes,
    begins: Int64s,
    ends: Int64s,
    n_columns: int,
    height: int,
    row_classes: Int64s,
    column_classes: Int64s,
    states: int,
    table: UInt64s,
    bits: int,
    out: Places,
) -> bool:
    """Decode chunks data[begins[c] : ends[c]] of `height` rows into `out`, flat.

    out: the patterns of all symbols, uint8 or uint16. False for a damaged chunk.
    """
    n_rows = row_classes.size
    most = (row_classes.max() + column_classes.max() + 1) * states
    if not 0 < bits <= MAX_BITS or table.size < most << bits or states < 1:
        return False
    if row_classes.min() < 0 or column_classes.min() < 0 or height < 1:
        return False
    if out.size != n_rows * n_columns or column_classes.size != n_columns:
        return False
    if begins.size * height < n_rows or (begins.size - 1) * height >= n_rows:
        return False
    stream, tables, target = data.ctypes.data, table.ctypes.data, out.ctypes.data
    mask, b = np.uint64((1 << bits) - 1), np.uint64(bits)
    size = np.int64(states << bits) * 8  # of the tables of a class
    offsets = column_classes * size
    x, s = np.empty(LANES, np.uint64), np.zeros(LANES, np.uint64)
    r = np.zeros(LANES, np.int64)
    n = np.int64(n_columns)
    for c in range(begins.size):
        at, end = begins[c], ends[c]
        if at < 0 or end > data.size or end - at < 8 * LANES:
            return False
        for lane in range(LANES):
            x[lane] = load64(stream + at + 8 * lane)
        at += 8 * LANES
        last = min((c + 1) * height, n_rows)
        for band in range(c * height, last, LANES):
            lanes = min(LANES, last - band)
            for lane in range(lanes):
                r[lane] = tables + row_classes[band + lane] * size
            s[:] = 0
            j = 0
            if lanes == LANES and out.itemsize == 1:
                x0, x1, x2, x3, x4, x5, x6, x7 = x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]
                r0, r1, r2, r3, r4, r5, r6, r7 = r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7]
                t0 = target + np.int64(band) * n
                t1, t2, t3, t4 = t0 + n, t0 + 2 * n, t0 + 3 * n, t0 + 4 * n
                t5, t6, t7 = t0 + 5 * n, t0 + 6 * n, t0 + 7 * n
                while states == 1 and j + 2 <= n_columns and at + 4 * LANES <= end:
                    for k in range(2):
                        o = offsets[j + k]
                        x0 = _take(x0, r0 + o, mask, b, t0 + j + k)
                        x1 = _take(x1, r1 + o, mask, b, t1 + j + k)
                        x2 = _take(x2, r2 + o, mask, b, t2 + j + k)
                        x3 = _take(x3, r3 + o, mask, b, t3 + j + k)
                        x4 = _take(x4, r4 + o, mask, b, t4 + j + k)
                        x5 = _take(x5, r5 + o, mask, b, t5 + j + k)
                        x6 = _take(x6, r6 + o, mask, b, t6 + j + k)
                        x7 = _take(x7, r7 + o, mask, b, t7 + j + k)
                    x0, at = _word(x0, stream, at)
                    x1, at = _word(x1, stream, at)
                    x2, at = _word(x2, stream, at)
                    x3, at = _word(x3, stream, at)
                    x4, at = _word(x4, stream, at)
                    x5, at = _word(x5, stream, at)
                    x6, at = _word(x6, stream, at)
                    x7, at = _word(x7, stream, at)
                    j += 2
                s0, s1, s2, s3, s4, s5, s6, s7 = s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]
                while states > 1 and j + 2 <= n_columns and at + 4 * LANES <= end:
                    for k in range(2):
                        o = offsets[j + k]
                        x0, s0 = _step(x0, r0 + o, s0, mask, b, t0 + j + k)
                        x1, s1 = _step(x1, r1 + o, s1, mask, b, t1 + j + k)
                        x2, s2 = _step(x2, r2 + o, s2, mask, b, t2 + j + k)
                        x3, s3 = _step(x3, r3 + o, s3, mask, b, t3 + j + k)
                        x4, s4 = _step(x4, r4 + o, s4, mask, b, t4 + j + k)
                        x5, s5 = _step(x5, r5 + o, s5, mask, b, t5 + j + k)
                        x6, s6 = _step(x6, r6 + o, s6, mask, b, t6 + j + k)
                        x7, s7 = _step(x7, r7 + o, s7, mask, b, t7 + j + k)
                    x0, at = _word(x0, stream, at)
                    x1, at = _word(x1, stream, at)
                    x2, at = _word(x2, stream, at)
                    x3, at = _word(x3, stream, at)
                    x4, at = _word(x4, stream, at)
                    x5, at = _word(x5, stream, at)
                    x6, at = _word(x6, stream, at)
                    x7, at = _word(x7, stream, at)
                    j += 2
                x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7] = x0, x1, x2, x3, x4, x5, x6, x7
                s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7] = s0, s1, s2, s3, s4, s5, s6, s7
            while j < n_columns:
                for lane in range(lanes):
                    for k in range(j, min(j + 2, n_columns)):
                        slot = (s[lane] << b) + (x[lane] & mask)
                        entry = load64(r[lane] + offsets[k] + np.int64(slot << _3))
                        out[(band + lane) * n_columns + k] = entry & _SHORT
                        s[lane] = entry >> _48
                        bias = entry >> _32 & _SHORT
                        x[lane] = (entry >> _16 & _SHORT) * (x[lane] >> b) + bias
                    if x[lane] < _LOW:
                        if at + 4 > end:
                            return False
                        x[lane] = x[lane] << _32 | load32(stream + at)
                        at += 4
                j += 2
        if at != end:
            return False
        for lane in range(LANES):
            if x[lane] != _LOW:
                return False
    return True
