"""rANS under generalised Gaussians: one for each run of a chunk, and exceptions beyond its reach.

What `rans-ggd` (one run) and `rans-classes` (one a class) share. `edges`, shape (chunks, runs), is
as in `kernels.rans`: where in the symbols each run ends.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slashbench.arrays import Array, Int64s, Integers
from slashbench.codecs.kernels import rans
from slashbench.codecs.modelling.generalised_gaussian import GeneralisedGaussian
from slashbench.codecs.stream import exceptions
from slashbench.codecs.stream.frame import Frame, Pieces, cut
from slashbench.errors import CorruptStream

Models = Sequence[GeneralisedGaussian]


def encode(
    symbols: Integers, edges: Int64s, models: Models, bits: int
) -> tuple[bool, list[Pieces]]:
    """(whether chunks begin with exceptions, pieces of each chunk) of symbols, shape (n,).

    All chunks but the last are equally long.
    """
    n_chunks = edges.shape[0]
    positions = _beyond(symbols, edges, [model.reach for model in models])
    patches = exceptions.by_chunk(positions, symbols, int(edges[0, -1])) if positions.size else []
    zero, size = _place_of_zero(symbols, models)
    places: Array = symbols.view(np.uint8)
    if symbols.itemsize > 1:
        inside = np.abs(symbols.astype(np.int64)) <= zero
        places = (np.where(inside, symbols, 0) + zero).astype(np.uint16)
    table = np.empty((len(models), size, 4), np.uint64)
    for run, model in enumerate(models):
        rows = np.empty((2 * model.reach + 1, 4), np.uint64)
        rans.encoding_table(model.frequencies(bits), bits, rows)
        table[run] = rows[model.reach]  # an exception is coded as zero
        table[run, _places(model, zero, size)] = rows
    out = np.empty(2 * places.size + 96 * n_chunks, np.uint8)
    sizes = np.empty(n_chunks, np.int64)
    if not rans.encode(places, edges, table.reshape(-1, 4), bits, out, sizes):
        raise ValueError("the symbols changed while they were encoded")
    chunks = cut(out[out.size - int(sizes.sum()) :], sizes.tolist())
    return bool(patches), exceptions.before(patches, chunks)


def decode(
    parts: Frame,
    first: int,
    edges: Int64s,
    models: Models,
    bits: int,
    patched: bool,
    symbols: Integers,
) -> None:
    """Fill `symbols` from the chunks from `first` on, as many as `edges` has rows."""
    n_chunks = edges.shape[0]
    zero, size = _place_of_zero(symbols, models)
    for model in models:
        model.check(bits)
        if 2 * model.reach + 1 > size:
            raise CorruptStream(f"values up to {model.reach} in {symbols.dtype}")
    heads, ends = parts.begins[first : first + n_chunks], parts.ends[first : first + n_chunks]
    begins = exceptions.skip(parts.data, heads, ends, symbols.itemsize) if patched else heads
    table = np.empty((len(models), 1 << bits), np.uint64)
    for run, model in enumerate(models):
        patterns = _places(model, zero, size).astype(np.uint64)
        rans.decoding_table(patterns, model.frequencies(bits), bits, table[run])
    narrow = symbols.itemsize == 1
    places = symbols.view(np.uint8) if narrow else np.empty(symbols.size, np.uint16)
    if not rans.decode(parts.data, begins, ends, edges, table.reshape(-1), bits, places):
        raise CorruptStream("the words are cut off or damaged")
    if not narrow:
        symbols[:] = places.astype(np.int32) - zero
    if patched:
        exceptions.put(parts.data, heads, ends, parts.chunk, symbols)


def _place_of_zero(symbols: Integers, models: Models) -> tuple[int, int]:
    """(place of zero, number of places): of bytes their bits, else from the widest reach on."""
    if symbols.itemsize == 1:
        return 0, 256
    widest = max(model.reach for model in models)
    return widest, 2 * widest + 1


def _places(model: GeneralisedGaussian, zero: int, size: int) -> Int64s:
    """The places of -reach to reach."""
    places: Int64s = (np.arange(-model.reach, model.reach + 1) + zero) % size
    return places


def _beyond(symbols: Integers, edges: Int64s, reaches: list[int]) -> Int64s:
    """Positions of the symbols beyond the reach of their run, ascending."""
    found, start = [], 0
    for chunk in edges.tolist():
        for end, reach in zip(chunk, reaches, strict=True):
            run = symbols[start:end]
            if run.size and (int(run.max()) > reach or int(run.min()) < -reach):
                found.append(np.flatnonzero((run > reach) | (run < -reach)) + start)
            start = end
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def check_bits(bits: int) -> None:
    """Raises CorruptStream for a sum of frequencies that no encoder uses."""
    if not 8 <= bits <= rans.MAX_BITS:
        raise CorruptStream(f"frequencies that sum to 2^{bits}")
