"""The stream format: one coded tensor, self-contained, in chunks that decode apart.

`codecs/FORMAT.md` describes it, and every payload of ours, byte for byte. All integers are
little-endian; varint is LEB128.

    3 bytes magic, 93 53 42
    u8      version (2)
    u8      dtype code, plus 64 for a big-endian array, 128 for one in Fortran order
    u8      number of dimensions, then one varint each
    varint  values per chunk; not there in an empty tensor
    varint  length of the tables, bytes
    varint  length of each chunk, bytes
    u32     CRC-32 of everything above and of the tables
    u32     CRC-32 of each chunk
    ...     tables, chunks

Version 1 is still read: u8 version (1), dtype, shape, lengths of tables and payload, one CRC-32 of
all, tables, payload. Its payloads differ too: each codec that wrote some has `decode_version1`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import ml_dtypes
import numpy as np
from isal.isal_zlib import crc32  # zlib's CRC-32, eight times as fast

from slashbench.arrays import Array, Bytes, Int64s
from slashbench.errors import CorruptStream

MAGIC = b"\x93SB"
VERSION = 2
MAX_DIMENSIONS = 32

#: Largest decoded tensor, in bytes, that a stream may declare; set it lower for untrusted input.
decode_limit: ContextVar[int] = ContextVar("decode_limit", default=1 << 36)

#: Values per chunk, about: large enough that lane states, lengths and checksum weigh little.
CHUNK = 1 << 17

_DTYPES = tuple(
    np.dtype(name)
    for name in ("i1", "i2", "i4", "u1", "u2", "u4", "f2", "f4", "f8", ml_dtypes.bfloat16)
)
_CODES = {dtype: code for code, dtype in enumerate(_DTYPES)}
_FLOATS = frozenset(_DTYPES[6:])
_ONE_BYTE_ORDER = frozenset(map(np.dtype, ("i1", "u1", ml_dtypes.bfloat16)))
_BIG_ENDIAN, _FORTRAN = 0x40, 0x80  # added to the code

Pieces = tuple[Any, ...]  # buffers of bytes that follow one another in a chunk


@dataclass(frozen=True, slots=True)
class CodedArray:
    """What a codec made of a flat array: its tables, and the pieces of each chunk."""

    tables: bytes
    chunks: Sequence[Pieces]
    chunk: int  # values per chunk, but for the last one


@dataclass(frozen=True, slots=True)
class MemoryOrder:
    """How the array that was encoded lay in memory: the contract of numcodecs is the buffer.

    A reader such as Zarr takes the bytes of what `decode` returns, in memory order.
    """

    fortran: bool = False
    big_endian: bool = False

    @classmethod
    def of(cls, array: Array) -> MemoryOrder:
        """Return the order of an array. One that lies in neither order counts as C."""
        flags = array.flags
        return cls(flags.f_contiguous and not flags.c_contiguous, array.dtype.byteorder == ">")

    @property
    def code(self) -> int:
        """What it adds to the dtype code."""
        return _BIG_ENDIAN * self.big_endian | _FORTRAN * self.fortran

    def applied(self, array: Array) -> Array:
        """Return the values of a C array in native byte order, in this order."""
        if self.fortran:
            array = np.asfortranarray(array)
        return array.astype(array.dtype.newbyteorder(">")) if self.big_endian else array


@dataclass(frozen=True, slots=True)
class Frame:
    """A parsed stream: header and tables are checked, chunks are not until `verify`."""

    version: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    count: int  # of values
    chunk: int  # values per chunk; 0 in an empty tensor
    tables: bytes
    data: Bytes  # the whole stream
    begins: Int64s  # where in `data` each chunk begins, shape (chunks,)
    ends: Int64s
    checksums: tuple[int, ...]
    order: MemoryOrder = MemoryOrder()

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return len(self.checksums)

    def values_in(self, first: int, last: int) -> int:
        """Number of values in chunks `first` to `last` - 1."""
        return min(last * self.chunk, self.count) - min(first * self.chunk, self.count)

    def payload(self, index: int) -> Bytes:
        """The bytes of one chunk."""
        return self.data[self.begins[index] : self.ends[index]]

    def within(
        self, tables: bytes, begins: Int64s, ends: Int64s, chunk: int | None = None
    ) -> Frame:
        """A coder's own stream inside this one's chunks; its checksums are these."""
        values = self.chunk if chunk is None else chunk
        return replace(self, chunk=values, tables=tables, begins=begins, ends=ends)

    def verify(self, first: int, last: int) -> None:
        """Raises CorruptStream if the checksum of one of these chunks does not match."""
        for index in range(first, last):
            if crc32(self.payload(index)) != self.checksums[index]:
                raise CorruptStream(f"the checksum of chunk {index} does not match: it is damaged")


def chunk_for(count: int) -> int:
    """Return the values per chunk of a tensor: CHUNK to nearly twice that, all alike."""
    return -(-count // max(1, count // CHUNK))


def domain_of(dtype: np.dtype[Any]) -> str:
    """`integers`, `floats` or `unsupported`."""
    native = dtype.newbyteorder("=")
    if native not in _CODES:
        return "unsupported"
    return "floats" if native in _FLOATS else "integers"


def pack(dtype: np.dtype[Any], shape: tuple[int, ...], coded: CodedArray | None) -> bytes:
    """Return the stream of one coded tensor; None for an empty one."""
    return b"".join(pieces(dtype, shape, coded))


def pieces(
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    coded: CodedArray | None,
    order: MemoryOrder = MemoryOrder(),
) -> list[Any]:
    """Return the stream as buffers that follow one another."""
    code = _CODES[dtype.newbyteorder("=")] | order.code
    head = MAGIC + bytes([VERSION, code, len(shape)])
    numbers: tuple[int, ...] = (*shape, 0)
    tables = b""
    payload: list[Any] = []
    checksums = []
    if coded is not None:
        tables, sizes = coded.tables, []
        for chunk in coded.chunks:
            size = checksum = 0
            for piece in chunk:
                size += len(piece)
                checksum = crc32(piece, checksum)
            sizes.append(size)
            checksums.append(checksum)
            payload += chunk
        numbers = (*shape, coded.chunk, len(tables), *sizes)
    head += b"".join(map(varint, numbers))
    first = crc32(tables, crc32(head))
    sums = struct.pack(f"<{1 + len(checksums)}I", first, *checksums)
    return [head + sums + tables, *payload]


def cut(payload: Any, sizes: Iterable[int]) -> list[Pieces]:
    """Cut a payload into chunks of one piece, nothing copied. payload: a buffer of bytes."""
    view, begin, chunks = memoryview(payload), 0, []
    for size in sizes:
        chunks.append((view[begin : begin + size],))
        begin += size
    return chunks


def unpack(data: Any) -> Frame:
    """Parse a stream and check header and tables. Raises CorruptStream; allocates next to nothing.

    data: any buffer of bytes. Chunks are checked when they are read (`Frame.verify`).
    """
    stream = np.frombuffer(data, np.uint8)
    total = stream.size
    head = stream[:1024].tobytes()
    if head[:1] == b"\x01":
        return _unpack_version1(stream)
    if not head.startswith(MAGIC) or total < 6:
        raise CorruptStream("the stream does not start as one of slashbench does, or is cut off")
    version, code, dimensions = head[3], head[4], head[5]
    if version != VERSION:
        raise CorruptStream(
            f"stream version {version}; this slashbench reads up to {VERSION}: upgrade slashbench"
        )
    order = MemoryOrder(bool(code & _FORTRAN), bool(code & _BIG_ENDIAN))
    code &= ~(_FORTRAN | _BIG_ENDIAN)
    if code >= len(_DTYPES) or dimensions > MAX_DIMENSIONS:
        raise CorruptStream("the stream's header is damaged")
    dtype = _DTYPES[code]
    if (order.fortran and dimensions < 2) or (order.big_endian and dtype in _ONE_BYTE_ORDER):
        raise CorruptStream("the stream's header is damaged: no array lies in that order")
    position, shape = 6, []
    for _ in range(dimensions):
        size, position = read_varint(head, position)
        shape.append(size)
    count = _checked_count(shape, dtype)
    chunk = n_chunks = 0
    if count:
        chunk, position = read_varint(head, position)
        if chunk == 0:
            raise CorruptStream("the stream's header is damaged: chunks of no values")
        n_chunks = -(-count // chunk)
    if n_chunks > total // 5:  # each takes a byte for its length and four for its checksum
        raise CorruptStream(f"{total} bytes can't hold {n_chunks} chunks")
    if position + 10 * (n_chunks + 1) > len(head):
        head = stream[: position + 10 * (n_chunks + 1)].tobytes()
    n_tables, position = read_varint(head, position)
    sizes = []
    for _ in range(n_chunks):
        size, position = read_varint(head, position)
        sizes.append(size)
    start = position + 4 + 4 * n_chunks
    if total != start + n_tables + sum(sizes):
        raise CorruptStream(
            f"the stream has {total} bytes, its header says {start + n_tables + sum(sizes)}"
        )
    checksum, *checksums = struct.unpack_from(f"<{1 + n_chunks}I", stream[position:start].tobytes())
    tables = stream[start : start + n_tables].tobytes()
    if crc32(tables, crc32(head[:position])) != checksum:
        raise CorruptStream("the checksum of the stream's header does not match: it is damaged")
    if not count and n_tables:
        raise CorruptStream("an empty tensor with tables")
    edges = np.fromiter(accumulate(sizes, initial=start + n_tables), np.int64, n_chunks + 1)
    begins, ends, sums = edges[:-1], edges[1:], tuple(checksums)
    return Frame(
        version, dtype, tuple(shape), count, chunk, tables, stream, begins, ends, sums, order
    )


def _unpack_version1(stream: Bytes) -> Frame:
    """A stream of version 1 as a frame of one chunk."""
    data = stream.tobytes()
    if len(data) < 3 or data[1] >= len(_DTYPES) or data[2] > MAX_DIMENSIONS:
        raise CorruptStream("the stream's header is damaged or cut off")
    dtype = _DTYPES[data[1]]
    position, numbers = 3, []
    for _ in range(data[2] + 2):
        number, position = read_varint(data, position)
        numbers.append(number)
    *shape, n_tables, n_payload = numbers
    start = position + 4
    if len(data) != start + n_tables + n_payload:
        raise CorruptStream(
            f"the stream has {len(data)} bytes, its header says {start + n_tables + n_payload}"
        )
    (checksum,) = struct.unpack_from("<I", data, position)
    if crc32(data[start:], crc32(data[:position])) != checksum:
        raise CorruptStream("the stream's checksum does not match: it is damaged")
    count = _checked_count(shape, dtype)
    if not count and (n_tables or n_payload):
        raise CorruptStream("an empty tensor with tables or payload")
    middle = start + n_tables
    chunks = [(middle, len(data), crc32(data[middle:]))] if count else []
    begins, ends, sums = np.array(chunks, np.int64).reshape(-1, 3).T
    tables, checksums = data[start:middle], tuple(sums.tolist())
    return Frame(1, dtype, tuple(shape), count, count, tables, stream, begins, ends, checksums)


def _checked_count(shape: list[int], dtype: np.dtype[Any]) -> int:
    """Number of values. Raises CorruptStream for more than any array, or than the limit."""
    if math.prod(filter(None, shape)) * dtype.itemsize >= 1 << 63:
        raise CorruptStream("the stream's shape is larger than any array")
    count = math.prod(shape)
    declared = count * dtype.itemsize
    if declared > decode_limit.get():
        raise CorruptStream(
            f"the stream declares {declared} bytes, over the limit of {decode_limit.get()}; "
            "raise slashbench.decode_limit if you trust it"
        )
    return count


def varint(value: int) -> bytes:
    """Write a number >= 0 in LEB128."""
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
