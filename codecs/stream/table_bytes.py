"""The small parts of a stream's tables: bytes, varints and lists of integers, written and read.

An integer list is one byte, the exp-Golomb order that makes it shortest, and then the codewords,
padded to a byte. Its length is not written: the reader knows it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from slashbench.arrays import Array, Int64s, UInt32s
from slashbench.codecs.kernels import golomb
from slashbench.codecs.stream import frame
from slashbench.errors import CorruptStream


def integer_list(values: UInt32s) -> bytes:
    """Write the values in as few bytes as exp-Golomb codewords of one order allow."""
    order, bits = golomb.best_order(values)
    return bytes([order]) + golomb.encode(values, order, bits)


def integer_list_bits(values: UInt32s) -> int:
    """Length of `integer_list(values)`, in bits before padding."""
    return 8 + golomb.best_order(values)[1]


def nibbles(values: Int64s) -> bytes:
    """Write values below 16 in four bits each, the first one in the low half of a byte."""
    padded = np.append(values, 0) if values.size % 2 else values
    return (padded[::2] | padded[1::2] << 4).astype(np.uint8).tobytes()


class Reader:
    """Reads tables from front to back. Every method raises CorruptStream past the end."""

    def __init__(self, data: Any) -> None:
        self._data = data
        self._position: int = 0

    def byte(self) -> int:
        """Return the next byte, 0 to 255."""
        if self._position >= len(self._data):
            raise CorruptStream("the tables are cut off")
        self._position += 1
        return int(self._data[self._position - 1])

    def varint(self, limit: int) -> int:
        """Return the next varint, which may be at most `limit`."""
        value, self._position = frame.read_varint(self._data, self._position)
        if value > limit:
            raise CorruptStream(f"a number in the tables is {value}, over its limit of {limit}")
        return value

    def integers(self, count: int) -> UInt32s:
        """Return the next integer list, `count` values long."""
        order = self.byte()
        values, used = golomb.decode(self._data[self._position :], count, order)
        self._position += used
        return values

    def nibbles(self, count: int) -> Int64s:
        """Return the next `count` values of four bits."""
        end = self._position + (count + 1) // 2
        if end > len(self._data):
            raise CorruptStream("the tables are cut off")
        pairs = np.frombuffer(self._data[self._position : end], np.uint8)
        values = np.empty(2 * pairs.size, np.int64)
        values[::2], values[1::2] = pairs & 15, pairs >> 4
        if count % 2 and values[-1]:
            raise CorruptStream("the bits that pad the tables are not zero")
        self._position = end
        return values[:count]

    def array(self, dtype: np.dtype[Any], count: int) -> Array:
        """Return the next `count` numbers as they are; read-only."""
        end = self._position + count * dtype.itemsize
        if end > len(self._data):
            raise CorruptStream("the tables are cut off")
        found = np.frombuffer(self._data, dtype, count, self._position)
        self._position = end
        return found

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        end = self._position + size
        if end > len(self._data):
            raise CorruptStream("the tables are cut off")
        taken = bytes(self._data[self._position : end])
        self._position = end
        return taken

    @property
    def position(self) -> int:
        """Bytes read so far."""
        return self._position

    def end(self) -> None:
        """Raises CorruptStream if anything is left."""
        if self._position != len(self._data):
            raise CorruptStream(f"{len(self._data) - self._position} bytes too many in the tables")
