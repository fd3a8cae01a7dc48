"""Exceptions at the beginning of chunks: passed over before decoding, put in their place after it.

Their layout is in `slashbench.codecs.stream.exceptions`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slashbench.arrays import Bytes, Int64s
from slashbench.codecs.kernels import kernel

LONG = 0xFFFF  # a step that leads to no exception


@kernel
def skip(data: Bytes, begins: Int64s, ends: Int64s, width: int, after: Int64s) -> bool:
    """Find where the exceptions of each chunk end. False if they are longer than their chunk.

    width: bytes of a symbol. after: shape (chunks,), where in `data` each chunk goes on.
    """
    for c in range(after.size):
        if begins[c] < 0 or ends[c] > data.size:
            return False
        steps, at = _count(data, begins[c], ends[c])
        if at < 0:
            return False
        found = 0
        for i in range(steps):
            found += int(step(data, at + 2 * i) != LONG)
        after[c] = at + 2 * steps + width * found
        if after[c] > ends[c]:
            return False
    return True


@kernel
def put(data: Bytes, begins: Int64s, ends: Int64s, chunk: int, width: int, symbols: Bytes) -> bool:
    """Write the exceptions over the symbols of their chunks. False for one beyond its chunk.

    The chunks have `chunk` symbols of `width` bytes but for the last one; `skip` has passed them.
    """
    n_symbols = symbols.size // width
    for c in range(begins.size):
        size = min(chunk, n_symbols - c * chunk)
        steps, at = _count(data, begins[c], ends[c])
        if at < 0:
            return False
        value = at + 2 * steps
        reached = 0
        for i in range(steps):
            gap = step(data, at + 2 * i)
            reached += gap
            if gap == LONG:
                continue
            if reached >= size or value + width > ends[c]:
                return False
            place = (c * chunk + reached) * width
            for b in range(width):
                symbols[place + b] = data[value + b]
            value += width
            reached += 1
        if reached > size:
            return False
    return True


@kernel
def step(data: Bytes, at: int) -> int:
    """The step that lies at that place."""
    return int(data[at]) | int(data[at + 1]) << 8


@kernel
def begin(data: Bytes, at: int, end: int) -> Any:
    """(number of steps, place of the first one, place of the first value); -1 for a place: none."""
    steps, first = _count(data, at, end)
    return steps, first, first + 2 * steps


@kernel
def _count(data: Bytes, at: Any, end: Any) -> Any:
    """(the varint at that place, place after it), which leaves room for as many steps; or -1."""
    value = 0
    for shift in range(0, 35, 7):
        if at >= end:
            return 0, np.int64(-1)
        byte = int(data[at])
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value, at) if 2 * value <= end - at else (0, np.int64(-1))
    return 0, np.int64(-1)
