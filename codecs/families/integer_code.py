"""What the codecs of classic integer codes share: zig-zagged symbols, one codeword each.

tables   u8 width of the symbols (ChunkedCodec), u8 order
chunk    streams of codewords (prefix_streams.py)
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from slashbench.arrays import Int64s, Integers, UInt32s, UInt64s
from slashbench.codecs.families.base import ChunkedCodec
from slashbench.codecs.kernels import integer_codes, prefix
from slashbench.codecs.modelling.alphabet import histogram
from slashbench.codecs.stream import prefix_streams
from slashbench.codecs.stream.frame import Frame, Pieces, cut
from slashbench.codecs.stream.mapping import unzigzag, zigzag
from slashbench.codecs.stream.table_bytes import Reader
from slashbench.errors import CorruptStream

_BYTES = np.arange(256, dtype=np.uint8)
_OF_BYTES = zigzag(_BYTES.view(np.int8).astype(np.int32))  # the number each byte stands for


class IntegerCodec(ChunkedCodec):
    """A code for unsigned integers, of some order, over zig-zagged symbols."""

    family: ClassVar[int]  # in kernels.integer_codes

    def encode_chunks(self, symbols: Integers, chunk: int) -> tuple[bytes, list[Pieces]]:
        """Return (tables, pieces of each chunk) of symbols, shape (n,)."""
        n_chunks = -(-symbols.size // chunk)
        if symbols.itemsize == 1:
            counts = prefix_streams.tally(symbols, chunk).astype(np.int64)
            order = self._best_order(_OF_BYTES, counts.sum((0, 1)))
            entries, lengths = _byte_code(self.family, order)
            layout = prefix_streams.StreamLayout.of(counts @ lengths, symbols.size, chunk)
            out = layout.room()
            longest = int(lengths[counts.any((0, 1))].max())
            done = prefix.encode(
                symbols.view(np.uint8), chunk, entries, longest, layout.begins, layout.ends, out
            )
        else:
            widened = symbols.astype(np.int32, copy=False)
            found = histogram(widened)
            order = self._best_order(zigzag(found.values), found.counts)
            values = zigzag(widened)
            bits = np.zeros((n_chunks, prefix.STREAMS), np.int64)
            prefix.measure(values, chunk, _NO_LENGTHS, self.family, order, bits)
            layout = prefix_streams.StreamLayout.of(bits, symbols.size, chunk)
            out = layout.room()
            done = prefix.encode_wide(
                values, chunk, _NO_CODES, self.family, order, layout.begins, layout.ends, out
            )
        if not done:
            raise ValueError("the symbols changed while they were encoded")
        return bytes([order]), cut(out, layout.chunk_sizes)

    def decode_chunks(
        self, tables: Reader, parts: Frame, first: int, last: int, symbols: Integers
    ) -> None:
        """Fill `symbols` with those of chunks `first` to `last` - 1."""
        order = tables.byte()
        tables.end()
        if order > integer_codes.MAX_ORDER:
            raise CorruptStream(f"order {order}, over {integer_codes.MAX_ORDER}")
        table, bits = _decoding_table(self.family, order, symbols.itemsize, symbols.size)
        if not prefix.decode(
            parts.data,
            parts.begins[first:last],
            parts.ends[first:last],
            parts.chunk,
            symbols.itemsize,
            table,
            bits,
            self.family,
            order,
            symbols.view(np.uint8),
        ):
            raise CorruptStream("the codewords are cut off or damaged")

    def _best_order(self, values: UInt32s, counts: Int64s) -> int:
        """Return the order with the shortest code for these counts; the lowest on a tie."""
        lengths = np.empty(values.size, np.int64)
        best, best_bits = 0, np.inf
        for order in self._orders():
            integer_codes.lengths(values, self.family, order, lengths)
            bits = float(counts @ lengths)
            if bits < best_bits:
                best, best_bits = order, bits
        return best

    @abstractmethod
    def _orders(self) -> Iterable[int]:
        """Return the orders to choose from, ascending."""


_NO_CODES = np.zeros(0, np.uint64)
_NO_LENGTHS = np.zeros(0, np.int64)


def checked_order(k: Any) -> int:
    """k, a whole number from -1 to MAX_ORDER; raises ValueError for anything else."""
    if isinstance(k, bool) or not isinstance(k, int):
        raise ValueError(f"k must be a whole number, not {k!r}")
    if not -1 <= k <= integer_codes.MAX_ORDER:
        raise ValueError(f"k must be 0 to {integer_codes.MAX_ORDER}, or -1 for the best, not {k}")
    return k


def _codewords(values: UInt32s, family: int, order: int) -> tuple[UInt64s, Int64s]:
    """(codewords, lengths) of values whose codewords have at most 56 bits."""
    codes, lengths = np.zeros(values.size, np.uint64), np.zeros(values.size, np.int64)
    integer_codes.codewords(values, family, order, codes, lengths)
    return codes, lengths


def _byte_code(family: int, order: int) -> tuple[UInt64s, Int64s]:
    """(encoder's entry, length) of each byte."""
    codes, lengths = _codewords(_OF_BYTES, family, order)
    return prefix_streams.entry_of(codes, lengths), lengths


def _decoding_table(family: int, order: int, width: int, count: int) -> tuple[UInt64s, int]:
    """The prefix kernels' table of all codewords that fit it, and the bits it looks at."""
    bits = prefix_streams.TABLE_BITS if count >= 1 << prefix_streams.TABLE_BITS else 8
    values = np.arange(min(1 << 8 * width, 1 << bits), dtype=np.uint32)
    codes, lengths = _codewords(values, family, order)
    short = lengths <= bits
    patterns = unzigzag(values).astype(np.int64) & ((1 << 8 * width) - 1)
    table = np.empty(2 << bits, np.uint64)
    prefix.build(
        patterns[short].astype(np.uint64), codes[short], lengths[short], width, bits, table
    )
    return table, bits
