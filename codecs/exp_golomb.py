"""Exp-Golomb coding."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from slashbench.codecs import frame
from slashbench.codecs.alphabet import histogram, translate
from slashbench.codecs.base import SymbolCodec, Symbols
from slashbench.codecs.kernels import golomb
from slashbench.codecs.mapping import by_rank, from_rank_table, rank_table, unzigzag, zigzag
from slashbench.codecs.tables import Reader, integer_list
from slashbench.errors import CorruptStream

_RANKED = 0x80  # set in the tables' first byte when the map is by rank


class ExpGolomb(SymbolCodec):
    """Exp-Golomb code of order `k`, the best one for each tensor by default (Teuhola 1978).

    k: 0 to 30, or -1 for the order that makes the payload shortest, counted exactly over the
    tensor's symbols. map: how signed symbols become unsigned integers, `zigzag` or `rank`;
    `k=0, map="rank"` is the coder of BackSlash (arXiv:2504.16968, Algorithm 2).

    The tables are one byte, the order used, plus 128 and the ranked values if the map is by rank.
    """

    codec_id: ClassVar[str] = "slashbench.exp-golomb"

    def __init__(self, k: int = -1, map: Literal["zigzag", "rank"] = "zigzag") -> None:
        if isinstance(k, bool) or not isinstance(k, int):
            raise ValueError(f"k must be a whole number, not {k!r}")
        if not -1 <= k <= golomb.MAX_ORDER:
            raise ValueError(f"k must be 0 to {golomb.MAX_ORDER}, or -1 for the best, not {k}")
        if map not in ("zigzag", "rank"):
            raise ValueError(f"map must be 'zigzag' or 'rank', not {map!r}")
        self.k = k
        self.map = map

    def encode_symbols(self, symbols: Symbols) -> tuple[bytes, bytes]:
        """(tables, payload) of symbols, shape (n,)."""
        if self.map == "rank":
            flag = _RANKED
            values, ranks = _ranks(symbols)
            table = frame.varint(values.size) + integer_list(rank_table(values))
            mapped = ranks.view(np.uint32)
        else:
            flag, table, mapped = 0, b"", zigzag(symbols)
        lengths = golomb.lengths_by_order(mapped)
        order = int(lengths.argmin()) if self.k < 0 else self.k
        return bytes([flag | order]) + table, golomb.encode(mapped, order, int(lengths[order]))

    def decode_symbols(self, tables: bytes, payload: bytes, count: int) -> Symbols:
        """The `count` symbols."""
        reader = Reader(tables)
        head = reader.byte()
        values = None
        if head & _RANKED:
            values = from_rank_table(reader.integers(reader.varint(count)))
        reader.end()
        mapped, used = golomb.decode(payload, count, head & ~_RANKED)
        if used != len(payload):
            raise CorruptStream("there are bytes after the last codeword")
        if values is None:
            return unzigzag(mapped)
        if mapped.max() >= values.size:
            raise CorruptStream("a rank is beyond the table of values")
        return values[mapped]


def _ranks(symbols: Symbols) -> tuple[Symbols, Symbols]:
    """(values by rank, rank of each symbol)."""
    found = histogram(symbols)
    ranked = by_rank(found.values, found.counts)
    rank_of = np.empty(ranked.size, np.int32)
    rank_of[np.searchsorted(found.values, ranked)] = np.arange(ranked.size, dtype=np.int32)
    return ranked, translate(symbols, found.values, rank_of, -1)
