"""Exp-Golomb coding."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

import numpy as np

from slashbench.arrays import Integers, Symbols
from slashbench.codecs.families.integer_code import IntegerCodec, checked_order
from slashbench.codecs.kernels import golomb, integer_codes
from slashbench.codecs.modelling.alphabet import histogram, translate
from slashbench.codecs.stream import frame
from slashbench.codecs.stream.frame import Frame, Pieces
from slashbench.codecs.stream.mapping import (
    by_rank,
    from_rank_table,
    rank_table,
    unzigzag,
    zigzag,
)
from slashbench.codecs.stream.table_bytes import Reader, integer_list
from slashbench.errors import CorruptStream

_RANKED = 0x80  # in version 1, of the byte that holds the order


class ExpGolomb(IntegerCodec):
    """Exp-Golomb code of order `k`, the best one for each tensor by default (Teuhola 1978).

    The tables begin with the number of ranked values, as a varint: 0 for zig-zag.

    Parameters
    ----------
    k : int
        Order, 0 to 30. -1: the order with the shortest codewords, counted over the tensor's
        symbols.
    map : {"zigzag", "rank"}
        How signed symbols become unsigned integers: by magnitude, or by falling frequency, with a
        table of the values. `k=0, map="rank"` is the coder of BackSlash (Algorithm 2).

    References
    ----------
    J. Teuhola, "A compression method for clustered bit-vectors", Information Processing Letters
    7(6), 1978. BackSlash: arXiv:2504.16968.
    """

    codec_id: ClassVar[str] = "slashbench.exp-golomb"
    family: ClassVar[int] = integer_codes.EXP_GOLOMB
    revision: ClassVar[int] = 2

    def __init__(self, k: int = -1, map: Literal["zigzag", "rank"] = "zigzag") -> None:
        if map not in ("zigzag", "rank"):
            raise ValueError(f"map must be 'zigzag' or 'rank', not {map!r}")
        self.k = checked_order(k)
        self.map = map

    def encode_chunks(self, symbols: Integers, chunk: int) -> tuple[bytes, list[Pieces]]:
        """Return (tables, pieces of each chunk) of symbols, shape (n,)."""
        if self.map == "zigzag":
            tables, chunks = super().encode_chunks(symbols, chunk)
            return frame.varint(0) + tables, chunks
        found = histogram(symbols.astype(np.int32, copy=False))
        ranked = by_rank(found.values, found.counts)
        # A rank is coded as the symbol that zig-zag makes of it, so all else stays the same.
        codes = np.empty(ranked.size, np.int32)
        codes[np.searchsorted(found.values, ranked)] = unzigzag(
            np.arange(ranked.size, dtype=np.uint32)
        )
        mapped = translate(symbols.astype(np.int32, copy=False), found.values, codes, 0)
        tables, chunks = super().encode_chunks(mapped.astype(symbols.dtype), chunk)
        listed = frame.varint(ranked.size) + integer_list(rank_table(ranked))
        return listed + tables, chunks

    def decode_chunks(
        self, tables: Reader, parts: Frame, first: int, last: int, symbols: Integers
    ) -> None:
        """Fill `symbols` with those of chunks `first` to `last` - 1."""
        n_ranked = tables.varint(parts.count)
        if n_ranked == 0:
            super().decode_chunks(tables, parts, first, last, symbols)
            return
        values = from_rank_table(tables.integers(n_ranked))
        super().decode_chunks(tables, parts, first, last, symbols)
        ranks = zigzag(symbols.astype(np.int32, copy=False))
        if int(ranks.max()) >= values.size:
            raise CorruptStream("a rank is beyond the table of values")
        limits = np.iinfo(symbols.dtype)
        if values.min() < limits.min or values.max() > limits.max:
            raise CorruptStream("a ranked value is wider than the symbols")
        symbols[:] = values[ranks]

    def decode_version1(self, tables: bytes, payload: bytes, count: int) -> Symbols:
        """Return the symbols of a stream of version 1: one stream, most significant bit first."""
        reader = Reader(tables)
        head = reader.byte()
        ranked = from_rank_table(reader.integers(reader.varint(count))) if head & _RANKED else None
        reader.end()
        mapped, used = golomb.decode(payload, count, head & ~_RANKED)
        if used != len(payload):
            raise CorruptStream("there are bytes after the last codeword")
        if ranked is None:
            return unzigzag(mapped)
        if mapped.max() >= ranked.size:
            raise CorruptStream("a rank is beyond the table of values")
        return ranked[mapped]

    def _orders(self) -> Iterable[int]:
        return range(integer_codes.MAX_ORDER + 1) if self.k < 0 else (self.k,)
