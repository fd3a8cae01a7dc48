"""Differences of bit patterns, in the order of the floats they stand for.

Read as integers, the patterns of positive floats are in the floats' order and those of negative
ones in the reverse. Turned round and put below the others they are all in order: two floats with
few others between them have a small difference. It is kept in zig-zag: 0, -1, 1, -2, ...
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slashbench.arrays import Bytes, FloatBits, Int64s
from slashbench.codecs.kernels import kernel
from slashbench.codecs.kernels.bitio import leading_zeros
from slashbench.codecs.kernels.memory import load64, store64

_1, _3, _7 = np.uint64(1), np.uint64(3), np.uint64(7)
_ZERO = np.uint64(127)

SYMBOLS = 128
_TABLE, _ENTRY = 24.0, 6.0  # bits of a table, and of each symbol in it, about


@kernel
def subtract(words: FloatBits, base: FloatBits, out: FloatBits) -> None:
    """out[i] = zig-zag of how many patterns words[i] comes after base[i]."""
    n = min(words.size, base.size, out.size)
    words, base, out = words[:n], base[:n], out[:n]
    one, last = words.dtype.type(1), 8 * words.itemsize - 1
    top = words.dtype.type(one << last)
    for i in range(n):
        a, b = words[i], base[i]
        after = (a ^ (-(a >> last) | top)) - (b ^ (-(b >> last) | top))
        after = words.dtype.type(after)
        out[i] = after << 1 ^ -(after >> last)


@kernel
def add(coded: FloatBits, base: FloatBits, out: FloatBits) -> None:
    """Undo `subtract`: out[i] is the word; `out` may be `coded`."""
    n = min(coded.size, base.size, out.size)
    coded, base, out = coded[:n], base[:n], out[:n]
    one, last = out.dtype.type(1), 8 * out.itemsize - 1
    top = out.dtype.type(one << last)
    for i in range(n):
        z, b = coded[i], base[i]
        place = (b ^ (-(b >> last) | top)) + (z >> 1 ^ -(z & one))
        place = out.dtype.type(place)
        out[i] = place ^ ((place >> last) - one | top)


@kernel
def count_keys(base: FloatBits, shift: int, mask: int, counts: Int64s) -> None:
    """Count the base's values by key: some bits of each, `mask` (below 256) after a shift."""
    by, kept = base.dtype.type(shift), base.dtype.type(mask & 255)
    if counts.size >= 256:
        for word in base:
            counts[(word >> by) & kept] += 1


@kernel
def _symbol(z: Any, word: Any) -> Any:
    """(symbol, raw bits below it) of a zig-zag difference of `subtract`, to that word.

    The symbol holds sign, the place of the highest bit, and the bit after it, of the magnitude. A
    number of 0 in place of any other is a symbol of its own, ZERO.
    """
    if word == 0 and z != 0:
        return _ZERO, np.uint64(0)
    m = (z + _1) >> _1
    n_low = np.uint64(max(np.int64(62) - leading_zeros(m | _1), np.int64(0)))
    symbol = (((n_low << _1) + (m >> n_low)) << _1) + (z & _1) - _1
    return symbol + np.uint64(z == 0), n_low


@kernel
def tally(
    coded: FloatBits, words: FloatBits, base: FloatBits, shift: int, mask: int, counts: Int64s
) -> Any:
    """Count the symbols of differences by key, shape (256, 128); returns the raw bits."""
    n = min(coded.size, words.size, base.size)
    by, kept = base.dtype.type(shift), base.dtype.type(mask & 255)
    raw = np.int64(0)
    if counts.shape[0] >= 256 and counts.shape[1] >= SYMBOLS:
        for i in range(n):
            symbol, n_low = _symbol(np.uint64(coded[i]), words[i])
            counts[(base[i] >> by) & kept, np.int64(symbol)] += 1
            raw += np.int64(n_low)
    return raw


@kernel
def merge(counts: Int64s, scale: float, most: int, lows: Int64s) -> Any:
    """Merge neighbouring keys, in counts[key, symbol], for as long as that saves bits.

    Or there are more than `most` groups. lows: filled with the lowest key of each group,
    descending, and then -1. Returns the bits that the symbols take, tables included, where there
    are `scale` times as many as were counted.
    """
    n = 0
    for key in range(counts.shape[0] - 1, -1, -1):  # groups without values cost nothing: left out
        if counts[key].sum() > 0:
            counts[counts.shape[0] - 1 - n] = counts[key]
            lows[n] = key
            n += 1
    rows = counts[::-1][:n]
    alone, joined = np.empty(n), np.empty(n)  # bits of a group, and of it with the next
    for g in range(n):
        alone[g] = _bits(rows[g], rows[g], False, scale)
    for g in range(n - 1):
        joined[g] = _bits(rows[g], rows[g + 1], True, scale)
    while n > 1:
        best, gain = 0, -np.inf
        for g in range(n - 1):
            saved = alone[g] + alone[g + 1] - joined[g]
            if saved > gain:
                best, gain = g, saved
        if gain < 0 and n <= most:
            break
        rows[best] += rows[best + 1]
        alone[best], lows[best] = joined[best], lows[best + 1]
        for g in range(best + 1, n - 1):
            rows[g] = rows[g + 1]
            alone[g], joined[g], lows[g] = alone[g + 1], joined[g + 1], lows[g + 1]
        n -= 1
        for g in range(max(best - 1, 0), min(best + 1, n - 1)):
            joined[g] = _bits(rows[g], rows[g + 1], True, scale)
    lows[n:] = -1
    if n > 0:
        lows[n - 1] = 0
    return alone[:n].sum()


@kernel
def _bits(one: Int64s, other: Int64s, both: bool, scale: float) -> Any:
    """Bits of symbols under a table of their own, and of the table, about."""
    total, spent, first, last = 0.0, 0.0, -1, 0
    for i in range(one.size):
        count = float(one[i] + other[i] if both else one[i])
        if count > 0:
            total += count
            spent -= count * np.log2(count)
            first, last = i if first < 0 else first, i
    return scale * (spent + total * np.log2(max(total, 1.0))) + _TABLE + _ENTRY * (last - first + 1)


@kernel
def split(
    coded: FloatBits,
    words: FloatBits,
    base: FloatBits,
    groups: Bytes,
    key: Int64s,
    places: Int64s,
    symbols: Bytes,
    raw: Bytes,
) -> Any:
    """Make a symbol and some raw bits of each difference of `subtract`; returns how many bits.

    groups: the group of each of 256 keys; key: (shift, mask) of it in the base. symbols: those of
    each group side by side, from places[group] on, which moves to their end. raw: 4 bytes a value
    and 8 do.
    """
    n = min(coded.size, words.size, base.size, symbols.size)
    if raw.size < 4 * n + 8 or groups.size < 256:
        return -1
    by, kept = base.dtype.type(key[0]), base.dtype.type(key[1] & 255)
    target = raw.ctypes.data
    pending, have, at = np.uint64(0), np.uint64(0), np.int64(0)
    for i in range(n):
        group = groups[(base[i] >> by) & kept]
        z = np.uint64(coded[i])
        symbol, n_low = _symbol(z, words[i])
        place = places[group]
        if place >= symbols.size:
            return -1
        symbols[place] = symbol
        places[group] = place + 1
        pending |= ((z + _1) >> _1 & ((_1 << n_low) - _1)) << have
        have += n_low
        store64(target + at, pending)
        whole = have >> _3
        at += np.int64(whole)
        pending >>= whole << _3
        have &= _7
    return 8 * at + np.int64(have)


@kernel
def unite(
    symbols: Bytes,
    base: FloatBits,
    groups: Bytes,
    key: Int64s,
    places: Int64s,
    raw: Bytes,
    words: FloatBits,
) -> Any:
    """Undo `split` and `subtract`. raw: with 8 bytes to spare.

    Returns how many bits of it were read; -1 for what no encoder makes.
    """
    n = min(words.size, base.size)
    by, kept = base.dtype.type(key[0]), base.dtype.type(key[1] & 255)
    source, most = raw.ctypes.data, 8 * (raw.size - 8)
    one, last = base.dtype.type(1), 8 * base.itemsize - 1
    top = base.dtype.type(one << last)
    if most < 0 or groups.size < 256:
        return -1
    least = np.zeros(256, np.uint64)  # difference of a symbol whose raw bits are zeros
    n_lows = np.zeros(256, np.uint64)
    for symbol in range(1, SYMBOLS - 1):
        index, sign = np.uint64(symbol - 1) >> _1, np.uint64(symbol - 1) & _1
        n_low = (max(index, _1) - _1) >> _1
        least[symbol] = ((index - (n_low << _1) + _1) << n_low << _1) - sign
        n_lows[symbol] = n_low
    position, strange = np.int64(0), np.uint8(0)
    for i in range(n):
        b = base[i]
        group = groups[(b >> by) & kept]
        place = places[group]
        if place >= symbols.size or position > most:
            return -1
        places[group] = place + 1
        symbol = symbols[place]
        strange |= symbol
        n_low = n_lows[symbol]
        window = load64(source + (position >> 3)) >> np.uint64(position & 7)
        z = base.dtype.type(least[symbol] + ((window & ((_1 << n_low) - _1)) << _1))
        position += np.int64(n_low)
        after = base.dtype.type((b ^ (-(b >> last) | top)) + (z >> 1 ^ -(z & one)))
        word = after ^ ((after >> last) - one | top)
        words[i] = word if symbol < _ZERO else 0
    return -1 if strange > _ZERO else position
