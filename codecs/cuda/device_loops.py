"""The loops of `codecs/kernels` for a CUDA device: chunks, streams and lanes side by side.

A kernel takes arrays that lie on the device and sets `damaged[0]` to 1 where the CPU's loop returns
False. The host has checked where chunks and streams begin and end (`coded_symbols`); all that the
coded bits lead to is checked here. The bytes of a stream come as `words`, little-endian, with at
least eight bytes of zeros behind the last one.

Memory holds 32 or 64 bits at aligned addresses only, so a run of symbols is put together in a
register and written by words; the words at both of its ends, which it shares with its neighbours,
byte by byte.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import cuda as numba_cuda

from slashbench.codecs.kernels.exceptions import LONG
from slashbench.codecs.kernels.rans import LANES, ROUND

# Numba is typed in part.
cuda: Any = numba_cuda

_1 = np.uint64(1)
_8 = np.uint64(8)
_16 = np.uint64(16)
_24 = np.uint64(24)
_32 = np.uint64(32)
_48 = np.uint64(48)
_56 = np.uint64(56)
_BYTE = np.uint64(0xFF)
_SHORT = np.uint64(0xFFFF)
_THREE_BYTES = np.uint64(0xFFFFFF)
_WORD = np.uint64(0xFFFFFFFF)
_LOW = np.uint64(1 << 31)
_NOTHING = np.uint64(0)
_LONG = np.int64(LONG)


def kernel(function: Callable[..., None]) -> Any:
    """Compile a kernel on first use, once a process."""
    return cuda.jit(function)


def helper(function: Callable[..., Any]) -> Any:
    """Compile what kernels call."""
    return cuda.jit(device=True)(function)


@kernel
def prefix_runs(
    words: Any,
    spans: Any,
    table: Any,
    bits: Any,
    out: Any,
    out_words: Any,
    damaged: Any,
) -> None:
    """Decode a stream of codewords in each thread.

    spans: shape (streams, 4): where in the bytes of `words` a stream begins and ends, and where in
    the bytes of `out` its run does. table: as `kernels.prefix.build` makes it. out, out_words: the
    same memory, as bytes and as 32-bit words.
    """
    stream = cuda.grid(1)
    if stream >= spans.shape[0]:
        return
    begin, end = spans[stream, 0], spans[stream, 1]
    first, last = spans[stream, 2], spans[stream, 3]
    if first >= last:
        return
    mask = (_1 << np.uint64(bits)) - _1
    top = np.int64(1) << np.int64(bits)
    # A window of `kept` bits; `following` is the next word to load.
    following = begin >> 2
    skipped = (begin & 3) << 3
    window = np.uint64(words[following]) >> np.uint64(skipped)
    kept = 32 - skipped
    following += 1
    # The lowest `filled` bytes of `pending` are on their way to the word `place`.
    place = first >> 2
    head = first & 3
    filled = head
    pending = _NOTHING
    to = first
    while to < last:
        if kept <= 32:
            if following < words.shape[0]:
                window |= np.uint64(words[following]) << np.uint64(kept)
            following += 1
            kept += 32
        entry = table[top + np.int64(window & mask)]
        if to + np.int64(entry >> _56) > last:
            entry = _NOTHING
            look = np.int64(1)
            while look <= bits and entry == _NOTHING:  # the shortest look finds one symbol
                shorter = np.int64(1) << look
                entry = table[shorter + (np.int64(window & mask) & (shorter - 1))]
                look += 1
        if entry == _NOTHING or to + np.int64(entry >> _56) > last:
            damaged[0] = 1
            return
        taken = np.int64(entry >> _48 & _BYTE)
        window >>= np.uint64(taken)
        kept -= taken
        size = np.int64(entry >> _56)
        to += size
        symbols = entry & _THREE_BYTES
        part = size if size < 3 else np.int64(3)
        while part > 0:  # three bytes at a time, and at most three that are filled
            pending |= symbols << np.uint64(8 * filled)
            filled += part
            if filled >= 4:
                if head > 0:
                    for i in range(head, 4):
                        out[4 * place + i] = np.int64(pending >> np.uint64(8 * i) & _BYTE)
                    head = np.int64(0)
                else:
                    out_words[place] = np.int64(pending & _WORD)
                pending >>= _32
                filled -= 4
                place += 1
            size -= part
            symbols = entry >> _24 & _THREE_BYTES
            part = size
    for i in range(head, filled):
        out[4 * place + i] = np.int64(pending >> np.uint64(8 * i) & _BYTE)
    padding = 8 * end - (32 * following - kept)
    if padding < 0 or padding >= 8:
        damaged[0] = 1
    elif padding > 0:
        at = end - 1
        byte = np.uint64(words[at >> 2]) >> np.uint64((at & 3) << 3) & _BYTE
        if byte >> np.uint64(8 - padding) != _NOTHING:
            damaged[0] = 1


@kernel
def golomb_runs(words: Any, spans: Any, order: Any, out: Any, damaged: Any) -> None:
    """Decode a stream of exp-Golomb codewords in each thread.

    spans: as of `prefix_runs`, but the run is one of elements of `out`, whose width is that of the
    symbols.
    """
    stream = cuda.grid(1)
    if stream >= spans.shape[0]:
        return
    begin, end = spans[stream, 0], spans[stream, 1]
    first, last = spans[stream, 2], spans[stream, 3]
    if first >= last:
        return
    most = np.int64(8 * out.itemsize)
    position, limit = 8 * begin, 8 * end
    for i in range(first, last):
        if position >= limit:
            damaged[0] = 1
            return
        window = _bits(words, position)
        zeros = np.int64(0)
        while zeros < 33 and window >> np.uint64(zeros) & _1 == _NOTHING:
            zeros += 1
        if zeros == 33 or zeros + order > 33:
            damaged[0] = 1
            return
        position += zeros + 1
        window = np.uint64(0)
        if position < limit:  # there is nothing left where both lengths are 0
            window = _bits(words, position)
        power = _1 << np.uint64(zeros)
        high = window & (power - _1)
        low = window >> np.uint64(zeros) & ((_1 << np.uint64(order)) - _1)
        value = (power + high - _1) << np.uint64(order) | low
        position += zeros + order
        if value >> np.uint64(most) != _NOTHING:
            damaged[0] = 1
            return
        signed = value >> _1
        if value & _1 != _NOTHING:
            signed = ~signed
        out[i] = np.int64(signed & ((_1 << np.uint64(most)) - _1))
    padding = limit - position
    rest = _NOTHING
    if 0 < padding < 8:
        rest = _bits(words, position) & ((_1 << np.uint64(padding)) - _1)
    if padding < 0 or padding >= 8 or rest != _NOTHING:
        damaged[0] = 1


@helper
def _bits(words: Any, position: Any) -> Any:
    """At least 33 bits from a bit of `words` on, which has at least that one."""
    i = position >> 5
    both = np.uint64(words[i]) | np.uint64(words[i + 1]) << _32
    return both >> np.uint64(position & 31)


@kernel
def rans_lanes(
    words: Any,
    begins: Any,
    ends: Any,
    chunk: Any,
    count: Any,
    table: Any,
    bits: Any,
    values: Any,
    out: Any,
    damaged: Any,
) -> None:
    """Decode a chunk in each block, a lane in each of its LANES threads.

    The host has seen that a chunk has room for its states. table: as `kernels.rans.decoding_table`
    makes it; `values` are what its patterns lead to.

    Whoever needs a word says so before the barrier, and counts the lanes before it that do. The
    flags of two rounds take turns, so one barrier a round is enough.
    """
    flags = cuda.shared.array((2, LANES), np.int32)
    lane = np.int64(cuda.threadIdx.x)
    c = np.int64(cuda.blockIdx.x)
    start = c * chunk
    last = start + chunk if chunk < count - start else count
    at, end = begins[c], ends[c]
    mask, shift = (_1 << np.uint64(bits)) - _1, np.uint64(bits)
    x = _load(words, at + 8 * lane) | _load(words, at + 8 * lane + 4) << _32
    at += 8 * LANES
    parity = np.int64(0)
    while start < last:
        low = np.int64(0)
        i = start + lane
        if i < last:
            entry = table[np.int64(x & mask)]
            out[i] = values[np.int64(entry & _SHORT)]
            x = (entry >> _16 & _SHORT) * (x >> shift) + (entry >> _32)
            if i + LANES < last:
                entry = table[np.int64(x & mask)]
                out[i + LANES] = values[np.int64(entry & _SHORT)]
                x = (entry >> _16 & _SHORT) * (x >> shift) + (entry >> _32)
            if x < _LOW:
                low = np.int64(1)
        flags[parity, lane] = low
        cuda.syncthreads()
        before, total = np.int64(0), np.int64(0)
        for other in range(LANES):
            needs = np.int64(flags[parity, other])
            total += needs
            if other < lane:
                before += needs
        parity = 1 - parity
        if at + 4 * total > end:  # all lanes see it
            at = np.int64(-1)
            break
        if low > 0:
            x = x << _32 | _load(words, at + 4 * before)
        at += 4 * total
        start += ROUND
    if at != end or x != _LOW:
        damaged[0] = 1


@helper
def _load(words: Any, at: Any) -> Any:
    """The 32 bits that begin at a byte."""
    i = at >> 2
    both = np.uint64(words[i]) | np.uint64(words[i + 1]) << _32
    return both >> np.uint64((at & 3) << 3) & _WORD


@kernel
def put_exceptions(
    data: Any, begins: Any, ends: Any, chunk: Any, count: Any, width: Any, out: Any, damaged: Any
) -> None:
    """`kernels.exceptions.put` of a chunk in each thread; the host's `skip` has passed them."""
    c = cuda.grid(1)
    if c >= begins.shape[0]:
        return
    at, end = begins[c], ends[c]
    steps = np.int64(0)
    place = np.int64(0)
    more: Any = True
    while more and place < 35 and at < end:
        byte = np.int64(data[at])
        steps |= (byte & 0x7F) << place
        more = byte >= 0x80
        place += 7
        at += 1
    if more or 2 * steps > end - at:
        damaged[0] = 1
        return
    start = c * chunk
    size = chunk if chunk < count - start else count - start
    value = at + 2 * steps
    reached = np.int64(0)
    for i in range(steps):
        gap = np.int64(data[at + 2 * i]) | np.int64(data[at + 2 * i + 1]) << 8
        reached += gap
        if gap != _LONG:
            if reached >= size or value + width > end:
                damaged[0] = 1
                return
            target = (start + reached) * width
            for b in range(width):
                out[target + b] = data[value + b]
            value += width
            reached += 1
    if reached > size:
        damaged[0] = 1


@kernel
def unpair(pairs: Any, low: Any, chunk: Any, out: Any) -> None:
    """`kernels.planes.unpair` of all chunks of `chunk` bytes."""
    half_of_whole = (chunk + 1) // 2
    for i in range(cuda.grid(1), out.shape[0], cuda.gridsize(1)):
        c = i // chunk
        offset = i - c * chunk
        left = out.shape[0] - c * chunk
        half = ((chunk if chunk < left else left) + 1) // 2
        if offset < half:
            value = np.int64(pairs[c * half_of_whole + offset]) & 15
        else:
            value = np.int64(pairs[c * half_of_whole + offset - half]) >> 4
        out[i] = (value + low) & 0xFF


@kernel
def copy_plane(data: Any, begins: Any, chunk: Any, out: Any) -> None:
    """Copy a plane that is not coded; its part of chunk c begins at data[begins[c]]."""
    for i in range(cuda.grid(1), out.shape[0], cuda.gridsize(1)):
        c = i // chunk
        out[i] = data[begins[c] + i - c * chunk]


@kernel
def join_planes(planes: Any, out: Any) -> None:
    """Put the planes, shape (planes, at least n), the highest first, together to n words."""
    n_planes = planes.shape[0]
    last = np.uint64(8 * n_planes - 1)
    for i in range(cuda.grid(1), out.shape[0], cuda.gridsize(1)):
        rotated = _NOTHING
        for p in range(n_planes):
            rotated = rotated << _8 | np.uint64(planes[p, i])
        out[i] = rotated >> _1 | (rotated & _1) << last
