"""What the table-driven codecs share: symbols become places in an alphabet, the rare ones escape.

    tables   alphabet, varint bytes of the escaped values (if any escape), the coder's own table
    payload  the coder's bytes, then the escaped values as a zig-zagged integer list

An alphabet of one symbol, as of a constant tensor, takes neither coder's table nor coder's bytes.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from slashbench.arrays import Int64s, Symbols
from slashbench.codecs.families.base import SymbolCodec
from slashbench.codecs.modelling.alphabet import (
    MAX_VALUES,
    Alphabet,
    histogram,
)
from slashbench.codecs.stream import frame
from slashbench.codecs.stream.mapping import unzigzag, zigzag
from slashbench.codecs.stream.table_bytes import Reader, integer_list
from slashbench.errors import CorruptStream


class IndexedCodec(SymbolCodec):
    """A codec of places in an alphabet: a subclass sees places and how often each occurs."""

    def encode_symbols(self, symbols: Symbols) -> tuple[bytes, bytes]:
        """Return (tables, payload) of symbols, shape (n,)."""
        alphabet, counts = Alphabet.choose(histogram(symbols), self._most_values())
        places = alphabet.places(symbols)
        tables, payload, escaped = alphabet.to_bytes(), b"", b""
        if alphabet.escape:
            escaped = integer_list(zigzag(symbols[places == alphabet.values.size]))
            tables += frame.varint(len(escaped))
        if len(alphabet) > 1:
            table, payload = self.encode_places(places, counts)
            tables += table
        return tables, payload + escaped

    def decode_symbols(self, tables: bytes, payload: bytes, count: int) -> Symbols:
        """Return the `count` symbols."""
        reader = Reader(tables)
        alphabet = Alphabet.read(reader)
        values = alphabet.values
        if values.size > count:
            raise CorruptStream(f"{values.size} distinct values among {count}")
        split = len(payload) - (reader.varint(len(payload)) if alphabet.escape else 0)
        if len(alphabet) > 1:
            places = self.decode_places(reader, payload[:split], count, len(alphabet))
        else:
            places = np.zeros(count, np.int32)
            if split:
                raise CorruptStream("a tensor of one symbol has codewords")
        reader.end()
        if not alphabet.escape:
            return values[places]
        symbols = np.append(values, np.int32(0))[places]
        return _with_escaped(symbols, places == values.size, payload[split:])

    @abstractmethod
    def encode_places(self, places: Symbols, counts: Int64s) -> tuple[bytes, bytes]:
        """Return (table, payload) of places 0 to len(counts) - 1, at least two of them."""

    @abstractmethod
    def decode_places(self, reader: Reader, payload: bytes, count: int, size: int) -> Symbols:
        """The `count` places, each below `size`; the table is next in the reader."""

    def _most_values(self) -> int:
        """Largest number of values with a place of their own."""
        return MAX_VALUES


def _with_escaped(symbols: Symbols, where: Symbols, data: bytes) -> Symbols:
    reader = Reader(data)
    symbols[where] = unzigzag(reader.integers(int(np.count_nonzero(where))))
    reader.end()
    return symbols
