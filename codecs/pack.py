"""Fixed-length coding."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from slashbench.codecs import frame
from slashbench.codecs.base import SymbolCodec, Symbols
from slashbench.codecs.kernels import fixed
from slashbench.codecs.mapping import unzigzag, zigzag
from slashbench.codecs.tables import Reader


class Pack(SymbolCodec):
    """Fixed-length code: each symbol less the smallest, in as many bits as their range needs.

    ceil(log2(max - min + 1)) bits a symbol, none for a constant tensor: the paper's FL row, counted
    over the range of values, not over those that occur (uint32 counts as the int32 with its bits).
    The tables are the smallest value, zig-zag as a varint, and one byte with the number of bits.
    """

    codec_id: ClassVar[str] = "slashbench.pack"

    def encode_symbols(self, symbols: Symbols) -> tuple[bytes, bytes]:
        """(tables, payload) of symbols, shape (n,)."""
        low = symbols.min()
        width = int(int(symbols.max()) - int(low)).bit_length()
        offsets = symbols.view(np.uint32) - low.view(np.uint32)  # modulo 2^32, so never too large
        tables = frame.varint(int(zigzag(low.reshape(1))[0])) + bytes([width])
        return tables, fixed.encode(offsets, width)

    def decode_symbols(self, tables: bytes, payload: bytes, count: int) -> Symbols:
        """The `count` symbols."""
        reader = Reader(tables)
        low = unzigzag(np.array([reader.varint(0xFFFFFFFF)], np.uint32)).view(np.uint32)
        width = reader.byte()
        reader.end()
        offsets = fixed.decode(payload, count, width)
        offsets += low
        return offsets.view(np.int32)
