"""Length-limited canonical Huffman coding."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from slashbench.arrays import Int64s, Integers, Symbols, UInt64s
from slashbench.codecs.base import ChunkedCodec
from slashbench.codecs.exp_golomb import ExpGolomb
from slashbench.codecs.families.escape_codec import IndexedCodec
from slashbench.codecs.families.table_codec import Decoder, Places, TableCodec
from slashbench.codecs.kernels import prefix, version1
from slashbench.codecs.modelling.alphabet import MAX_VALUES
from slashbench.codecs.modelling.prefix_code import canonical, package_merge
from slashbench.codecs.stream import prefix_streams
from slashbench.codecs.stream.frame import Frame, Pieces, cut
from slashbench.codecs.stream.mapping import unzigzag
from slashbench.codecs.stream.table_bytes import Reader, nibbles
from slashbench.errors import CorruptStream

# A decoding table of 13 bits leaves the first-level cache, which takes a twentieth of the speed: it
# is used where it makes a tensor shorter by this.
_WORTH_A_BIT = 1 / 2000


class Huffman(TableCodec):
    """Canonical Huffman code of at most `max_length` bits a symbol (Huffman 1952, package-merge).

    The table is the codeword lengths, four bits each. A short limit leaves room for 2^max_length
    values at most; other values are exceptions.

    Parameters
    ----------
    max_length : int
        1 to 14. -1: 14, or if symbols take a byte 12 or 13, whichever pays.

    References
    ----------
    D. A. Huffman, "A method for the construction of minimum-redundancy codes", Proc. IRE 40(9),
    1952. L. L. Larmore and D. S. Hirschberg, "A fast algorithm for optimal length-limited Huffman
    codes", JACM 37(3), 1990.
    """

    codec_id: ClassVar[str] = "slashbench.huffman"
    revision: ClassVar[int] = 3
    # A codeword of 12 bits takes 1.44 * 2^-12 bits from every symbol; an exception takes some 16
    # bits more than that codeword.
    rarest: ClassVar[float] = 2.0**-15.5
    fallback: ClassVar[ChunkedCodec] = ExpGolomb()

    def __init__(self, max_length: int = -1) -> None:
        if isinstance(max_length, bool) or not isinstance(max_length, int):
            raise ValueError(f"max_length must be a whole number, not {max_length!r}")
        if max_length != -1 and not 1 <= max_length <= prefix.MAX_LENGTH:
            raise ValueError(
                f"max_length must be 1 to {prefix.MAX_LENGTH}, or -1 for the usual, "
                f"not {max_length}"
            )
        self.max_length = max_length

    def encode_places(self, places: Places, chunk: int) -> tuple[bytes, list[Pieces]]:
        """Return (table, pieces of each chunk) of places."""
        lengths = np.zeros(places.counts.size, np.int64)
        present = np.flatnonzero(places.counts)
        lengths[present] = self._lengths(places.counts[present], places.tally is not None)
        entries = places.spread(prefix_streams.entry_of(canonical(lengths), lengths))
        by_place = places.spread(lengths)
        n_chunks = -(-places.array.size // chunk)
        bits = np.zeros((n_chunks, prefix.STREAMS), np.int64)
        if places.tally is not None:
            prefix.add_up(places.tally, by_place, bits)
        else:
            prefix.measure(places.array, chunk, by_place, prefix.HUFFMAN, 0, bits)
        layout = prefix_streams.StreamLayout.of(bits, places.array.size, chunk)
        out = layout.room()
        if places.tally is not None:
            longest = int(lengths.max())
            done = prefix.encode(
                places.array, chunk, entries, longest, layout.begins, layout.ends, out
            )
        else:
            done = prefix.encode_wide(
                places.array, chunk, entries, prefix.HUFFMAN, 0, layout.begins, layout.ends, out
            )
        if not done:
            raise ValueError("the symbols changed while they were encoded")
        return nibbles(lengths), cut(out, layout.chunk_sizes)

    def decoding_table(self, tables: Reader, values: Integers, count: int) -> tuple[UInt64s, int]:
        """Return (table, its bits) for `count` symbols."""
        lengths = tables.nibbles(values.size)
        return prefix_streams.decoding_table(
            values.view(f"u{values.itemsize}").astype(np.uint64),
            canonical(lengths),
            lengths,
            values.itemsize,
            count,
        )

    def decode_values(
        self,
        decoder: Decoder,
        parts: Frame,
        begins: Int64s,
        ends: Int64s,
        symbols: Integers,
    ) -> None:
        """Fill `symbols` from the chunks data[begins[c] : ends[c]]."""
        if not prefix.decode(
            parts.data,
            begins,
            ends,
            parts.chunk,
            symbols.itemsize,
            decoder.table,
            decoder.bits,
            prefix.HUFFMAN,
            0,
            symbols.view(np.uint8),
        ):
            raise CorruptStream("the codewords are cut off or damaged")

    def decode_version1(self, tables: bytes, payload: bytes, count: int) -> Symbols:
        """Return the symbols of a stream of version 1."""
        return _Version1().decode_symbols(tables, payload, count)

    def _lengths(self, counts: Int64s, of_bytes: bool) -> Int64s:
        """Return the codeword lengths of values that occur so often, shape (n,)."""
        if self.max_length > 0:
            return package_merge(counts, self.max_length)
        if not of_bytes:
            return package_merge(counts, prefix.MAX_LENGTH)
        usual = package_merge(counts, prefix_streams.TABLE_BITS)
        if int(usual.max()) < prefix_streams.TABLE_BITS:
            return usual
        longer = package_merge(counts, prefix_streams.TABLE_BITS + 1)
        return longer if counts @ (usual - longer) > counts @ usual * _WORTH_A_BIT else usual

    def _most_values(self) -> int:
        return min(MAX_VALUES, 1 << (self.max_length if self.max_length > 0 else 14))


class _Version1(IndexedCodec):
    """Huffman streams of version 1, which had an escape symbol; they are read, not written."""

    def encode_places(self, places: Symbols, counts: Int64s) -> tuple[bytes, bytes]:
        raise NotImplementedError("version 1 is read, not written")

    def decode_places(self, reader: Reader, payload: bytes, count: int, size: int) -> Symbols:
        lengths = np.cumsum(unzigzag(reader.integers(size)), dtype=np.int64)
        return version1.decode(payload, count, lengths)
