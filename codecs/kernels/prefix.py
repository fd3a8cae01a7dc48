"""Prefix codes in four streams a chunk, decoded several symbols at a look-up.

A chunk's symbols are cut into four runs of equal length, each a stream of codewords of its own,
least significant bit first, so that four chains of dependent instructions run side by side. The
decoder looks at the next bits of a stream in a table whose entry holds all whole codewords within
them, up to six bytes of symbols, stored at once (Moffat and Turpin, "On the implementation of
minimum redundancy prefix codes", IEEE Trans. Comm. 45(10), 1997, for tables; four streams as in
Zstandard's Huff0). A codeword longer than the table is read bit by bit.

An entry of the table is symbols | bits << 48 | bytes of symbols << 56; 0 for a longer codeword.
Entries for b bits begin at place 2^b, so that shorter looks find single symbols.

The four streams of a chunk are coded in step: each variable stands four times, with the number of
its stream. The letters:

    i  encoding: address of the next symbol to read
    p  place of the next byte of the stream to read or write, in `data` or `out`
    e  where the stream ends there
    w  window: bits that are loaded and not yet decoded, or encoded and not yet written
    k  how many bits are kept in the window
    t  decoding: target, the place in `out` of the next symbol, in bytes
    f  where the run ends in `out`
    g  guard: up to this t, four look-ups stay inside the run
    x  table entry that was looked up
    n  upper half of it: bits, and bytes of symbols << 8

A window is refilled without a branch: load 8 bytes above the k kept bits, go on by as many whole
bytes as fitted, (63 - k) / 8, and set k to 56 + k mod 8 (F. Giesen, "Reading bits in far too many
ways", part 2, 2018). `slashbench.codecs.reference.huffman` is the same code read by the book.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slashbench.arrays import Bytes, Int64s, Places, UInt32s, UInt64s
from slashbench.codecs.kernels import brief, integer_codes, kernel
from slashbench.codecs.kernels.memory import load8, load32, load64, store8, store32, store64

STREAMS = 4
FEW = 1024  # values below which a chunk is one stream
GUARD = 32  # bytes: four look-ups advance by at most 24, and the last one stores 8
MAX_LENGTH = 14  # so that four codewords fit the 56 bits that a refill brings at least
HUFFMAN = 0  # family whose codewords are all in the table; the others are in integer_codes


_SYMBOLS = np.uint64((1 << 48) - 1)
_BYTE = np.uint64(0xFF)
_SEVEN = np.uint64(7)
_EIGHT = np.uint64(8)
_56 = np.uint64(56)
_63 = np.uint64(63)


@kernel
def tally(symbols: Bytes, chunk: int, counts: UInt32s) -> None:
    """Count the symbols of each stream; counts has shape (chunks, STREAMS, 256), zeros at first.

    Four tables side by side also keep a run of equal symbols from waiting for its own sums.
    """
    for c in range(counts.shape[0]):
        start = c * chunk
        size = min(chunk, symbols.size - start)
        run = (size + STREAMS - 1) // STREAMS if size >= FEW else size
        whole = size // STREAMS if size >= FEW else 0
        whole = min(whole, size - (STREAMS - 1) * run) if size >= FEW else 0
        for i in range(start, start + whole):
            counts[c, 0, symbols[i]] += 1
            counts[c, 1, symbols[i + run]] += 1
            counts[c, 2, symbols[i + 2 * run]] += 1
            counts[c, 3, symbols[i + 3 * run]] += 1
        for s in range(STREAMS):
            for i in range(start + s * run + whole, start + min((s + 1) * run, size)):
                counts[c, s, symbols[i]] += 1


@brief
def total(tally: UInt32s, counts: Int64s) -> None:
    """counts[i] = how often the symbol i - 128, as an int8, occurs in all rows of a tally."""
    counts[:] = 0
    for row in tally:
        for i in range(128):
            counts[i + 128] += row[i]
            counts[i] += row[i + 128]


@brief
def add_up(tally: UInt32s, lengths: Int64s, bits: Int64s) -> None:
    """bits[c, s] = what the symbols of a stream take; tally: of `tally`, lengths: of each byte."""
    for c in range(bits.shape[0]):
        for s in range(bits.shape[1]):
            taken = np.int64(0)
            for i in range(256):
                taken += np.int64(tally[c, s, i]) * lengths[i]
            bits[c, s] = taken


@kernel
def measure(
    places: Places, chunk: int, lengths: Int64s, family: int, order: int, bits: Int64s
) -> None:
    """Add up the codeword lengths of each stream; bits has shape (chunks, STREAMS).

    Family HUFFMAN: `places` lead to entries of `lengths`. Any other: they are the values.
    """
    for c in range(bits.shape[0]):
        size = min(chunk, places.size - c * chunk)
        run = (size + STREAMS - 1) // STREAMS if size >= FEW else size
        for s in range(STREAMS):
            total = np.int64(0)
            for i in range(s * run, min((s + 1) * run, size)):
                place = places[c * chunk + i]
                if family == HUFFMAN:
                    total += lengths[place]
                else:
                    _, n_first, _, n_second = integer_codes.codeword(
                        np.uint64(place), family, order
                    )
                    total += n_first + n_second
            bits[c, s] = total


@brief
def build(
    symbols: UInt64s, codes: UInt64s, lengths: Int64s, width: int, bits: int, table: UInt64s
) -> None:
    """Fill the table, 2^(bits + 1) entries, from codewords and the `width` bytes of each symbol.

    Codewords longer than `bits` are left out. A table for b bits follows from those for fewer: the
    first symbol, then whatever the table for the remaining bits holds. Between the longest look
    that follows another codeword and the whole one, tables would find but single symbols that the
    whole one finds as well; they stay empty.
    """
    most = np.uint64(6 - width)
    shift = np.uint64(8 * width)
    shortest = bits
    length_of = np.zeros(256, np.uint64)
    for i in range(symbols.size):
        if lengths[i] > 0:
            shortest = min(shortest, lengths[i])
        if width == 1:
            length_of[symbols[i] & _BYTE] = np.uint64(lengths[i])
    entries, of_last = table.ctypes.data, length_of.ctypes.data
    table[: min(2, table.size)] = 0
    for b in range(1, bits + 1):
        base = 1 << b
        table[base : 2 * base] = 0
        if bits - shortest < b < bits:
            continue
        for i in range(symbols.size):
            length = lengths[i]
            if length > b or length < 1 or codes[i] >> np.uint64(length) != np.uint64(0):
                continue
            left = b - length
            symbol = symbols[i] | np.uint64(length) << np.uint64(48) | np.uint64(width) << _56
            place = base + np.int64(codes[i])
            if width == 1:
                source = entries + (8 << left)
                target, step = entries + 8 * place, 8 << length
                for _ in range(1 << left):
                    entry = load64(source)
                    # Of six symbols, the last one makes room: arithmetic, since it is often there.
                    full = np.uint64(0) - np.uint64(entry >> _56 > most)
                    last = load64(of_last + np.int64(entry >> np.uint64(37) & np.uint64(0x7F8)))
                    entry -= full & (np.uint64(1) << _56 | last << np.uint64(48))
                    store64(target, symbol + ((entry & ~_SYMBOLS) | (entry << shift) & _SYMBOLS))
                    source += 8
                    target += step
                continue
            for rest in range(1 << left):
                entry = np.uint64(0)
                look = left
                while width <= 2 and look > 0:
                    entry = table[(1 << look) + (rest & ((1 << look) - 1))]
                    if entry >> _56 <= most:
                        break
                    look -= 1  # too many symbols: fewer bits hold fewer
                if look == 0 or width > 2:
                    entry = np.uint64(0)
                table[place + (rest << length)] = symbol + (
                    (entry & ~_SYMBOLS) | (entry << shift) & _SYMBOLS
                )


@kernel
def encode(
    symbols: Bytes,
    chunk: int,
    codes: UInt64s,
    longest: int,
    begins: Int64s,
    ends: Int64s,
    out: Bytes,
) -> bool:
    """Write the codewords of byte symbols; False if a stream does not end where it should.

    codes: codeword << 8 | its length, at most 56 bits, for each byte. begins: of each chunk in
    `out`, shape (chunks,). ends: of each stream, shape (chunks, STREAMS); a stream begins where the
    one before ends, the first one after the sizes of the first three. Below FEW symbols there are
    no sizes and one stream.
    """
    source, target, table = symbols.ctypes.data, out.ctypes.data, codes.ctypes.data
    if out.size == 0 or ends[-1, STREAMS - 1] > out.size or codes.size < 256:
        return False
    good = True
    for c in range(ends.shape[0]):
        size = min(chunk, symbols.size - c * chunk)
        p0 = begins[c]
        i0 = source + c * chunk
        if size < FEW:
            good &= _write(i0, i0 + size, table, target, p0, ends[c, 0], np.uint64(0), np.uint64(0))
            continue
        run = (size + STREAMS - 1) // STREAMS
        e0, e1, e2, e3 = ends[c, 0], ends[c, 1], ends[c, 2], ends[c, 3]
        store32(target + p0, np.uint64(e0 - p0 - 12))
        store32(target + p0 + 4, np.uint64(e1 - e0))
        store32(target + p0 + 8, np.uint64(e2 - e1))
        p0 += 12
        p1, p2, p3 = e0, e1, e2
        i1, i2, i3 = i0 + run, i0 + 2 * run, i0 + 3 * run
        w0 = w1 = w2 = w3 = np.uint64(0)
        k0 = k1 = k2 = k3 = np.uint64(0)
        last = i0 + size - 3 * run - 4  # the fourth run is the shortest
        if longest <= MAX_LENGTH:
            while i0 <= last and p0 <= e0 - 8 and p1 <= e1 - 8 and p2 <= e2 - 8 and p3 <= e3 - 8:
                p0, w0, k0 = _write4(i0, table, target, p0, w0, k0)
                p1, w1, k1 = _write4(i1, table, target, p1, w1, k1)
                p2, w2, k2 = _write4(i2, table, target, p2, w2, k2)
                p3, w3, k3 = _write4(i3, table, target, p3, w3, k3)
                i0 += 4
                i1 += 4
                i2 += 4
                i3 += 4
        start = source + c * chunk
        good &= _write(i0, start + run, table, target, p0, e0, w0, k0)
        good &= _write(i1, start + 2 * run, table, target, p1, e1, w1, k1)
        good &= _write(i2, start + 3 * run, table, target, p2, e2, w2, k2)
        good &= _write(i3, start + size, table, target, p3, e3, w3, k3)
    return good


@kernel
def _write4(source: Any, table: int, target: Any, at: Any, window: Any, used: Any) -> Any:
    """Four codewords of at most MAX_LENGTH bits: (place, window, bits in it) after them."""
    four = load32(source)
    a = load64(table + np.int64((four & _BYTE) << np.uint64(3)))
    b = load64(table + np.int64((four >> np.uint64(8) & _BYTE) << np.uint64(3)))
    c = load64(table + np.int64((four >> np.uint64(16) & _BYTE) << np.uint64(3)))
    d = load64(table + np.int64((four >> np.uint64(24) & _BYTE) << np.uint64(3)))
    ab = a >> _EIGHT | (b >> _EIGHT) << (a & _63)
    cd = c >> _EIGHT | (d >> _EIGHT) << (c & _63)
    half = (a + b) & _63
    window |= ab << used | cd << (used + half & _63)
    used = (used + half + c + d) & _63
    store64(target + at, window)
    return at + np.int64(used >> np.uint64(3)), window >> (used & _56), used & _SEVEN


@kernel
def _write(
    source: Any, last: Any, table: int, target: Any, at: Any, end: Any, window: Any, used: Any
) -> bool:
    """The remaining codewords of a stream, byte by byte; whether it ends where it should."""
    while source < last:
        entry = load64(table + np.int64(load8(source) << np.uint64(3)))
        length = entry & _BYTE
        window |= entry >> _EIGHT << used  # at most 56 bits after at most 7
        used += length
        while used >= _EIGHT:
            if at < end:
                store8(target + at, window)
            at += 1
            window >>= _EIGHT
            used -= _EIGHT
        source += 1
    if used > np.uint64(0):
        if at < end:
            store8(target + at, window)
        at += 1
    return bool(at == end)


@kernel
def encode_wide(
    places: Places,
    chunk: int,
    codes: UInt64s,
    family: int,
    order: int,
    begins: Int64s,
    ends: Int64s,
    out: Bytes,
) -> bool:
    """`encode` for other than bytes, a symbol at a time.

    Family HUFFMAN: `places` lead to entries of `codes`. Any other: they are the values themselves.
    """
    target = out.ctypes.data
    good = out.size > 0 and ends[-1, STREAMS - 1] <= out.size
    if not good:
        return False
    for c in range(ends.shape[0]):
        size = min(chunk, places.size - c * chunk)
        at = begins[c]
        run = size
        if size >= FEW:
            run = (size + STREAMS - 1) // STREAMS
            store32(target + at, np.uint64(ends[c, 0] - at - 12))
            store32(target + at + 4, np.uint64(ends[c, 1] - ends[c, 0]))
            store32(target + at + 8, np.uint64(ends[c, 2] - ends[c, 1]))
            at += 12
        for s in range(STREAMS):
            end = ends[c, s]
            window: Any = np.uint64(0)
            used: Any = 0
            for i in range(c * chunk + min(s * run, size), c * chunk + min((s + 1) * run, size)):
                if family == HUFFMAN:
                    entry = codes[places[i]] if places[i] < codes.size else np.uint64(0)
                    first, n_first = entry >> _EIGHT, np.int64(entry & _BYTE)
                    second, n_second = np.uint64(0), np.int64(0)
                else:
                    first, n_first, second, n_second = integer_codes.codeword(
                        np.uint64(places[i]), family, order
                    )
                for _ in range(2):
                    window |= first << np.uint64(used)
                    used += n_first
                    while used >= 8:
                        if at < end:
                            store8(target + at, window)
                        at += 1
                        window >>= _EIGHT
                        used -= 8
                    first, n_first = second, n_second
            if used > 0:
                if at < end:
                    store8(target + at, window)
                at += 1
            good = good and bool(at == end)
    return good


@kernel
def decode(
    data: Bytes,
    begins: Int64s,
    ends: Int64s,
    chunk: int,
    width: int,
    table: UInt64s,
    bits: int,
    family: int,
    order: int,
    out: Bytes,
) -> bool:
    """Decode chunks data[begins[c] : ends[c]] of `chunk` symbols each but for the last one.

    out: room for the symbols of all of them, `width` bytes each. False for a damaged chunk.
    """
    if begins.size == 0 or table.size < 2 << bits:
        return False
    stream, target, entries = data.ctypes.data, out.ctypes.data, table.ctypes.data
    top = entries + (8 << bits)
    mask = np.uint64((1 << bits) - 1)
    limit = data.size - 8
    n_symbols = out.size // width
    p, t = np.empty(STREAMS, np.int64), np.empty(STREAMS, np.int64)
    e, f = np.empty(STREAMS, np.int64), np.empty(STREAMS, np.int64)
    w, k = np.empty(STREAMS, np.uint64), np.empty(STREAMS, np.uint64)
    for c in range(begins.size):
        size = min(chunk, n_symbols - c * chunk)
        p0, end = begins[c], ends[c]
        if size <= 0 or p0 < 0 or p0 > end or end > data.size:
            return False
        run = size
        e0 = e1 = e2 = end
        if size >= FEW:
            if end - p0 < 12:
                return False
            run = (size + STREAMS - 1) // STREAMS
            e0 = p0 + 12 + np.int64(load32(stream + p0))
            e1 = e0 + np.int64(load32(stream + p0 + 4))
            e2 = e1 + np.int64(load32(stream + p0 + 8))
            p0 += 12
            if e2 > end:
                return False
        p1, p2, p3 = e0, e1, e2
        t0: Any = c * chunk * width
        t1: Any = t0 + run * width
        t2: Any = t0 + 2 * run * width
        t3: Any = t0 + 3 * run * width
        f0, f1, f2, f3 = t1, t2, t3, t0 + size * width
        w0 = w1 = w2 = w3 = np.uint64(0)
        k0 = k1 = k2 = k3 = np.uint64(0)
        if size >= FEW:
            g0, g1, g2, g3 = f0 - GUARD, f1 - GUARD, f2 - GUARD, f3 - GUARD
            while (
                t0 <= g0
                and t1 <= g1
                and t2 <= g2
                and t3 <= g3
                and p0 <= limit
                and p1 <= limit
                and p2 <= limit
                and p3 <= limit
            ):
                w0 |= load64(stream + p0) << k0
                w1 |= load64(stream + p1) << k1
                w2 |= load64(stream + p2) << k2
                w3 |= load64(stream + p3) << k3
                p0 += np.int64((_63 - k0) >> np.uint64(3))
                p1 += np.int64((_63 - k1) >> np.uint64(3))
                p2 += np.int64((_63 - k2) >> np.uint64(3))
                p3 += np.int64((_63 - k3) >> np.uint64(3))
                k0 |= _56
                k1 |= _56
                k2 |= _56
                k3 |= _56
                x0 = x1 = x2 = x3 = np.uint64(0)
                for _ in range(4):
                    x0 = load64(top + np.int64((w0 & mask) << np.uint64(3)))
                    x1 = load64(top + np.int64((w1 & mask) << np.uint64(3)))
                    x2 = load64(top + np.int64((w2 & mask) << np.uint64(3)))
                    x3 = load64(top + np.int64((w3 & mask) << np.uint64(3)))
                    store64(target + t0, x0)
                    store64(target + t1, x1)
                    store64(target + t2, x2)
                    store64(target + t3, x3)
                    n0, n1, n2, n3 = (
                        x0 >> np.uint64(48),
                        x1 >> np.uint64(48),
                        x2 >> np.uint64(48),
                        x3 >> np.uint64(48),
                    )
                    w0 >>= n0 & _63
                    w1 >>= n1 & _63
                    w2 >>= n2 & _63
                    w3 >>= n3 & _63
                    k0 -= n0 & _BYTE
                    k1 -= n1 & _BYTE
                    k2 -= n2 & _BYTE
                    k3 -= n3 & _BYTE
                    t0 += np.int64(n0 >> _EIGHT)
                    t1 += np.int64(n1 >> _EIGHT)
                    t2 += np.int64(n2 >> _EIGHT)
                    t3 += np.int64(n3 >> _EIGHT)
                # A stream that met a codeword beyond the table has stood still since.
                if x0 == np.uint64(0):
                    p0, w0, k0, t0 = _long(
                        stream, data.size, p0, k0, family, order, width, target, t0
                    )
                if x1 == np.uint64(0):
                    p1, w1, k1, t1 = _long(
                        stream, data.size, p1, k1, family, order, width, target, t1
                    )
                if x2 == np.uint64(0):
                    p2, w2, k2, t2 = _long(
                        stream, data.size, p2, k2, family, order, width, target, t2
                    )
                if x3 == np.uint64(0):
                    p3, w3, k3, t3 = _long(
                        stream, data.size, p3, k3, family, order, width, target, t3
                    )
                if t0 < 0 or t1 < 0 or t2 < 0 or t3 < 0:
                    return False
        p[0], p[1], p[2], p[3] = p0, p1, p2, p3
        w[0], w[1], w[2], w[3] = w0, w1, w2, w3
        k[0], k[1], k[2], k[3] = k0, k1, k2, k3
        t[0], t[1], t[2], t[3] = t0, t1, t2, t3
        e[0], e[1], e[2], e[3] = e0, e1, e2, end
        f[0], f[1], f[2], f[3] = f0, f1, f2, f3
        # Where codewords are short a stream is done first; the others go on one by one. Then what
        # is left of each run, and the check that its stream ends with it.
        for s in range(STREAMS if size >= FEW else 1):
            at, have, to = _drain(
                stream, limit, p[s], w[s], k[s], top, mask, target, t[s], f[s] - GUARD
            )
            position = 8 * at - np.int64(have)
            if not _finish(
                stream,
                data.size,
                position,
                e[s],
                entries,
                bits,
                family,
                order,
                width,
                target,
                to,
                f[s],
            ):
                return False
    return True


@kernel
def _drain(
    stream: Any,
    limit: Any,
    at: Any,
    window: Any,
    have: Any,
    top: Any,
    mask: Any,
    target: Any,
    to: Any,
    last: Any,
) -> Any:
    """One stream alone, up to a codeword beyond the table: (place, bits in hand, target place)."""
    entry = np.uint64(1)
    while to <= last and at <= limit and entry != np.uint64(0):
        window |= load64(stream + at) << have
        at += np.int64((_63 - have) >> np.uint64(3))
        have |= _56
        for _ in range(4):
            entry = load64(top + np.int64((window & mask) << np.uint64(3)))
            store64(target + to, entry)
            both = entry >> np.uint64(48)
            window >>= both & _63
            have -= both & _BYTE
            to += np.int64(both >> _EIGHT)
    return at, have, to


@kernel
def _long(
    stream: Any,
    size: Any,
    at: Any,
    have: Any,
    family: int,
    order: int,
    width: int,
    target: Any,
    to: Any,
) -> Any:
    """A codeword beyond the table: (place, window, bits in it, target place); to = -1: damage."""
    if family == HUFFMAN:
        return at, np.uint64(0), have, np.int64(-1)
    value, position = integer_codes.read(stream, size, 8 * at - np.int64(have), family, order)
    if position < 0 or not _put(value, width, target + to):
        return at, np.uint64(0), have, np.int64(-1)
    window = integer_codes.bits_at(stream, size, position)
    return (position >> 3) + 7, window, np.uint64(56 - (position & 7)), to + width


@kernel
def _put(value: Any, width: int, address: int) -> bool:
    """Store the zig-zagged value as a signed number of `width` bytes; False if it has more."""
    if value >> np.uint64(8 * width) != np.uint64(0):
        return False
    signed = value >> np.uint64(1) ^ (np.uint64(0) - (value & np.uint64(1)))
    for i in range(width):
        store8(address + i, signed >> np.uint64(8 * i))
    return True


@kernel
def _finish(
    stream: Any,
    size: Any,
    position: Any,
    end: Any,
    entries: Any,
    bits: int,
    family: int,
    order: int,
    width: int,
    target: Any,
    to: Any,
    last: Any,
) -> bool:
    """Decode up to the exact end of a run; whether its bits, padded with zeros, end its stream."""
    while to < last:
        if position > 8 * end:
            return False
        window = integer_codes.bits_at(stream, size, position)
        entry = np.uint64(0)
        if to + 8 <= last:
            entry = load64(
                entries
                + (8 << bits)
                + np.int64((window & np.uint64((1 << bits) - 1)) << np.uint64(3))
            )
        else:  # one symbol: the shortest look that finds any
            b = 1
            while b <= bits and entry == np.uint64(0):
                entry = load64(
                    entries
                    + (8 << b)
                    + np.int64((window & np.uint64((1 << b) - 1)) << np.uint64(3))
                )
                b += 1
        if entry != np.uint64(0):
            n_bytes = np.int64(entry >> _56)
            for i in range(n_bytes):
                store8(target + to + i, entry >> np.uint64(8 * i))
            to += n_bytes
            position += np.int64(entry >> np.uint64(48) & _BYTE)
        else:
            if family == HUFFMAN:
                return False
            value, position = integer_codes.read(stream, size, position, family, order)
            if position < 0 or not _put(value, width, target + to):
                return False
            to += width
    padding = 8 * end - position
    if padding < 0 or padding >= 8:
        return False
    if padding > 0:
        return bool(load8(stream + end - 1) >> np.uint64(8 - padding) == np.uint64(0))
    return True
