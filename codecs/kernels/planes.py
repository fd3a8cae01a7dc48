"""Bytes of floats apart and together again, and two small numbers in a byte.

A word is rotated left by one, which puts the sign last: the highest plane of bytes then holds the
exponent (of bfloat16 and float32) and nothing else. Every loop is over one plane, which is what the
compiler turns into wide instructions.
"""

from __future__ import annotations

import numpy as np

from slashbench.arrays import Bytes, FloatBits, Int64s
from slashbench.codecs.kernels import brief, kernel

FORMS = RAW, CODED, PAIRS, PATCHED_PAIRS = 0, 1, 2, 3  # of a plane
WINDOW = 16  # values that fit half a byte


@kernel
def take(words: FloatBits, plane: int, out: Bytes) -> None:
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
def put(bytes_: Bytes, plane: int, words: FloatBits) -> None:
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
def join(high: Bytes, low: Bytes, words: FloatBits) -> None:
    """Both planes of 16-bit words at once: half the memory traffic of two times `put`."""
    n = min(words.size, high.size, low.size)
    words, high, low = words[:n], high[:n], low[:n]
    zero = words.dtype.type(0)
    for i in range(n):
        rotated = zero | high[i] << 8 | low[i]
        words[i] = rotated >> 1 | rotated << 15


@kernel
def join_four(third: Bytes, second: Bytes, first: Bytes, last: Bytes, words: FloatBits) -> None:
    """All planes of 32-bit words at once, the highest first."""
    n = min(words.size, third.size, second.size, first.size, last.size)
    words, third, second, first, last = words[:n], third[:n], second[:n], first[:n], last[:n]
    zero = words.dtype.type(0)
    for i in range(n):
        high = (zero | third[i]) << 24 | (zero | second[i]) << 16
        rotated = high | (zero | first[i]) << 8 | last[i]
        words[i] = rotated >> 1 | rotated << 31


@brief
def survey(values: Bytes, blocks: int, length: int) -> tuple[int, int, float, float]:
    """(where the fullest window begins, its commonest value, the share outside, entropy in bits).

    Of as many blocks of values, spread over all of them; of all where there are fewer.
    """
    counts = np.zeros(256, np.int64)
    step = values.size // blocks
    if values.size > blocks * length:
        for block in range(blocks):
            for value in values[block * step : block * step + length]:
                counts[value] += 1
    else:
        for value in values:
            counts[value] += 1
    total = counts.sum()
    low, most = 0, -1
    for first in range(256 - WINDOW + 1):
        inside = counts[first : first + WINDOW].sum()
        if inside > most:
            low, most = first, inside
    entropy = 0.0
    for count in counts:
        if count > 0:
            entropy -= count / total * np.log2(count / total)
    usual = low + int(counts[low : low + WINDOW].argmax())
    return low, usual, (total - most) / total, entropy


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
def unpair(pairs: Bytes, low: int, out: Bytes) -> None:
    """Undo `pair`, of one chunk."""
    half = pairs.size
    first, second = out[:half], out[half:]
    n, base = min(second.size, half), np.uint8(low)
    for i in range(min(half, first.size)):
        first[i] = (pairs[i] & 15) + base
    for i in range(n):
        second[i] = (pairs[i] >> 4) + base


@kernel
def locate(values: Bytes, low: int, positions: Int64s) -> None:
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
