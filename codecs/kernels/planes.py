"""Bytes of floats apart and together again, and two small numbers in a byte.

A word is rotated left by one, which puts the sign last: the highest plane of bytes then holds the
exponent (of bfloat16 and float32) and nothing else. Every loop is over one plane, which is what the
compiler turns into wide instructions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from slashbench.codecs.kernels import exceptions, kernel

Words = npt.NDArray[Any]  # uint16, uint32 or uint64
Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]

FORMS = RAW, CODED, PAIRS, PATCHED_PAIRS = 0, 1, 2, 3  # of a plane
WINDOW = 16  # values that fit half a byte


@kernel
def take(words: Words, plane: int, out: Bytes) -> None:
    """out[i] = byte `plane` of the rotated words[i]; 0 is the lowest."""
    n = min(words.size, out.size)
    words, out = words[:n], out[:n]
    if plane == 0:
        last = 8 * words.itemsize - 1
        for i in range(n):
            out[i] = np.uint8(words[i] << 1 | words[i] >> last)
    else:
        shift = 8 * plane - 1
        for i in range(n):
            out[i] = np.uint8(words[i] >> shift)


@kernel
def put(bytes_: Bytes, plane: int, words: Words) -> None:
    """Write byte `plane` of the rotated words; plane 0 comes first and clears the others."""
    n = min(words.size, bytes_.size)
    words, bytes_ = words[:n], bytes_[:n]
    zero = words.dtype.type(0)
    if plane == 0:
        last = 8 * words.itemsize - 1
        for i in range(n):
            low = zero | bytes_[i]
            words[i] = low >> 1 | low << last
    else:
        shift = 8 * plane - 1
        for i in range(n):
            words[i] |= (zero | bytes_[i]) << shift


@kernel
def join(high: Bytes, low: Bytes, words: Words) -> None:
    """Both planes of 16-bit words at once: half the memory traffic of two times `put`."""
    n = min(words.size, high.size, low.size)
    words, high, low = words[:n], high[:n], low[:n]
    zero = words.dtype.type(0)
    for i in range(n):
        rotated = zero | high[i] << 8 | low[i]
        words[i] = rotated >> 1 | rotated << 15


def n_pairs(count: int, chunk: int) -> int:
    """Pairs in chunks of so many values; an odd chunk's last value has a pair to itself."""
    whole, rest = divmod(count, chunk)
    return whole * ((chunk + 1) // 2) + (rest + 1) // 2


@kernel
def pair(values: Bytes, chunk: int, low: int, usual: int, out: Bytes) -> int:
    """Pair the values of each chunk, `n_pairs` in all; returns how many lie outside the window.

    With h = ceil(n / 2), values i and i + h take half a byte each, less `low`, where the window
    begins. One outside it becomes `usual`.
    """
    beyond = start = 0
    while start < values.size and out.size > 0:
        part = values[start : start + chunk]
        half = (part.size + 1) // 2
        beyond += _pair(part, low, usual, out[:half])
        out = out[half:]
        start += chunk
    return beyond


@kernel
def _pair(values: Bytes, low: int, usual: int, out: Bytes) -> int:
    half = out.size
    first, second = values[:half], values[half:]
    n, base, stand_in = min(second.size, half), np.uint8(low), np.uint8(usual - low)
    beyond = 0
    for i in range(half):
        a = np.uint8(first[i] - base)
        beyond += int(a >= WINDOW)
        out[i] = a if a < WINDOW else stand_in
    for i in range(n):
        b = np.uint8(second[i] - base)
        beyond += int(b >= WINDOW)
        out[i] |= np.uint8((b if b < WINDOW else stand_in) << 4)
    for i in range(n, half):  # an odd one out
        out[i] |= np.uint8(stand_in << 4)
    return beyond


@kernel
def _unpair(pairs: Bytes, low: int, out: Bytes) -> None:
    half = pairs.size
    first, second = out[:half], out[half:]
    n, base = min(second.size, half), np.uint8(low)
    for i in range(min(half, first.size)):
        first[i] = (pairs[i] & 15) + base
    for i in range(n):
        second[i] = (pairs[i] >> 4) + base


@kernel
def locate_planes(
    data: Bytes,
    begins: Integers,
    ends: Integers,
    raw: npt.NDArray[np.bool_],
    chunk: int,
    count: int,
    edges: Integers,
) -> bool:
    """Plane p of chunk c is data[edges[p, c] : edges[p + 1, c]]; False if they don't fill chunks.

    A chunk begins with the size, u32, of each plane that is not raw. edges: shape (planes + 1,
    chunks). The chunks have `chunk` values but for the last one, `count` in all.
    """
    n_planes = raw.size
    sizes = 4 * (n_planes - raw.sum())
    for c in range(begins.size):
        at, place = begins[c], begins[c] + sizes
        if at < 0 or place > ends[c] or ends[c] > data.size:
            return False
        edges[0, c] = place
        for p in range(n_planes):
            if raw[p]:
                place += min(chunk, count - c * chunk)
            else:
                for i in range(4):
                    place += np.int64(data[at + i]) << 8 * i
                at += 4
            edges[p + 1, c] = place
        if place != ends[c]:
            return False
    return True


@kernel
def merge(
    data: Bytes,
    edges: Integers,
    forms: Integers,
    lows: Integers,
    decoded: tuple[Bytes, ...],
    chunk: int,
    words: Words,
) -> bool:
    """Make words of their planes. False for an exception beyond its chunk.

    Planes go from the highest to the lowest. edges: of `locate_planes`; forms, lows: shape
    (planes,); decoded: what the coder held of each plane, nothing of a raw one. A chunk stays in
    the cache while its planes come together.
    """
    n_planes, n_chunks = edges.shape[0] - 1, edges.shape[1]
    half = (chunk + 1) // 2
    unpaired = np.empty(chunk, np.uint8)
    joined = words.itemsize == 2 and forms[0] != RAW and forms[1] == RAW  # both planes at once
    for c in range(n_chunks):
        target = words[c * chunk : (c + 1) * chunk]
        n = target.size
        for p in range(n_planes - 1, -1, -1):
            plane = n_planes - 1 - p
            if forms[p] == RAW:
                if not joined:
                    put(data[edges[p, c] : edges[p + 1, c]], plane, target)
                continue
            values = decoded[p][c * chunk : (c + 1) * chunk]
            if forms[p] != CODED:
                values = unpaired[:n]
                _unpair(decoded[p][c * half : c * half + (n + 1) // 2], lows[p], values)
                begins, ends = edges[p, c : c + 1], edges[p + 1, c : c + 1]
                if forms[p] == PATCHED_PAIRS and not exceptions.put(
                    data, begins, ends, n, 1, values
                ):
                    return False
            if joined:
                join(values, data[edges[1, c] : edges[2, c]], target)
            else:
                put(values, plane, target)
    return True


@kernel
def locate(values: Bytes, low: int, positions: Integers) -> None:
    """The places of the values outside the window, ascending, as many as there is room for."""
    base, found = np.uint8(low), 0
    for start in range(0, values.size, 256):
        block = values[start : start + 256]
        seen = np.uint8(0)
        for value in block:
            seen |= np.uint8(value - base)
        if seen >= WINDOW:
            for i in range(block.size):
                if np.uint8(block[i] - base) >= WINDOW and found < positions.size:
                    positions[found] = start + i
                    found += 1
