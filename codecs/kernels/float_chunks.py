"""Chunks of floats: each plane decoded, and the planes put together while they are in the cache.

A chunk begins with the size, u32, of each of its planes that is not raw; `slashbench.codecs.floats`
has the layout. `plan` says how each plane is coded, the highest first, in a row of int64:

    FORM    RAW, CODED, PAIRS or PATCHED_PAIRS
    LOW     where the window of pairs begins
    PATCHED whether exceptions come before the coder's bytes
    FILL    the one byte there is, of an alphabet of one value; -1 of any other
    BITS    looked at in the plane's table
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slashbench.arrays import Bytes, Int64s, UInt32s, UInt64s
from slashbench.codecs.kernels import exceptions, kernel, planes, prefix, rans
from slashbench.codecs.kernels.planes import (
    CODED,
    PATCHED_PAIRS,
    RAW,
)

FORM, LOW, PATCHED, FILL, BITS = range(5)

Tables = tuple[UInt64s, ...]


@kernel
def decode_prefix(
    data: Bytes,
    begins: Int64s,
    ends: Int64s,
    plan: Int64s,
    tables: Tables,
    chunk: int,
    words: UInt32s,
) -> bool:
    """Decode chunks data[begins[c] : ends[c]] of `chunk` words but for the last; False: damaged.

    tables: of each plane, for `prefix.decode`; empty where there is none.
    """
    n_planes = plan.shape[0]
    edges, spans = np.empty(n_planes + 1, np.int64), np.empty((2, 1), np.int64)
    coded, values = np.empty(chunk, np.uint8), np.empty(chunk, np.uint8)
    for c in range(begins.size):
        target = words[c * chunk : (c + 1) * chunk]
        if not _locate(data, begins[c], ends[c], plan, target.size, edges):
            return False
        for p in range(n_planes - 1, -1, -1):
            symbols = coded[: _count(plan[p, FORM], target.size)]
            if symbols.size > 0:
                if not _begin(data, edges, p, plan, symbols, spans):
                    return False
                if plan[p, FILL] < 0 and not prefix.decode(
                    data,
                    spans[0],
                    spans[1],
                    symbols.size,
                    1,
                    tables[p],
                    plan[p, BITS],
                    prefix.HUFFMAN,
                    0,
                    symbols,
                ):
                    return False
            if not _place(data, edges, p, plan, symbols, values, target):
                return False
    return True


@kernel
def decode_rans(
    data: Bytes,
    begins: Int64s,
    ends: Int64s,
    plan: Int64s,
    tables: Tables,
    chunk: int,
    words: UInt32s,
) -> bool:
    """The same with tables for `rans.decode`."""
    n_planes = plan.shape[0]
    edges, spans = np.empty(n_planes + 1, np.int64), np.empty((2, 1), np.int64)
    run = np.empty((1, 1), np.int64)
    coded, values = np.empty(chunk, np.uint8), np.empty(chunk, np.uint8)
    for c in range(begins.size):
        target = words[c * chunk : (c + 1) * chunk]
        if not _locate(data, begins[c], ends[c], plan, target.size, edges):
            return False
        for p in range(n_planes - 1, -1, -1):
            symbols = coded[: _count(plan[p, FORM], target.size)]
            if symbols.size > 0:
                if not _begin(data, edges, p, plan, symbols, spans):
                    return False
                run[0, 0] = symbols.size
                if plan[p, FILL] < 0 and not rans.decode(
                    data, spans[0], spans[1], run, tables[p], plan[p, BITS], symbols
                ):
                    return False
            if not _place(data, edges, p, plan, symbols, values, target):
                return False
    return True


@kernel
def _locate(data: Bytes, begin: int, end: int, plan: Int64s, count: int, edges: Int64s) -> bool:
    """Plane p is data[edges[p] : edges[p + 1]]; False if the planes don't fill the chunk."""
    sizes = 0
    for p in range(plan.shape[0]):
        sizes += 4 * int(plan[p, FORM] != RAW)
    at: Any = begin
    place: Any = begin + sizes
    if count == 0 or at < 0 or place > end or end > data.size:
        return False
    edges[0] = place
    for p in range(plan.shape[0]):
        if plan[p, FORM] == RAW:
            place += count
        else:
            for i in range(4):
                place += np.int64(data[at + i]) << 8 * i
            at += 4
        edges[p + 1] = place
    return bool(place == end)


@kernel
def _count(form: int, count: int) -> int:
    """Symbols that the coder holds of a plane of so many bytes."""
    if form == RAW:
        return 0
    return count if form == CODED else (count + 1) // 2


@kernel
def _begin(data: Bytes, edges: Int64s, p: int, plan: Int64s, symbols: Bytes, spans: Int64s) -> bool:
    """Where the coder's bytes begin and end, after exceptions; fill in what has no codewords."""
    spans[0, 0], spans[1, 0] = edges[p], edges[p + 1]
    if plan[p, FORM] == PATCHED_PAIRS and not exceptions.skip(
        data, spans[0], spans[1], 1, spans[0]
    ):
        return False
    if plan[p, PATCHED] and not exceptions.skip(data, spans[0], spans[1], 1, spans[0]):
        return False
    if plan[p, FILL] >= 0:
        symbols[:] = np.uint8(plan[p, FILL])
        return bool(spans[0, 0] == spans[1, 0])
    return True


@kernel
def _joined(plan: Int64s) -> bool:
    """Whether all planes go into the words at once: the highest is coded, the others are raw."""
    n_planes, n_raw = plan.shape[0], 0
    for p in range(n_planes):
        n_raw += int(plan[p, FORM] == RAW)
    return n_planes in (2, 4) and n_raw == n_planes - 1 and plan[0, FORM] != RAW


@kernel
def _place(
    data: Bytes,
    edges: Int64s,
    p: int,
    plan: Int64s,
    symbols: Bytes,
    values: Bytes,
    target: UInt32s,
) -> bool:
    """Put a plane's exceptions among its symbols, and the plane into the words."""
    n, form = target.size, plan[p, FORM]
    n_planes = plan.shape[0]
    joined = _joined(plan)
    if form == RAW:
        if not joined:
            planes.put(data[edges[p] : edges[p + 1]], n_planes - 1 - p, target)
        return True
    begins, ends = edges[p : p + 1].copy(), edges[p + 1 : p + 2]
    bytes_ = values[:n]
    if form == PATCHED_PAIRS and not exceptions.skip(data, begins, ends, 1, begins):
        return False
    if plan[p, PATCHED] and not exceptions.put(data, begins, ends, symbols.size, 1, symbols):
        return False
    if form == CODED:
        bytes_ = symbols
    else:
        planes.unpair(symbols, plan[p, LOW], bytes_)
        if form == PATCHED_PAIRS and not exceptions.put(data, edges[p : p + 1], ends, n, 1, bytes_):
            return False
    if joined and n_planes == 2:
        planes.join(bytes_, data[edges[1] : edges[2]], target)
    elif joined:
        planes.join_four(
            bytes_,
            data[edges[1] : edges[2]],
            data[edges[2] : edges[3]],
            data[edges[3] : edges[4]],
            target,
        )
    else:
        planes.put(bytes_, n_planes - 1 - p, target)
    return True
