"""Frequency models: how likely each symbol is, as whole numbers that both ends of a coder share.

The model knows nothing of the coder: the range coder and ANS take the same table, and code the same
symbols in the same number of bits up to their own rounding.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from slashbench.arrays import Int64s, Symbols, UInt32s
from slashbench.codecs.families.escape_codec import IndexedCodec
from slashbench.codecs.stream.table_bytes import Reader, integer_list, integer_list_bits
from slashbench.errors import CorruptStream

#: Largest sum of the frequencies: a symbol's share is coarser than one in 2^16, never finer.
MAX_TOTAL = 1 << 16


def quantize(counts: Int64s) -> Int64s:
    """Divide counts by the power of two that makes table and payload together shortest.

    Every symbol keeps a frequency of at least 1 and the sum stays within MAX_TOTAL. A few hundred
    weights don't earn an exact table: what its low bits cost is more than they save (Rissanen's
    description length, Automatica 14, 1978).
    """
    best: Int64s | None = None
    best_bits = np.inf
    for shift in range(int(counts.max()).bit_length() + 1):
        frequencies = np.maximum(1, (counts + (1 << shift >> 1)) >> shift)
        if frequencies.sum() > MAX_TOTAL:
            continue
        bits = integer_list_bits(_listed(frequencies)) + ideal_bits(counts, frequencies)
        if bits < best_bits:
            best, best_bits = frequencies, bits
    if best is None:
        raise ValueError(f"{counts.size} symbols don't fit a table that sums to {MAX_TOTAL}")
    return best


def ideal_bits(counts: Int64s, frequencies: Int64s) -> float:
    """Return what a perfect coder spends on symbols with these counts under the model, in bits."""
    share = frequencies / frequencies.sum()
    return float(-(counts * np.log2(share)).sum())


class ModelledCodec(IndexedCodec):
    """A codec that is handed a frequency model. Its table is the list of frequencies, less 1."""

    def encode_places(self, places: Symbols, counts: Int64s) -> tuple[bytes, bytes]:
        """Return (table, payload) of places."""
        frequencies = quantize(counts)
        return integer_list(_listed(frequencies)), self.encode_with(places, frequencies)

    def decode_places(self, reader: Reader, payload: bytes, count: int, size: int) -> Symbols:
        """Return the `count` places."""
        frequencies = reader.integers(size).astype(np.int64) + 1
        if frequencies.sum() > MAX_TOTAL:
            raise CorruptStream(f"the frequencies sum to {frequencies.sum()}, over {MAX_TOTAL}")
        # A coder can't spend much less than the likeliest symbol takes each time: a stream that
        # declares far more symbols is refused before they are allocated.
        least = count * -np.log2(frequencies.max() / frequencies.sum())
        if least > 2 * 8 * len(payload) + 1024:
            raise CorruptStream(f"{len(payload)} bytes can't hold {count} symbols")
        return self.decode_with(payload, frequencies, count)

    @abstractmethod
    def encode_with(self, places: Symbols, frequencies: Int64s) -> bytes:
        """Return the payload of places under a model with an entry for each."""

    @abstractmethod
    def decode_with(self, payload: bytes, frequencies: Int64s, count: int) -> Symbols:
        """Return the `count` places."""


def _listed(frequencies: Int64s) -> UInt32s:
    return (frequencies - 1).astype(np.uint32)
