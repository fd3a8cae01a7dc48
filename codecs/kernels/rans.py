"""Interleaved rANS: eight states take turns, and share one stream of 32-bit words.

J. Duda, "Asymmetric numeral systems", arXiv:1311.2540; F. Giesen, "Interleaved entropy coders",
arXiv:1402.3392. Symbol i of a chunk belongs to lane i mod 8. A state x lies in [2^31, 2^63); a
round codes two symbols a lane, and renormalises a lane once, by a whole word:

    decode  e = table[x mod 2^b]; x = frequency * floor(x / 2^b) + bias, twice; then, if x < 2^31,
            x = 2^32 x + the next word; lanes 0 to 7 in turn
    encode  the inverse, from the last symbol to the first; every state begins as 2^31

The last round may be short: a lane without a symbol in it stays as it is. A chunk is the eight
states that the encoder ended with, 64 bits each, and the words, in the decoder's order; it must use
them all and end with every state at 2^31.

A chunk is cut into runs, each with a table of its own: one, but for `rans-classes`. A run ends
after whole rounds, or with its chunk. `edges`, shape (chunks, runs), has the place in the whole
tensor where each run ends; tables lie one after the other, in the order of the runs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slashbench.arrays import Bytes, Int64s, Places, UInt64s
from slashbench.codecs.kernels import brief, kernel
from slashbench.codecs.kernels.memory import (
    high_product,
    load8,
    load16,
    load32,
    load64,
    store8,
    store32,
    store64,
)

LANES = 8
ROUND = 2 * LANES
MAX_BITS = 15  # so that two symbols take less than a word


_LOW = np.uint64(1 << 31)
_2 = np.uint64(2)
_5 = np.uint64(5)
_32 = np.uint64(32)
_16 = np.uint64(16)
_SHORT = np.uint64(0xFFFF)
_BYTE = np.uint64(0xFF)
_WORD = np.uint64(0xFFFFFFFF)


def whole_chunks(count: int, chunk: int) -> Int64s:
    """Edges of chunks of one run each."""
    chunk = min(chunk, count)  # a stream may declare chunks of any size
    edges: Int64s = np.arange(chunk, count + chunk, chunk, dtype=np.int64)[:, None]
    edges[-1] = count
    return edges


@brief
def normalise(counts: Int64s, bits: int, frequencies: Int64s) -> bool:
    """Frequencies that sum to 2^bits, in proportion to the counts; at least 1 where there are any.

    Rounded, and then changed by one where that costs least until the sum is right. False if there
    are more symbols than that.
    """
    total, present, sum_of = counts.sum(), 0, np.int64(0)
    for i in range(counts.size):
        frequencies[i] = 0
        if counts[i] > 0:
            present += 1
            share = counts[i] / total * (1 << bits)
            rounded: Any = np.int64(share + 0.5)
            frequencies[i] = max(1, rounded)
            sum_of += frequencies[i]
    if present > 1 << bits or present == 0:
        return False
    costs = np.empty(counts.size)
    step = 1 if sum_of < 1 << bits else -1
    for i in range(counts.size):
        costs[i] = _cost(counts[i], frequencies[i], step)
    while sum_of != 1 << bits:
        best = costs.argmin()
        frequencies[best] += step
        sum_of += step
        costs[best] = _cost(counts[best], frequencies[best], step)
    return True


@kernel
def _cost(count: int, frequency: int, step: int) -> float:
    """Bits that a symbol's codewords grow by if its frequency changes; infinite if it can't."""
    if count == 0 or frequency + step < 1:
        return float(np.inf)
    return float(-count * np.log2((frequency + step) / frequency))


@brief
def decoding_table(patterns: UInt64s, frequencies: Int64s, bits: int, table: UInt64s) -> bool:
    """table[slot] = pattern | frequency << 16 | bias << 32; False unless 2^bits are filled."""
    slot = 0
    for i in range(frequencies.size):
        frequency = frequencies[i]
        if frequency < 0 or slot + frequency > 1 << bits:
            return False
        entry = patterns[i] | np.uint64(frequency) << _16
        for j in range(frequency):
            table[slot + j] = entry | np.uint64(j) << _32
        slot += frequency
    return slot == 1 << bits


@brief
def encoding_table(frequencies: Int64s, bits: int, table: UInt64s) -> None:
    """table[i] = reciprocal, bias, 2^bits - frequency, shift << 32 | frequency; shape (n, 4).

    With them floor(x / frequency) is the upper half of x * reciprocal, shifted: exact below 2^63
    (T. Granlund and P. Montgomery, "Division by invariant integers using multiplication", 1994).
    """
    start = np.int64(0)
    for i in range(frequencies.size):
        frequency = frequencies[i]
        table[i, 2] = np.uint64((1 << bits) - frequency)
        if frequency <= 1:  # the product is x - 1, which the bias makes up for
            table[i, 0] = ~np.uint64(0)
            table[i, 1] = np.uint64(start + (1 << bits) - 1)
            table[i, 3] = np.uint64(1)
        else:
            shift = 0
            while 1 << shift < frequency:
                shift += 1
            # ceil(2^(shift + 63) / frequency), by long division in two halves
            high = np.uint64(1) << np.uint64(shift + 31)
            divisor = np.uint64(frequency)
            quotient = high // divisor
            rest = (high - quotient * divisor) << _32
            reciprocal = (quotient << _32) + (rest + divisor - np.uint64(1)) // divisor
            table[i, 0] = reciprocal
            table[i, 1] = np.uint64(start)
            table[i, 3] = np.uint64(shift - 1) << _32 | divisor
        start += frequency


@kernel
def _push(x: Any, entry: Any) -> Any:
    """The state after one more symbol, whose encoding entry is at that address."""
    last = load64(entry + 24)
    quotient = high_product(x, load64(entry)) >> (last >> _32)
    return x + load64(entry + 8) + quotient * load64(entry + 16)


@kernel
def _make_room(x: Any, first: Any, second: Any, shift: Any, target: Any, at: Any) -> Any:
    """(state, place) with a word written if the two symbols to come would not fit."""
    most = (load64(first + 24) & _WORD) * (load64(second + 24) & _WORD) << shift
    full = np.uint64(x >= most)  # arithmetic, since nobody can predict a branch here
    store32(target + at - 4, x)
    return x >> (full << _5), at - np.int64(full << _2)


@kernel
def _two(x: Any, first: Any, second: Any, shift: Any, target: Any, at: Any) -> Any:
    """(state, place) after two more symbols, the second one first."""
    x, at = _make_room(x, first, second, shift, target, at)
    return _push(_push(x, second), first), at


@kernel
def _row(places: Any, lane: int) -> Any:
    """Where the row of 32 bytes lies that one of eight places in a word leads to."""
    return np.int64((places >> np.uint64(8 * lane) & _BYTE) << np.uint64(5))


@kernel
def encode(
    places: Places, edges: Int64s, table: UInt64s, bits: int, out: Bytes, sizes: Int64s
) -> bool:
    """Encode all chunks, the last one first, towards the front of `out`; they end at its end.

    sizes: bytes of each chunk. False if `out` is too short: 2 bytes a symbol and 96 a chunk do.
    """
    target, tables, runs = out.ctypes.data, table.ctypes.data, edges.shape[1]
    source, narrow = places.ctypes.data, places.itemsize == 1
    stride = 32 * (table.shape[0] // runs)
    at = np.int64(out.size)
    shift = np.uint64(63 - 2 * bits)
    x = np.empty(LANES, np.uint64)
    for c in range(sizes.size - 1, -1, -1):
        first_of_chunk = edges[c - 1, -1] if c else 0
        top = at
        if at < 2 * (edges[c, -1] - first_of_chunk) + 96:
            return False
        x[:] = _LOW
        for run in range(runs - 1, -1, -1):
            start = edges[c, run - 1] if run else first_of_chunk
            end, rows = edges[c, run], tables + run * stride
            whole = start + (end - start) // ROUND * ROUND
            for lane in range(min(LANES, end - whole) - 1, -1, -1):
                i = whole + lane
                first = rows + 32 * np.int64(places[i])
                if i + LANES < end:
                    second = rows + 32 * np.int64(places[i + LANES])
                    x[lane], at = _make_room(x[lane], first, second, shift, target, at)
                    x[lane] = _push(x[lane], second)
                else:
                    if x[lane] >= (load64(first + 24) & _WORD) << np.uint64(63 - bits):
                        at -= 4
                        store32(target + at, x[lane])
                        x[lane] >>= _32
                x[lane] = _push(x[lane], first)
            x0, x1, x2, x3, x4, x5, x6, x7 = x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]
            i = whole - ROUND
            while narrow and i >= start:
                early, late = load64(source + i), load64(source + i + LANES)
                a, b = rows + _row(early, 7), rows + _row(late, 7)
                x7, at = _two(x7, a, b, shift, target, at)
                a, b = rows + _row(early, 6), rows + _row(late, 6)
                x6, at = _two(x6, a, b, shift, target, at)
                a, b = rows + _row(early, 5), rows + _row(late, 5)
                x5, at = _two(x5, a, b, shift, target, at)
                a, b = rows + _row(early, 4), rows + _row(late, 4)
                x4, at = _two(x4, a, b, shift, target, at)
                a, b = rows + _row(early, 3), rows + _row(late, 3)
                x3, at = _two(x3, a, b, shift, target, at)
                a, b = rows + _row(early, 2), rows + _row(late, 2)
                x2, at = _two(x2, a, b, shift, target, at)
                a, b = rows + _row(early, 1), rows + _row(late, 1)
                x1, at = _two(x1, a, b, shift, target, at)
                a, b = rows + _row(early, 0), rows + _row(late, 0)
                x0, at = _two(x0, a, b, shift, target, at)
                i -= ROUND
            while i >= start:
                a, b = 32 * np.int64(places[i + 7]), 32 * np.int64(places[i + 15])
                x7, at = _two(x7, rows + a, rows + b, shift, target, at)
                a, b = 32 * np.int64(places[i + 6]), 32 * np.int64(places[i + 14])
                x6, at = _two(x6, rows + a, rows + b, shift, target, at)
                a, b = 32 * np.int64(places[i + 5]), 32 * np.int64(places[i + 13])
                x5, at = _two(x5, rows + a, rows + b, shift, target, at)
                a, b = 32 * np.int64(places[i + 4]), 32 * np.int64(places[i + 12])
                x4, at = _two(x4, rows + a, rows + b, shift, target, at)
                a, b = 32 * np.int64(places[i + 3]), 32 * np.int64(places[i + 11])
                x3, at = _two(x3, rows + a, rows + b, shift, target, at)
                a, b = 32 * np.int64(places[i + 2]), 32 * np.int64(places[i + 10])
                x2, at = _two(x2, rows + a, rows + b, shift, target, at)
                a, b = 32 * np.int64(places[i + 1]), 32 * np.int64(places[i + 9])
                x1, at = _two(x1, rows + a, rows + b, shift, target, at)
                a, b = 32 * np.int64(places[i + 0]), 32 * np.int64(places[i + 8])
                x0, at = _two(x0, rows + a, rows + b, shift, target, at)
                i -= ROUND
            x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7] = x0, x1, x2, x3, x4, x5, x6, x7
        at -= 8 * LANES
        for lane in range(LANES):
            store64(target + at + 8 * lane, x[lane])
        sizes[c] = top - at
    return True


@kernel
def _word(x: Any, stream: Any, at: Any) -> Any:
    """(state, place) with a word taken in if the state is below 2^31."""
    fed = x << _32 | load32(stream + at)
    low = x < _LOW
    return fed if low else x, at + (np.int64(low) << 2)


@kernel
def _take(x: Any, entries: Any, mask: Any, b: Any, target: Any) -> Any:
    """The state after one symbol less, which is stored; three loads beat one and its parts."""
    entry = entries + np.int64((x & mask) << np.uint64(3))
    store8(target, load8(entry))
    return load16(entry + 2) * (x >> b) + load32(entry + 4)


@kernel
def decode(
    data: Bytes,
    begins: Int64s,
    ends: Int64s,
    edges: Int64s,
    table: UInt64s,
    bits: int,
    out: Places,
) -> bool:
    """Decode chunks data[begins[c] : ends[c]] into the runs that `edges` cuts `out` into.

    out: the patterns of all symbols, uint8 or uint16. False for a damaged chunk.
    """
    runs = edges.shape[1]
    if table.size < runs << bits or bits > MAX_BITS:
        return False
    stream, tables, target = data.ctypes.data, table.ctypes.data, out.ctypes.data
    mask, b = np.uint64((1 << bits) - 1), np.uint64(bits)
    x = np.empty(LANES, np.uint64)
    i = np.int64(0)
    for c in range(begins.size):
        at, end = begins[c], ends[c]
        if at < 0 or end > data.size or end - at < 8 * LANES or edges[c, -1] > out.size:
            return False
        for lane in range(LANES):
            x[lane] = load64(stream + at + 8 * lane)
        at += 8 * LANES
        for run in range(runs):
            last, entries = edges[c, run], tables + (run << bits) * 8
            x0, x1, x2, x3, x4, x5, x6, x7 = x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]
            while out.itemsize == 1 and i + ROUND <= last and at + 4 * LANES <= end:
                for half in range(2):
                    x0 = _take(x0, entries, mask, b, target + i + LANES * half + 0)
                    x1 = _take(x1, entries, mask, b, target + i + LANES * half + 1)
                    x2 = _take(x2, entries, mask, b, target + i + LANES * half + 2)
                    x3 = _take(x3, entries, mask, b, target + i + LANES * half + 3)
                    x4 = _take(x4, entries, mask, b, target + i + LANES * half + 4)
                    x5 = _take(x5, entries, mask, b, target + i + LANES * half + 5)
                    x6 = _take(x6, entries, mask, b, target + i + LANES * half + 6)
                    x7 = _take(x7, entries, mask, b, target + i + LANES * half + 7)
                x0, at = _word(x0, stream, at)
                x1, at = _word(x1, stream, at)
                x2, at = _word(x2, stream, at)
                x3, at = _word(x3, stream, at)
                x4, at = _word(x4, stream, at)
                x5, at = _word(x5, stream, at)
                x6, at = _word(x6, stream, at)
                x7, at = _word(x7, stream, at)
                i += ROUND
            x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7] = x0, x1, x2, x3, x4, x5, x6, x7
            while i < last:
                for lane in range(min(LANES, last - i)):
                    for place in range(i + lane, min(i + ROUND, last), LANES):
                        entry = load64(entries + np.int64((x[lane] & mask) << np.uint64(3)))
                        out[place] = entry & _SHORT
                        x[lane] = (entry >> _16 & _SHORT) * (x[lane] >> b) + (entry >> _32)
                    if x[lane] < _LOW:
                        if at + 4 > end:
                            return False
                        x[lane] = x[lane] << _32 | load32(stream + at)
                        at += 4
                i += ROUND
            i = last
        if at != end:
            return False
        for lane in range(LANES):
            if x[lane] != _LOW:
                return False
    return True
