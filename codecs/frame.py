"""The frame around one coded tensor.

All integers are little-endian; varint is LEB128.

    u8      version (1)
    u8      dtype code
    u8      number of dimensions, then one varint each
    varint  length of the tables, bytes
    varint  length of the payload, bytes
    u32     CRC-32 of everything above and of the tables and the payload
    ...     tables, payload
"""

from __future__ import annotations

import math
import struct
import zlib
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np

from slashbench.errors import CorruptStream

VERSION = 1
MAX_DIMENSIONS = 32

#: Largest decoded tensor, in bytes, that a stream may declare; set it lower for untrusted input.
decode_limit: ContextVar[int] = ContextVar("decode_limit", default=1 << 36)

_DTYPES = ("i1", "i2", "i4", "u1", "u2", "u4", "f2", "f4", "f8")
_CODES = {np.dtype(name): code for code, name in enumerate(_DTYPES)}


@dataclass(frozen=True, slots=True)
class Frame:
    """A parsed and checksummed stream."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    tables: bytes
    payload: bytes

    @property
    def count(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


def domain_of(dtype: np.dtype[Any]) -> str:
    """`integers`, `floats` or `unsupported`."""
    if dtype.newbyteorder("=") not in _CODES:
        return "unsupported"
    return "floats" if dtype.kind == "f" else "integers"


def pack(dtype: np.dtype[Any], shape: tuple[int, ...], tables: bytes, payload: bytes) -> bytes:
    """Frame one coded tensor."""
    head = bytes([VERSION, _CODES[dtype.newbyteorder("=")], len(shape)])
    head += b"".join(map(varint, (*shape, len(tables), len(payload))))
    checksum = zlib.crc32(payload, zlib.crc32(tables, zlib.crc32(head)))
    return b"".join([head, struct.pack("<I", checksum), tables, payload])


def unpack(data: bytes) -> Frame:
    """Parse and check a frame. Raises CorruptStream; allocates nothing but the two parts."""
    if len(data) < 3:
        raise CorruptStream("the stream is cut off in its header")
    version, code, dimensions = data[0], data[1], data[2]
    if version != VERSION:
        raise CorruptStream(f"stream version {version}; this slashbench reads version {VERSION}")
    if code >= len(_DTYPES) or dimensions > MAX_DIMENSIONS:
        raise CorruptStream("the stream's header is damaged")
    position = 3
    numbers = []
    for _ in range(dimensions + 2):
        number, position = read_varint(data, position)
        numbers.append(number)
    *shape, n_tables, n_payload = numbers
    start = position + 4
    if len(data) != start + n_tables + n_payload:
        raise CorruptStream(
            f"the stream has {len(data)} bytes, its header says {start + n_tables + n_payload}"
        )
    (checksum,) = struct.unpack_from("<I", data, position)
    view = memoryview(data)
    if zlib.crc32(view[start:], zlib.crc32(view[:position])) != checksum:
        raise CorruptStream("the stream's checksum does not match: it is damaged")
    dtype = np.dtype(_DTYPES[code])
    if math.prod(filter(None, shape)) * dtype.itemsize >= 1 << 63:
        raise CorruptStream("the stream's shape is larger than any array")
    declared = math.prod(shape) * dtype.itemsize
    if declared > decode_limit.get():
        raise CorruptStream(
            f"the stream declares {declared} bytes, over the limit of {decode_limit.get()}; "
            "raise slashbench.codecs.frame.decode_limit if you trust it"
        )
    middle = start + n_tables
    return Frame(dtype, tuple(shape), data[start:middle], data[middle:])


def varint(value: int) -> bytes:
    """LEB128 of a number >= 0."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """(value, position after it). Raises CorruptStream when cut off or over 63 bits."""
    value = 0
    for shift in range(0, 63, 7):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise CorruptStream("a number in the stream's header is cut off or too large")
