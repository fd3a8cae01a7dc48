"""The small parts of a stream's tables: bytes, varints and lists of integers, written and read.

An integer list is one byte, the exp-Golomb order that makes it shortest, and then the codewords,
padded to a byte. Its length is not written: the reader knows it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from slashbench.codecs import frame
from slashbench.codecs.kernels import golomb
from slashbench.errors import CorruptStream

Unsigned = npt.NDArray[np.uint32]


def integer_list(values: Unsigned) -> bytes:
    """The values in as few bytes as exp-Golomb codewords of one order allow."""
    order, bits = golomb.best_order(values)
    return bytes([order]) + golomb.encode(values, order, bits)


def integer_list_bits(values: Unsigned) -> int:
    """Length of `integer_list(values)`, in bits before padding."""
    return 8 + golomb.best_order(values)[1]


class Reader:
    """Reads tables from front to back. Every method raises CorruptStream past the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def byte(self) -> int:
        """The next byte, 0 to 255."""
        if self._position >= len(self._data):
            raise CorruptStream("the tables are cut off")
        self._position += 1
        return self._data[self._position - 1]

    def varint(self, limit: int) -> int:
        """The next varint, which may be at most `limit`."""
        value, self._position = frame.read_varint(self._data, self._position)
        if value > limit:
            raise CorruptStream(f"a number in the tables is {value}, over its limit of {limit}")
        return value

    def integers(self, count: int) -> Unsigned:
        """The next integer list, `count` values long."""
        order = self.byte()
        values, used = golomb.decode(self._data[self._position :], count, order)
        self._position += used
        return values

    def end(self) -> None:
        """Raises CorruptStream if anything is left."""
        if self._position != len(self._data):
            raise CorruptStream(f"{len(self._data) - self._position} bytes too many in the tables")
