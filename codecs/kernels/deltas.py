"""Differences of bit patterns, in the order of the floats they stand for.

Read as integers, the patterns of positive floats are in the floats' order and those of negative
ones in the reverse. Turned round and put below the others they are all in order: two floats with
few others between them have a small difference. It is kept in zig-zag: 0, -1, 1, -2, ...
"""

from __future__ import annotations

from slashbench.arrays import FloatBits
from slashbench.codecs.kernels import kernel


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
