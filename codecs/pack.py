"""Fixed-length coding."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from slashbench.arrays import Integers, Symbols
from slashbench.codecs.base import ChunkedCodec
from slashbench.codecs.stream import packing
from slashbench.codecs.stream.frame import Frame, Pieces
from slashbench.codecs.stream.table_bytes import Reader


class Pack(ChunkedCodec):
    """Fixed-length code: each symbol less the smallest, in as many bits as their range needs.

    A symbol takes ceil(log2(max - min + 1)) bits, none in a constant tensor. This is the row FL of
    the BackSlash paper, counted over the range of values, not over the values that occur. Unsigned
    symbols count as the signed ones with their bits. The tables are the smallest value, as a
    zig-zag varint, and one byte with the number of bits. A chunk is the packed bits, most
    significant first.
    """

    codec_id: ClassVar[str] = "slashbench.pack"
    revision: ClassVar[int] = 2

    def encode_chunks(self, symbols: Integers, chunk: int) -> tuple[bytes, list[Pieces]]:
        """Return (tables, pieces of each chunk) of symbols, shape (n,)."""
        low, width = packing.range_of(symbols)
        chunks = []
        for start in range(0, symbols.size, chunk):
            part = symbols[start : start + chunk].astype(np.int32, copy=False)
            chunks.append((packing.pack(part, low, width),))
        return packing.table(low, width), chunks

    def decode_chunks(
        self, tables: Reader, parts: Frame, first: int, last: int, symbols: Integers
    ) -> None:
        """Fill `symbols` with those of chunks `first` to `last` - 1."""
        low, width = packing.read_table(tables)
        tables.end()
        for index in range(first, last):
            part = symbols[(index - first) * parts.chunk :][: parts.chunk]
            part[:] = packing.unpack(parts.payload(index).tobytes(), part.size, low, width)

    def decode_version1(self, tables: bytes, payload: bytes, count: int) -> Symbols:
        """Return the symbols of a stream of version 1."""
        reader = Reader(tables)
        low, width = packing.read_table(reader)
        reader.end()
        return packing.unpack(payload, count, low, width)
