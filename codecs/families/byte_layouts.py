"""Byte layouts: the ways to lay a tensor out for a general-purpose compressor.

    plain    numbers one after the other: floats, or integers in the narrowest type that holds them
    planes   byte 0 of all numbers, then byte 1, and so on (shuffle)
    zigzag   plain, 0, -1, 1, -2, ... as 0, 1, 2, 3, ...: small magnitudes have no high bits set
    packed   fixed-length bits

A layout's table is one byte, which layout and which type; `packed` adds the tables of `pack`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from slashbench.arrays import Array
from slashbench.codecs.families.base import as_int32, from_int32
from slashbench.codecs.stream import frame, packing
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
    raw: bytes
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
        """Number of bytes."""
        return (self.count * self.width + 7) // 8

    def restore(self, raw: bytes) -> Array:
        """The flat tensor of `size` bytes."""
        if self.kind == _PACKED:
            return from_int32(packing.unpack(raw, self.count, self.low, self.width), self.dtype)
        data = np.frombuffer(raw, np.uint8)
        if self.kind == _PLANES:
            planes = data.reshape(self.numbers.itemsize, self.count)
            data = np.ascontiguousarray(planes.T).reshape(-1)
        values = data.view(self.numbers)
        if self.kind == _ZIGZAG:
            mapped = values.view(f"<u{self.numbers.itemsize}")
            values = ((mapped >> 1) ^ (0 - (mapped & 1))).view(self.numbers)
        if self.numbers.kind == "f":  # bfloat16 in the place of float16: bits are bits
            bits = f"u{self.numbers.itemsize}"
            return values.view(f"<{bits}").astype(bits).view(self.dtype)
        return from_int32(values.astype(np.int32), self.dtype)


def layouts(flat: Array, kinds: Sequence[str]) -> list[Laid]:
    """A flat, contiguous tensor in native byte order, laid out in each of the ways that apply.

    kinds: of `plain`, `planes`, `zigzag`, `packed`; the last two are for integers.
    """
    found = []
    if frame.domain_of(flat.dtype) == "floats":
        bits = flat.view(f"u{flat.itemsize}").astype(f"<u{flat.itemsize}", copy=False)
        numbers = bits.view(f"<f{flat.itemsize}")
        kinds = [kind for kind in kinds if kind in ("plain", "planes")] or ["plain"]
    else:
        symbols = as_int32(flat)
        if "packed" in kinds:
            low, width = packing.range_of(symbols)
            head = bytes([_PACKED | _NUMBERS.index(np.dtype("<i4"))])
            payload = packing.pack(symbols, low, width)
            found.append(Laid(head + packing.table(low, width), payload, 1))
        numbers = symbols.astype(_narrowest(int(symbols.min()), int(symbols.max())))
    kind, size = _NUMBERS.index(numbers.dtype), numbers.itemsize
    if "plain" in kinds:
        found.append(Laid(bytes([_PLAIN | kind]), numbers.tobytes(), size))
    if "planes" in kinds and size > 1:
        planes = numbers.view(np.uint8).reshape(-1, size).T
        found.append(Laid(bytes([_PLANES | kind]), planes.tobytes(), 1))
    if "zigzag" in kinds:
        signed = numbers.view(f"<i{size}")
        mapped = (signed << 1) ^ (signed >> (8 * size - 1))
        found.append(Laid(bytes([_ZIGZAG | kind]), mapped.tobytes(), size))
    return found


def _narrowest(low: int, high: int) -> np.dtype[Any]:
    """The first integer type that holds both."""
    for dtype in _NUMBERS:
        limits = np.iinfo(dtype)
        if limits.min <= low and high <= limits.max:
            return dtype
    raise ValueError(f"no type holds {low} and {high}")
