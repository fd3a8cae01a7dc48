"""Range asymmetric numeral systems, in our own kernels."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from slashbench.arrays import Int64s, Integers, UInt64s
from slashbench.codecs.base import ChunkedCodec
from slashbench.codecs.exp_golomb import ExpGolomb
from slashbench.codecs.families.table_codec import Decoder, Places, TableCodec
from slashbench.codecs.kernels import rans
from slashbench.codecs.stream.frame import Frame, Pieces, cut
from slashbench.codecs.stream.table_bytes import Reader, integer_list
from slashbench.errors import CorruptStream


class Rans(TableCodec):
    """Code symbols by interleaved rANS, eight lanes, with a frequency table for each tensor.

    The table is one byte, the bits, and the list of frequencies.

    Parameters
    ----------
    bits : int
        Base-2 logarithm of the sum of the frequencies, 8 to 15. -1: 12 if symbols take a byte, else
        15.

    References
    ----------
    J. Duda, "Asymmetric numeral systems: entropy coding combining speed of Huffman coding with
    compression rate of arithmetic coding", arXiv:1311.2540, 2013.
    """

    codec_id: ClassVar[str] = "slashbench.rans"
    rarest: ClassVar[float] = 2.0**-14.5
    fallback: ClassVar[ChunkedCodec] = ExpGolomb()

    def __init__(self, bits: int = -1) -> None:
        if isinstance(bits, bool) or not isinstance(bits, int):
            raise ValueError(f"bits must be a whole number, not {bits!r}")
        if bits != -1 and not 8 <= bits <= rans.MAX_BITS:
            raise ValueError(f"bits must be 8 to {rans.MAX_BITS}, or -1 for the usual, not {bits}")
        self.bits = bits

    def encode_places(self, places: Places, chunk: int) -> tuple[bytes, list[Pieces]]:
        """Return (table, pieces of each chunk) of places."""
        bits = self.bits
        if bits < 0:
            bits = 12 if places.tally is not None else rans.MAX_BITS
        frequencies = np.empty(places.counts.size, np.int64)
        if not rans.normalise(places.counts, bits, frequencies):
            raise ValueError(f"{places.counts.size} values don't fit {bits} bits")
        rows = np.empty((frequencies.size, 4), np.uint64)
        rans.encoding_table(frequencies, bits, rows)
        table = np.empty((places.size, 4), np.uint64)
        table[:] = rows[places.counts.argmax()]
        table[places.slots] = rows
        n_chunks = -(-places.array.size // chunk)
        out = np.empty(2 * places.array.size + 96 * n_chunks, np.uint8)
        sizes = np.empty(n_chunks, np.int64)
        edges = rans.whole_chunks(places.array.size, chunk)
        if not rans.encode(places.array, edges, table, bits, out, sizes):
            raise ValueError("the symbols changed while they were encoded")
        listed = integer_list(frequencies.astype(np.uint32))
        chunks = cut(out[out.size - int(sizes.sum()) :], sizes.tolist())
        return bytes([bits]) + listed, chunks

    def decoding_table(self, tables: Reader, values: Integers, count: int) -> tuple[UInt64s, int]:
        """Return (table, its bits): to the patterns of bytes, to places among wider values."""
        bits = tables.byte()
        if not 8 <= bits <= rans.MAX_BITS:
            raise CorruptStream(f"frequencies that sum to 2^{bits}")
        frequencies = tables.integers(values.size).astype(np.int64)
        patterns = values.view(np.uint8) if values.itemsize == 1 else np.arange(values.size)
        table = np.empty(1 << bits, np.uint64)
        if not rans.decoding_table(patterns.astype(np.uint64), frequencies, bits, table):
            raise CorruptStream(f"the frequencies don't sum to 2^{bits}")
        return table, bits

    def decode_values(
        self,
        decoder: Decoder,
        parts: Frame,
        begins: Int64s,
        ends: Int64s,
        symbols: Integers,
    ) -> None:
        """Fill `symbols` from the chunks data[begins[c] : ends[c]]."""
        narrow = symbols.itemsize == 1
        places = symbols.view(np.uint8) if narrow else np.empty(symbols.size, np.uint16)
        edges = rans.whole_chunks(symbols.size, parts.chunk)
        if not rans.decode(parts.data, begins, ends, edges, decoder.table, decoder.bits, places):
            raise CorruptStream("the words are cut off or damaged")
        if not narrow:
            symbols[:] = decoder.values[places]

    def _most_values(self) -> int:
        return min(super()._most_values(), 1 << (self.bits if self.bits > 0 else rans.MAX_BITS))
