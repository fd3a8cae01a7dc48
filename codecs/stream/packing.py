"""Symbols less the smallest, each in as many bits as their range needs: the payload of `pack`.

tables   the smallest symbol, zig-zag varint; u8 bits of a symbol
payload  symbol - smallest, most significant bit first, padded to a byte with zeros
"""

from __future__ import annotations

import numpy as np

from slashbench.arrays import Integers, Symbols
from slashbench.codecs.kernels import fixed
from slashbench.codecs.stream import frame
from slashbench.codecs.stream.mapping import unzigzag_of, zigzag_of
from slashbench.codecs.stream.table_bytes import Reader

#: Symbols that are packed and unpacked at a time: of any width they fill whole words.
BLOCK = 1 << 16


def range_of(symbols: Integers) -> tuple[int, int]:
    """Return the smallest symbol and the bits that the others need above it."""
    low, high = int(symbols.min()), int(symbols.max())
    return low, (high - low).bit_length()


def table(low: int, width: int) -> bytes:
    """Write the smallest symbol and the width."""
    return frame.varint(zigzag_of(low)) + bytes([width])


def read_table(tables: Reader) -> tuple[int, int]:
    """Read the smallest symbol and the width."""
    return unzigzag_of(tables.varint(0xFFFFFFFF)), tables.byte()


def pack(symbols: Integers, low: int, width: int) -> bytes:
    """Write symbols less `low` in `width` bits each, block by block: of bytes they are no copy."""
    blocks = [symbols[i : i + BLOCK] for i in range(0, symbols.size, BLOCK)]
    return b"".join(_pack(block.astype(np.int32, copy=False), low, width) for block in blocks)


def _pack(symbols: Symbols, low: int, width: int) -> bytes:
    # modulo 2^32, so never too large
    return fixed.encode(symbols.view(np.uint32) - np.uint32(low & 0xFFFFFFFF), width)


def unpack(data: bytes, count: int, low: int, width: int) -> Symbols:
    """Read what `pack` wrote. Raises CorruptStream unless the data has just that length."""
    offsets = fixed.decode(data, count, width)
    offsets += np.uint32(low & 0xFFFFFFFF)
    return offsets.view(np.int32)
