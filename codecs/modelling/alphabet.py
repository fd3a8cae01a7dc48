"""Which symbols a tensor holds, how often, and the few of them that get a table entry.

An alphabet is at most a few thousand distinct values, in ascending order, plus an escape symbol
when there are others. Table-driven coders (Huffman, range, ANS) code places in the alphabet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from slashbench.arrays import Int64s, Integers, Symbols
from slashbench.codecs.kernels import tally
from slashbench.codecs.stream import frame
from slashbench.codecs.stream.mapping import unzigzag, zigzag
from slashbench.codecs.stream.table_bytes import Reader, integer_list
from slashbench.errors import CorruptStream

#: Most values an alphabet may hold, the escape symbol not counted.
MAX_VALUES = 4096

# A value rarer than this loses more by bending a 16-bit frequency table (which rounds it up to
# 2^-16) than it would cost escaped.
_RAREST = 2.0**-18

_DENSE_SPAN = 1 << 20  # widest range of values that gets a table with an entry for each integer


@dataclass(frozen=True, slots=True)
class Histogram:
    """Distinct values, ascending, and how often each occurs; both of shape (a,)."""

    values: Symbols
    counts: Int64s

    def most_frequent(self, limit: int) -> npt.NDArray[np.bool_]:
        """Mark the `limit` most frequent values; ties go to the first one in zig-zag order."""
        keep = np.zeros(self.values.size, np.bool_)
        keep[np.lexsort((zigzag(self.values), -self.counts))[:limit]] = True
        return keep


def histogram(symbols: Symbols) -> Histogram:
    """Count the symbols, shape (n,): by a table where their range is small, else by sorting."""
    if symbols.size == 0:
        return Histogram(np.zeros(0, np.int32), np.zeros(0, np.int64))
    low, high = int(symbols.min()), int(symbols.max())
    if high - low >= max(_DENSE_SPAN, symbols.size):
        values, counts = np.unique(symbols, return_counts=True)
        return Histogram(values, counts.astype(np.int64, copy=False))
    table = np.zeros(high - low + 1, np.int64)
    tally.count(symbols, low, table)
    present = np.flatnonzero(table)
    return Histogram((present + low).astype(np.int32), table[present])


def translate(symbols: Symbols, values: Symbols, codes: Symbols, missing: int) -> Symbols:
    """codes[j] for each symbol equal to values[j], `missing` for any other. Values ascend."""
    out = np.empty(symbols.size, np.int32)
    if values.size and int(values[-1]) - int(values[0]) < _DENSE_SPAN:
        low = int(values[0])
        table = np.full(int(values[-1]) - low + 1, missing, np.int32)
        table[values.astype(np.int64) - low] = codes
        tally.look_up(symbols, low, table, missing, out)
    else:
        tally.search(symbols, values, codes, missing, out)
    return out


@dataclass(frozen=True, slots=True)
class Alphabet:
    """Distinct values, ascending; place `values.size` is the escape symbol if there is one."""

    values: Symbols
    escape: bool

    def __len__(self) -> int:
        return int(self.values.size) + self.escape

    @classmethod
    def choose(cls, found: Histogram, limit: int = MAX_VALUES) -> tuple[Alphabet, Int64s]:
        """Return the alphabet, of `limit` values at most, and the count of each of its symbols."""
        keep = found.counts >= found.counts.sum() * _RAREST
        if np.count_nonzero(keep) > limit:
            keep = found.most_frequent(limit)
        counts = found.counts[keep]
        escaped = int(found.counts.sum() - counts.sum())
        if escaped:
            counts = np.append(counts, escaped)
        return cls(found.values[keep], escaped > 0), counts

    def places(self, symbols: Symbols) -> Symbols:
        """Return the place of each symbol in the alphabet; the escape symbol's for all others."""
        codes = np.arange(self.values.size, dtype=np.int32)
        return translate(symbols, self.values, codes, self.values.size)

    def to_bytes(self) -> bytes:
        """Size and escape flag, then the first value and the gaps between the others."""
        head = frame.varint(self.values.size << 1 | self.escape)
        return head + list_of_values(self.values) if self.values.size else head

    @classmethod
    def read(cls, tables: Reader) -> Alphabet:
        """Undo `to_bytes`. Raises CorruptStream for what it can't have written."""
        head = tables.varint(MAX_VALUES << 1 | 1)
        size, escape = head >> 1, bool(head & 1)
        if size + escape == 0:
            raise CorruptStream("the alphabet is empty")
        if size == 0:
            return cls(np.zeros(0, np.int32), escape)
        return cls(read_values(tables, size, np.dtype(np.int32)), escape)


def list_of_values(values: Symbols) -> bytes:
    """Write ascending values as an integer list: the first one zig-zagged, then the gaps less 1."""
    gaps = np.diff(values.astype(np.int64)) - 1
    return integer_list(np.concatenate([zigzag(values[:1]), gaps.astype(np.uint32)]))


def read_values(tables: Reader, size: int, dtype: np.dtype[Any]) -> Integers:
    """Read what `list_of_values` wrote. Raises CorruptStream for values that `dtype` can't hold."""
    numbers = tables.integers(size)
    steps = numbers.astype(np.int64) + 1
    steps[0] = unzigzag(numbers[:1])[0]
    return within(np.cumsum(steps), dtype)


def within(values: Int64s, dtype: np.dtype[Any]) -> Integers:
    """Return ascending values as `dtype`. Raises CorruptStream if it can't hold them."""
    limits = np.iinfo(dtype)
    if values[0] < limits.min or values[-1] > limits.max:
        raise CorruptStream(f"the alphabet goes beyond {dtype}")
    return values.astype(dtype)
