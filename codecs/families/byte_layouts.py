"""Byte layouts: the ways to lay a tensor out for a general-purpose compressor.

    plain    numbers one after the other: floats, or integers in the narrowest type that holds them
    planes   byte 0 of all numbers, then byte 1, and so on (shuffle)
    zigzag   plain, 0, -1, 1, -2, ... as 0, 1, 2, 3, ...: small magnitudes have no high bits set
    packed   fixed-length bits

A layout's table is one byte, which layout and which type; `packed` adds the tables of `pack`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from slashbench.arrays import Array, Symbols
from slashbench.codecs.families.base import as_int32, from_int32
from slashbench.codecs.stream import frame, packing
from slashbench.codecs.stream.packing import BLOCK
from slashbench.codecs.stream.table_bytes import Reader
from slashbench.errors import CorruptStream

# Low nibble of the first byte; the type of the numbers that the bytes are.
_NUMBERS = tuple(np.dtype(name) for name in ("i1", "u1", "<i2", "<u2", "<i4", "<f2", "<f4", "<f8"))
# High nibble.
_PLAIN, _PLANES, _PACKED, _ZIGZAG = 0x00, 0x10, 0x20, 0x30


@dataclass(frozen=True, slots=True)
class Laid:
    """A tensor as bytes, and what tells a reader how they lie."""

    tables: bytes
    raw: Any  # a buffer of bytes
    itemsize: int  # bytes of a number, 1 where the bytes are no numbers


@dataclass(frozen=True, slots=True)
class ByteLayout:
    """How the bytes of a coded tensor lie."""

    kind: int
    numbers: np.dtype[Any]
    low: int
    width: int  # bits of a number
    count: int
    dtype: np.dtype[Any]  # of the tensor

    @classmethod
    def read(cls, tables: bytes, count: int, dtype: np.dtype[Any]) -> ByteLayout:
        """From `Laid.tables`. Raises CorruptStream for what no layout has."""
        if not tables or tables[0] & 0xF >= len(_NUMBERS):
            raise CorruptStream("the byte layout is unknown")
        kind, numbers = tables[0] & 0xF0, _NUMBERS[tables[0] & 0xF]
        floats = frame.domain_of(dtype) == "floats"
        if (numbers.kind == "f") != floats or (floats and numbers.itemsize != dtype.itemsize):
            raise CorruptStream(f"{numbers} can't stand for {dtype}")
        low, width = 0, 8 * numbers.itemsize
        if kind == _PACKED and not floats:
            reader = Reader(tables[1:])
            low, width = packing.read_table(reader)
            reader.end()
            if width > 32:
                raise CorruptStream(f"symbols of {width} bits")
        elif kind not in (_PLAIN, _PLANES, *(() if floats else (_ZIGZAG,))) or len(tables) != 1:
            raise CorruptStream("the byte layout is unknown")
        return cls(kind, numbers, low, width, count, dtype)

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return (self.count * self.width + 7) // 8

    def restore(self, raw: Any, flat: Array) -> None:
        """Fill the flat tensor from `size` bytes, block by block."""
        data = np.frombuffer(raw, np.uint8)
        size = self.numbers.itemsize
        planes = data.reshape(size, self.count) if self.kind == _PLANES else None
        for start in range(0, self.count, BLOCK):
            part = flat[start : start + BLOCK]
            if self.kind == _PACKED:
                begin, end = (start * self.width // 8, -(-(start + part.size) * self.width // 8))
                packed = data[begin:end].tobytes()
                _put(packing.unpack(packed, part.size, self.low, self.width), part)
                continue
            if planes is not None:
                block = np.ascontiguousarray(planes[:, start : start + BLOCK].T).reshape(-1)
            else:
                block = data[start * size : (start + part.size) * size]
            values = block.view(self.numbers)
            if self.kind == _ZIGZAG:
                mapped = values.view(f"<u{size}")
                values = ((mapped >> 1) ^ (0 - (mapped & 1))).view(self.numbers)
            if self.numbers.kind == "f":  # bfloat16 in the place of float16: bits are bits
                part.view(f"u{size}")[:] = values.view(f"<u{size}")
            else:
                _put(values.astype(np.int32), part)


def _put(symbols: Symbols, part: Array) -> None:
    part[:] = from_int32(symbols, part.dtype)


def layouts(flat: Array, kinds: Sequence[str]) -> Iterator[Laid]:
    """Lay out a flat, contiguous tensor in native byte order in each of the ways that apply.

    Parameters
    ----------
    flat : ndarray
        Not empty.
    kinds : sequence of str
        Of `plain`, `planes`, `zigzag`, `packed`; the last two are for integers.

    Yields
    ------
    Laid
        Its bytes may be those of the tensor itself.
    """
    if frame.domain_of(flat.dtype) == "floats":
        bits = flat.view(f"u{flat.itemsize}").astype(f"<u{flat.itemsize}", copy=False)
        numbers = bits.view(f"<f{flat.itemsize}")
        kinds = [kind for kind in kinds if kind in ("plain", "planes")] or ["plain"]
    else:
        symbols = as_int32(flat) if flat.itemsize == 4 else flat
        low, width = packing.range_of(symbols)
        if "packed" in kinds:
            head = bytes([_PACKED | _NUMBERS.index(np.dtype("<i4"))])
            yield Laid(head + packing.table(low, width), packing.pack(symbols, low, width), 1)
        numbers = symbols.astype(_narrowest(low, int(symbols.max())), copy=False)
    kind, size = _NUMBERS.index(numbers.dtype), numbers.itemsize
    if "plain" in kinds:
        yield Laid(bytes([_PLAIN | kind]), numbers.view(np.uint8).data, size)
    if "planes" in kinds and size > 1:
        planes = numbers.view(np.uint8).reshape(-1, size).T
        yield Laid(bytes([_PLANES | kind]), planes.tobytes(), 1)
    if "zigzag" in kinds:
        signed = numbers.view(f"<i{size}")
        mapped = signed << 1
        for start in range(0, signed.size, BLOCK):
            mapped[start : start + BLOCK] ^= signed[start : start + BLOCK] >> (8 * size - 1)
        yield Laid(bytes([_ZIGZAG | kind]), mapped.view(np.uint8).data, size)


def _narrowest(low: int, high: int) -> np.dtype[Any]:
    """The first integer type that holds both."""
    for dtype in _NUMBERS:
        limits = np.iinfo(dtype)
        if limits.min <= low and high <= limits.max:
            return dtype
    raise ValueError(f"no type holds {low} and {high}")
