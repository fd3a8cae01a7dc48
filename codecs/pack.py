"""Fixed-length coding."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from slashbench.codecs.base import ChunkedCodec, Integers, Symbols
from slashbench.codecs.kernels import fixed
from slashbench.codecs.stream import frame
from slashbench.codecs.stream.frame import Frame, Pieces
from slashbench.codecs.stream.mapping import unzigzag_of, zigzag_of
from slashbench.codecs.stream.tables import Reader


class Pack(ChunkedCodec):
    """Fixed-length code: each symbol less the smallest, in as many bits as their range needs.

    ceil(log2(max - min + 1)) bits a symbol, none for a constant tensor: the paper's FL row, counted
    over the range of values, not over those that occur (unsigned symbols count as the signed ones
    with their bits). The tables are the smallest value, zig-zag as a varint, and one byte with the
    number of bits; a chunk is the packed bits, most significant first.
    """

    codec_id: ClassVar[str] = "slashbench.pack"
    revision: ClassVar[int] = 2

    def encode_chunks(self, symbols: Integers, chunk: int) -> tuple[bytes, list[Pieces]]:
        """(tables, pieces of each chunk) of symbols, shape (n,)."""
        low, width = range_of(symbols)
        chunks = []
        for start in range(0, symbols.size, chunk):
            part = symbols[start : start + chunk].astype(np.int32, copy=False)
            chunks.append((pack(part, low, width),))
        return table(low, width), chunks

    def decode_chunks(
        self, tables: Reader, parts: Frame, first: int, last: int, symbols: Integers
    ) -> None:
        """Fill `symbols` with those of chunks `first` to `last` - 1."""
        low, width = read_table(tables)
        tables.end()
        for index in range(first, last):
            part = symbols[(index - first) * parts.chunk :][: parts.chunk]
            part[:] = unpack(parts.payload(index).tobytes(), part.size, low, width)


def range_of(symbols: Integers) -> tuple[int, int]:
    """(smallest symbol, bits that the others need above it)."""
    low, high = int(symbols.min()), int(symbols.max())
    return low, (high - low).bit_length()


def table(low: int, width: int) -> bytes:
    """Smallest symbol and width."""
    return frame.varint(zigzag_of(low)) + bytes([width])


def read_table(tables: Reader) -> tuple[int, int]:
    """(smallest symbol, width)."""
    return unzigzag_of(tables.varint(0xFFFFFFFF)), tables.byte()


def pack(symbols: Symbols, low: int, width: int) -> bytes:
    """Symbols less `low` in `width` bits each."""
    # modulo 2^32, so never too large
    return fixed.encode(symbols.view(np.uint32) - np.uint32(low & 0xFFFFFFFF), width)


def unpack(data: bytes, count: int, low: int, width: int) -> Symbols:
    """The inverse of `pack`. Raises CorruptStream unless the data has just that length."""
    offsets = fixed.decode(data, count, width)
    offsets += np.uint32(low & 0xFFFFFFFF)
    return offsets.view(np.int32)
