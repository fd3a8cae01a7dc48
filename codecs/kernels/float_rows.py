"""Floats as symbols of exponent and mantissa together, and what is left of them, row by row.

A symbol of eight bits holds the exponent, less where a window of 16 begins, and the four highest
bits of the mantissa; of float16, whose exponent has five bits, the whole exponent and three. The
rest of a word is its sign and the lower mantissa bits:

    bfloat16  four bits: sign, then three of the mantissa; two in a byte
    float16   a byte: sign, then seven
    float32   four bits as above, and two bytes, the higher one first

With h = ceil(n / 2), values i and i + h of a row of n share a byte of such four-bit numbers, the
first in its low half.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slashbench.arrays import Bytes, FloatBits, Int64s, UInt32s, UInt64s
from slashbench.codecs.kernels import brief, exceptions, kernel, rans, rans_bytes
from slashbench.codecs.kernels.float_chunks import Tables

RAW, CODED = 0, 1  # forms of a plane of the rest
FORM, PATCHED, FILL, BITS = range(4)  # columns of a plan, as in float_chunks

_U = np.uint32
_I = np.int32  # what the compiler turns into wide instructions best


@kernel
def count_exponents(words: FloatBits, low: int, counts: Int64s) -> None:
    """Count the eight bits from bit `low` on; four tables, so that equal ones don't wait."""
    apart = np.zeros((4, 256), np.int64)
    whole = words.size // 4 * 4
    for i in range(0, whole, 4):
        for j in range(4):
            apart[j, words[i + j] >> low & 0xFF] += 1
    for i in range(whole, words.size):
        apart[0, words[i] >> low & 0xFF] += 1
    for j in range(4):
        counts += apart[j]


@kernel
def split(words: FloatBits, base: int, usual: int, symbols: Bytes) -> int:
    """Symbols of bfloat16 and float32; returns how many exponents lie outside the window.

    base: exponent where the window begins, times 16. One outside it becomes `usual`, the number of
    an exponent in the window.
    """
    n = min(words.size, symbols.size)
    words, symbols = words[:n], symbols[:n]
    shift, beyond = (3 if words.itemsize == 2 else 19), 0
    mask = _U(0xFFF)
    for i in range(n):
        high = (_U(words[i]) >> shift) & mask
        place = high - _U(base)
        outside = place > _U(255)
        beyond += int(outside)
        symbols[i] = np.uint8(_U(usual) << 4 | high & _U(15)) if outside else np.uint8(place)
    return beyond


@kernel
def locate(words: FloatBits, base: int, positions: Int64s, exponents: Bytes) -> None:
    """Places and exponents outside the window, as many as there is room for."""
    shift, found = (3 if words.itemsize == 2 else 19), 0
    for i in range(words.size):
        high = (_U(words[i]) >> shift) & _U(0xFFF)
        if high - _U(base) > _U(255) and found < positions.size:
            positions[found], exponents[found] = i, np.uint8(high >> 4)
            found += 1


@kernel
def split_half(words: FloatBits, symbols: Bytes, rest: Bytes) -> None:
    """Symbols and rest of float16."""
    n = min(words.size, symbols.size, rest.size)
    words, symbols, rest = words[:n], symbols[:n], rest[:n]
    for i in range(n):
        word = _U(words[i])
        symbols[i] = np.uint8(word >> 7)
        rest[i] = np.uint8(word & _U(127) | word >> 15 << 7)


@kernel
def take_nibbles(words: FloatBits, length: int, out: Bytes) -> None:
    """Sign and three mantissa bits, two in a byte, row by row; out: ceil(length / 2) a row."""
    half = (length + 1) // 2
    for row in range(words.size // length):
        source = words[row * length : (row + 1) * length]
        target = out[row * half : (row + 1) * half]
        n = min(source.size - half, target.size)
        first, second = source[:half], source[half:]
        for i in range(min(first.size, target.size)):
            target[i] = _nibble(first, i)
        for i in range(n):
            target[i] |= np.uint8(_nibble(second, i) << 4)


@kernel
def _nibble(words: FloatBits, i: int) -> Any:
    word = _U(words[i])
    if words.itemsize == 2:
        return np.uint8(word & _U(7) | word >> 15 << 3)
    return np.uint8(word >> 16 & _U(7) | word >> 31 << 3)


@kernel
def take_byte(words: FloatBits, shift: int, out: Bytes) -> None:
    """The byte of each word from bit `shift` on."""
    n = min(words.size, out.size)
    words, out = words[:n], out[:n]
    for i in range(n):
        out[i] = np.uint8(words[i] >> shift)


@kernel
def tally_rows(symbols: Bytes, length: int, sub: int, counts: UInt32s) -> None:
    """Count the exponents of each row, symbol >> sub, into counts[row]."""
    for row in range(counts.shape[0]):
        for i in range(row * length, min((row + 1) * length, symbols.size)):
            counts[row, symbols[i] >> sub] += 1


@kernel
def tally_classes(symbols: Bytes, length: int, labels: Int64s, counts: Int64s) -> None:
    """Count the symbols of each class of rows into counts[class]."""
    for row in range(labels.size):
        label = labels[row]
        for i in range(row * length, min((row + 1) * length, symbols.size)):
            counts[label, symbols[i]] += 1


@brief
def unpack_labels(packed: Bytes, width: int, labels: Int64s) -> None:
    """labels[i] = the bits from i * width on, the most significant one first."""
    for i in range(labels.size):
        label = 0
        for bit in range(i * width, (i + 1) * width):
            label = label << 1 | (packed[bit >> 3] >> (7 - (bit & 7)) & 1)
        labels[i] = label


@brief
def arrange(
    labels: Int64s, height: int, length: int, round_: int, order: Int64s, edges: Int64s
) -> bool:
    """Sort the rows of each chunk by class; `edges` are where the classes' runs end in it.

    order: the row, in its chunk, that each row of the coded order is. edges: shape (chunks,
    classes), words from the chunk's beginning. False for a label that is no class.
    """
    classes = edges.shape[1]
    places = np.empty(classes, np.int64)
    for c in range(edges.shape[0]):
        first, last = c * height, min((c + 1) * height, labels.size)
        places[:] = 0
        for row in range(first, last):
            if labels[row] < 0 or labels[row] >= classes:
                return False
            places[labels[row]] += 1
        total = 0
        for label in range(classes):
            found = places[label]
            places[label] = total
            total += found
            end = (total * length + round_ - 1) // round_ * round_
            edges[c, label] = min(end, (last - first) * length)
        for row in range(first, last):
            order[first + places[labels[row]]] = row - first
            places[labels[row]] += 1
    return True


@kernel
def _join_nibbles(symbols: Bytes, nibbles: Bytes, base: int, words: FloatBits) -> None:
    """Put one row of bfloat16 together."""
    half = nibbles.size
    n = min(words.size - half, half, symbols.size - half)
    if n < 0:
        return
    first, second = symbols[:half], symbols[half : half + n]
    early, late = words[:half], words[half : half + n]
    low = _I(base << 3)
    for i in range(half):
        rest = _I(nibbles[i])
        early[i] = (_I(first[i]) << 3) + low | rest & 7 | (rest & 8) << 12
    for i in range(n):
        rest = _I(nibbles[i]) >> 4
        late[i] = (_I(second[i]) << 3) + low | rest & 7 | (rest & 8) << 12


@kernel
def _join_wide(
    symbols: Bytes, nibbles: Bytes, high: Bytes, low: Bytes, base: int, words: FloatBits
) -> None:
    """Put one row of float32 together."""
    half = nibbles.size
    n = min(words.size - half, half, symbols.size - half, high.size - half, low.size - half)
    if n < 0:
        return
    first, second = symbols[:half], symbols[half : half + n]
    early, late = words[:half], words[half : half + n]
    high_early, high_late = high[:half], high[half : half + n]
    low_early, low_late = low[:half], low[half : half + n]
    above = _I(base << 19)
    for i in range(half):
        rest = _I(nibbles[i])
        top = (_I(first[i]) << 19) + above | (rest & 7) << 16 | (rest & 8) << 28
        early[i] = _U(top | _I(high_early[i]) << 8 | _I(low_early[i]))
    for i in range(n):
        rest = _I(nibbles[i]) >> 4
        top = (_I(second[i]) << 19) + above | (rest & 7) << 16 | (rest & 8) << 28
        late[i] = _U(top | _I(high_late[i]) << 8 | _I(low_late[i]))


@kernel
def _join_bytes(symbols: Bytes, rest: Bytes, words: FloatBits) -> None:
    """Put one row of float16 together."""
    n = min(words.size, symbols.size, rest.size)
    words, symbols, rest = words[:n], symbols[:n], rest[:n]
    for i in range(n):
        low = _I(rest[i])
        words[i] = _I(symbols[i]) << 7 | low & 127 | (low & 128) << 8


@kernel
def _join(
    coded: Bytes,
    planes: Bytes,
    places: Int64s,
    order: Int64s,
    length: int,
    base: int,
    nibbled: bool,
    words: FloatBits,
) -> bool:
    """Put the rows of a chunk together, coded[i] being those of row order[i].

    places: where each plane of the rest begins in `planes`, which holds them all.
    """
    half = (length + 1) // 2
    for i in range(order.size):
        row = order[i]
        if row < 0 or row >= order.size:
            return False
        found, out = coded[i * length : (i + 1) * length], words[row * length : (row + 1) * length]
        at = places[0] + row * (half if nibbled else length)
        if words.itemsize == 4:
            first, second = places[1] + row * length, places[2] + row * length
            high, low = planes[first : first + length], planes[second : second + length]
            _join_wide(found, planes[at : at + half], high, low, base, out)
        elif nibbled:
            _join_nibbles(found, planes[at : at + half], base, out)
        else:
            _join_bytes(found, planes[at : at + length], out)
    return True


@kernel
def decode(
    data: Bytes,
    begins: Int64s,
    ends: Int64s,
    patched: bool,
    edges: Int64s,
    entries: Bytes,
    order: Int64s,
    length: int,
    base: int,
    nibbled: bool,
    plan: Int64s,
    tables: Tables,
    chunk: int,
    words: FloatBits,
) -> bool:
    """Decode chunks data[begins[c] : ends[c]] of `chunk` words but for the last; False: damaged.

    edges, entries: for `rans_bytes.decode`, edges of each chunk from its own beginning.
    order: the row, in its chunk, that each row of the coded order is. length: words of a row.
    """
    n_planes, n_coded = plan.shape[0], 1
    for p in range(n_planes):
        n_coded += int(plan[p, FORM] == CODED)
    coded = np.empty(chunk, np.uint8)
    rest = np.empty(n_planes * chunk if n_coded > 1 else 0, np.uint8)
    spans, run, done = np.empty((2, 1), np.int64), np.empty((1, 1), np.int64), 0
    places = np.empty(n_planes, np.int64)
    for c in range(begins.size):
        target = words[c * chunk : (c + 1) * chunk]
        n, span = target.size, min(length, target.size)
        if n == 0 or n % span != 0 or edges[c, -1] != n or done + n // span > order.size:
            return False
        spans[0, 0], spans[1, 0] = begins[c], ends[c]
        if patched and not exceptions.skip(data, spans[0], spans[1], 1, spans[0]):
            return False
        at: Any = spans[0, 0]
        place: Any = at + 4 * n_coded
        end: Any = ends[c]
        if at < 0 or place > end or end > data.size:
            return False
        size = _size(data, at)
        if place + size > end:
            return False
        if not rans_bytes.decode(data, place, place + size, edges[c], entries, coded[:n]):
            return False
        place += size
        for p in range(n_planes):
            count = n // span * ((span + 1) // 2) if nibbled and p == 0 else n
            size = count
            if plan[p, FORM] != RAW:
                at += 4
                size = _size(data, at)
            if place + size > end:
                return False
            places[p] = place if n_coded == 1 else p * chunk
            if plan[p, FORM] != RAW:
                spans[0, 0], spans[1, 0], run[0, 0] = place, place + size, count
                if not _plane(data, spans, run, plan[p], tables[p], rest[p * chunk :][:count]):
                    return False
            elif n_coded > 1:
                rest[p * chunk : p * chunk + count] = data[place : place + size]
            place += size
        if place != end:
            return False
        part = order[done : done + n // span]
        if n_coded == 1:
            joined = _join(coded, data, places, part, span, base, nibbled, target)
        else:
            joined = _join(coded, rest, places, part, span, base, nibbled, target)
        if not joined or (patched and not _patch(data, begins[c], ends[c], target)):
            return False
        done += n // span
    return True


@kernel
def _plane(
    data: Bytes, spans: Int64s, run: Int64s, plan: Int64s, table: UInt64s, plane: Bytes
) -> bool:
    """Decode a coded plane of the rest, data[spans[0] : spans[1]]."""
    begin = spans[0, 0]
    if plan[PATCHED] and not exceptions.skip(data, spans[0], spans[1], 1, spans[0]):
        return False
    if plan[FILL] >= 0:
        plane[:] = np.uint8(plan[FILL])
        if spans[0, 0] != spans[1, 0]:
            return False
    elif not rans.decode(data, spans[0], spans[1], run, table, plan[BITS], plane):
        return False
    spans[0, 0] = begin
    return not plan[PATCHED] or exceptions.put(data, spans[0], spans[1], plane.size, 1, plane)


@kernel
def _size(data: Bytes, at: int) -> Any:
    size = np.int64(0)
    for i in range(4):
        size |= np.int64(data[at + i]) << 8 * i
    return size


@kernel
def _patch(data: Bytes, begin: int, end: int, words: FloatBits) -> bool:
    """Write the exceptions of a chunk, exponents, into its words."""
    low = 7 if words.itemsize == 2 else 23
    keep = ~(_U(0xFF) << low)
    position, at, value, left = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    left, at, value = exceptions.begin(data, begin, end)
    if at < 0:
        return False
    while left > 0:
        step = exceptions.step(data, at)
        at += 2
        left -= 1
        position += step
        if step == exceptions.LONG:
            continue
        if position >= words.size or value >= end:
            return False
        words[position] = _U(words[position]) & keep | _U(data[value]) << low
        value += 1
        position += 1
    return bool(position <= words.size)
