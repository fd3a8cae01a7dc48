"""Values too rare for a table: coded as a common one, and patched after decoding.

A symbol that needs a codeword but hardly occurs takes code space from all others. Such symbols are
written beside the chunk's payload, by position and value, and the coder is handed the most frequent
symbol in their place (Zukowski et al., "Super-scalar RAM-CPU cache compression", ICDE 2006: PFOR's
exceptions). Decoding then needs no escape symbol and no second look at the symbols.

    varint  number of steps; nothing follows 0
    u16     each step: symbols to pass before the next exception; 65535: so many, and no exception
    ...     the exceptions' values, as wide as symbols are
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from slashbench.arrays import Array, Bytes, Int8s, Int64s, Integers
from slashbench.codecs.kernels import exceptions as kernel
from slashbench.codecs.kernels import tally
from slashbench.codecs.kernels.exceptions import LONG
from slashbench.codecs.stream import frame
from slashbench.errors import CorruptStream


def outside(symbols: Int8s, low: int, high: int, count: int) -> Int64s:
    """Return the positions of the `count` symbols that lie outside low to high, ascending."""
    positions = np.empty(count, np.int64)
    if count:
        tally.outside(symbols, low, high, positions)
    return positions


def to_bytes(positions: Int64s, values: Integers) -> bytes:
    """Write the exceptions of one chunk; positions ascend."""
    gaps = positions.copy()
    gaps[1:] -= positions[:-1] + 1
    if gaps.size and int(gaps.max()) >= LONG:
        long = gaps // LONG  # steps without an exception, before each one
        steps = np.full(int(long.sum()) + gaps.size, LONG, "<u2")
        steps[np.cumsum(long + 1) - 1] = gaps % LONG
    else:
        steps = gaps.astype("<u2")
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return frame.varint(steps.size) + steps.tobytes() + little.tobytes()


def by_chunk(positions: Int64s, symbols: Array, chunk: int) -> list[bytes]:
    """`to_bytes` for each chunk of the symbols; positions are in the whole tensor, ascending."""
    n_chunks = -(-symbols.size // chunk)
    edges = np.searchsorted(positions, chunk * np.arange(n_chunks + 1))
    return [
        to_bytes(positions[a:b] - c * chunk, symbols[positions[a:b]])
        for c, (a, b) in enumerate(pairwise(edges))
    ]


def before(patches: list[bytes], chunks: list[frame.Pieces]) -> list[frame.Pieces]:
    """Return the chunks with every patch in front of its own; none is no change."""
    if not patches:
        return chunks
    return [(patch, *pieces) for patch, pieces in zip(patches, chunks, strict=True)]


def skip(data: Bytes, begins: Int64s, ends: Int64s, width: int) -> Int64s:
    """Return where in `data` each chunk goes on after its exceptions. Raises CorruptStream."""
    after = np.empty(begins.size, np.int64)
    if not kernel.skip(data, begins, ends, width, after):
        raise CorruptStream("the exceptions of a chunk are cut off")
    return after


def put(data: Bytes, begins: Int64s, ends: Int64s, chunk: int, symbols: Integers) -> None:
    """Write the exceptions of chunks of so many symbols over those. Raises CorruptStream."""
    if not kernel.put(data, begins, ends, chunk, symbols.itemsize, symbols.view(np.uint8)):
        raise CorruptStream("an exception lies beyond its chunk")
