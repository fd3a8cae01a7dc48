"""What the codecs with a table entry for each value share: the alphabet, and exceptions to it.

    tables  u8 width of the symbols (ChunkedCodec)
            u8 form: 1 if the alphabet is listed, plus 2 if chunks begin with exceptions
            dense alphabet: the first value, zig-zag varint; the number of values, varint
            listed alphabet: the number of values, varint; list of the first value (zig-zag) and of
            the gaps to the others
            the coder's own table; nothing for an alphabet of one value
            form 4: too many values for a table; tables and chunks of `exp-golomb` follow
    chunk   exceptions (exceptions.py) if the form says so
            the coder's bytes; none for an alphabet of one value

Symbols of a byte have a dense alphabet, in which values that do not occur have a count of zero.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from slashbench.arrays import Array, Int64s, Integers, UInt32s, UInt64s
from slashbench.codecs.families.base import ChunkedCodec
from slashbench.codecs.kernels import prefix
from slashbench.codecs.modelling.alphabet import (
    MAX_VALUES,
    histogram,
    list_of_values,
    read_values,
    translate,
    within,
)
from slashbench.codecs.stream import exceptions, frame, prefix_streams
from slashbench.codecs.stream.frame import Frame, Pieces
from slashbench.codecs.stream.mapping import (
    unzigzag_of,
    zigzag_of,
)
from slashbench.codecs.stream.table_bytes import Reader
from slashbench.errors import CorruptStream

_LISTED, _EXCEPTIONS, TOO_MANY = 1, 2, 4

# Of more exceptions than one in so many symbols, exp-Golomb codewords are the shorter.
_FEW = 16


@dataclass(frozen=True, slots=True)
class Places:
    """Symbols as the coder sees them: places in a table of `size` entries.

    `slots` says which entry belongs to each value of the alphabet, `counts` how often it occurs
    (exceptions count as the most frequent value, and take its entry, or an unused one,
    which the coder fills with it too).
    """

    array: Array  # uint8, or uint16 below MAX_VALUES
    size: int
    slots: Int64s
    counts: Int64s
    tally: UInt32s | None  # of bytes: counts by chunk, stream and place

    def spread(self, per_value: Array) -> Array:
        """An array over places from one over values; elsewhere the most frequent value's."""
        out = np.full(self.size, per_value[self.counts.argmax()], per_value.dtype)
        out[self.slots] = per_value
        return out


@dataclass(frozen=True, slots=True)
class Decoder:
    """What the tables say: how the chunks of a tensor are decoded."""

    patched: bool  # whether chunks begin with exceptions
    values: Integers  # the alphabet, ascending
    table: UInt64s  # empty for an alphabet of one value
    bits: int  # looked at in the table


class TableCodec(ChunkedCodec):
    """A codec with one table a tensor."""

    rarest: ClassVar[float]  # share of the symbols below which a value is an exception
    fallback: ClassVar[ChunkedCodec]  # codes tensors of too many values for a table

    def encode_chunks(self, symbols: Integers, chunk: int) -> tuple[bytes, list[Pieces]]:
        """Return (tables, pieces of each chunk) of symbols, shape (n,)."""
        if symbols.itemsize == 1:
            tables, places, positions = self._of_bytes(symbols, chunk)
            form = 0
        else:
            tables, places, positions = self._of_wider(symbols)
            form = _LISTED
        if positions.size * _FEW > symbols.size:
            tables, chunks = self.fallback.encode_chunks(symbols, chunk)
            return bytes([TOO_MANY]) + tables, chunks
        patches = []
        if positions.size:
            form |= _EXCEPTIONS
            patches = exceptions.by_chunk(positions, symbols, chunk)
        tables = bytes([form]) + tables
        if np.count_nonzero(places.counts) == 1:
            n_chunks = -(-symbols.size // chunk)
            return tables, exceptions.before(patches, [()] * n_chunks)
        table, chunks = self.encode_places(places, chunk)
        return tables + table, exceptions.before(patches, chunks)

    def decode_chunks(
        self, tables: Reader, parts: Frame, first: int, last: int, symbols: Integers
    ) -> None:
        """Fill `symbols` with those of chunks `first` to `last` - 1."""
        form = tables.byte()
        if form == TOO_MANY:
            self.fallback.decode_chunks(tables, parts, first, last, symbols)
            return
        decoder = self.decoder(form, tables, symbols.dtype, symbols.size)
        heads, ends = parts.begins[first:last], parts.ends[first:last]
        begins = heads
        if decoder.patched:
            begins = exceptions.skip(parts.data, heads, ends, symbols.itemsize)
        if decoder.values.size == 1:
            if np.any(begins != ends):
                raise CorruptStream("a tensor of one symbol has codewords")
            symbols[:] = decoder.values[0]
        else:
            self.decode_values(decoder, parts, begins, ends, symbols)
        if decoder.patched:
            exceptions.put(parts.data, heads, ends, parts.chunk, symbols)

    def byte_decoder(self, tables: Reader, count: int) -> Decoder:
        """Read how chunks of `count` int8 symbols are decoded, as `encode_chunks` wrote it."""
        return self.decoder(tables.byte(), tables, np.dtype(np.int8), count)

    def decoder(self, form: int, tables: Reader, dtype: np.dtype[Any], count: int) -> Decoder:
        """Read the alphabet and the coder's table, behind the form of the alphabet."""
        if form > (_LISTED | _EXCEPTIONS):
            raise CorruptStream("the form of the alphabet is unknown")
        values = _read_values(tables, bool(form & _LISTED), dtype)
        table, bits = np.empty(0, np.uint64), 0
        if values.size > 1:
            table, bits = self.decoding_table(tables, values, count)
        tables.end()
        return Decoder(bool(form & _EXCEPTIONS), values, table, bits)

    @abstractmethod
    def encode_places(self, places: Places, chunk: int) -> tuple[bytes, list[Pieces]]:
        """Return (table, pieces of each chunk)."""

    @abstractmethod
    def decoding_table(self, tables: Reader, values: Integers, count: int) -> tuple[UInt64s, int]:
        """Return (table, its bits) for `count` symbols, from the coder's own table.

        values: the alphabet, at least two, of the symbols' dtype.
        """

    @abstractmethod
    def decode_values(
        self,
        decoder: Decoder,
        parts: Frame,
        begins: Int64s,
        ends: Int64s,
        symbols: Integers,
    ) -> None:
        """Fill `symbols` from the chunks data[begins[c] : ends[c]]."""

    def _of_bytes(self, symbols: Integers, chunk: int) -> tuple[bytes, Places, Int64s]:
        """(alphabet, places, positions of exceptions) of int8 symbols: a range of values."""
        tally = prefix_streams.tally(symbols, chunk)
        counts = np.empty(256, np.int64)  # of -128 to 127
        prefix.total(tally.reshape(-1, 256), counts)
        kept = np.flatnonzero(counts > symbols.size * self.rarest)
        if kept.size == 0:  # many chunks of noise: no value is frequent
            kept = np.flatnonzero(counts)
        while kept.size > self._most_values():
            kept = kept[1:] if counts[kept[0]] < counts[kept[-1]] else kept[:-1]
        low, high = int(kept[0]) - 128, int(kept[-1]) - 128
        counts = counts[low + 128 : high + 129]
        n_exceptions = symbols.size - int(counts.sum())
        positions = np.zeros(0, np.int64)
        if n_exceptions:
            positions = exceptions.outside(symbols, low, high, n_exceptions)
            counts[counts.argmax()] += n_exceptions
        table = frame.varint(zigzag_of(low)) + frame.varint(counts.size)
        slots = np.arange(low, high + 1) & 0xFF
        return table, Places(symbols.view(np.uint8), 256, slots, counts, tally), positions

    def _of_wider(self, symbols: Integers) -> tuple[bytes, Places, Int64s]:
        """The same of int16 or int32 symbols: a list of values."""
        widened = symbols.astype(np.int32, copy=False)
        found = histogram(widened)
        keep = found.counts > symbols.size * self.rarest
        most = self._most_values()
        if not keep.any() or np.count_nonzero(keep) > most:
            keep = found.most_frequent(most)
        values, counts = found.values[keep], found.counts[keep]
        common = int(counts.argmax())
        slots = np.arange(values.size)
        placed = translate(widened, values, slots.astype(np.int32), -1)
        positions = np.zeros(0, np.int64)
        n_exceptions = symbols.size - int(counts.sum())
        if n_exceptions:
            positions = np.flatnonzero(placed < 0)
            placed[positions] = common
            counts[common] += n_exceptions
        table = frame.varint(values.size) + list_of_values(values)
        array = placed.astype(np.uint16)
        return table, Places(array, values.size, slots, counts, None), positions

    def _most_values(self) -> int:
        """Largest number of values with a table entry."""
        return MAX_VALUES


def _read_values(tables: Reader, listed: bool, dtype: np.dtype[Any]) -> Integers:
    """Read the alphabet. Raises CorruptStream for one beyond the dtype or MAX_VALUES."""
    low = 0 if listed else unzigzag_of(tables.varint(0xFFFFFFFF))
    size = tables.varint(MAX_VALUES)
    if size == 0:
        raise CorruptStream("the alphabet is empty")
    return read_values(tables, size, dtype) if listed else within(np.arange(low, low + size), dtype)
