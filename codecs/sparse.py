"""Significance and values: for weights that are mostly zero, below one bit each.

Which symbols are not zero is one flag each, as in wavelet coders (J. M. Shapiro, "Embedded image
coding using zerotrees of wavelet coefficients", IEEE Trans. Signal Processing 41(12), 1993). Eight
neighbouring flags make one symbol for rANS, so a table sees whether zeros come together, and a
zero takes an eighth of a symbol's time. The others follow, under a table of their own chunk.

    tables  u8 width of the symbols (ChunkedCodec)
            tables of `rans` for the flags
    chunk   u32 bytes of the flags' stream; u32 bytes of the values' tables
            stream of `rans`: flags, eight to a byte, the first in its lowest bit
            tables and stream of `rans`: the values flagged; nothing if there are none
"""

from __future__ import annotations

import struct
from typing import ClassVar

import numpy as np

from slashbench.arrays import Integers
from slashbench.codecs.base import ChunkedCodec
from slashbench.codecs.kernels import significance
from slashbench.codecs.rans import Rans
from slashbench.codecs.stream import frame
from slashbench.codecs.stream.frame import Frame, Pieces
from slashbench.codecs.stream.table_bytes import Reader
from slashbench.errors import CorruptStream

_HEAD = struct.Struct("<II")
_FLAGS = 8  # to a byte


class Sparse(ChunkedCodec):
    """Significance flags and non-zero values under interleaved rANS: for under a bit a weight.

    Eight neighbouring flags make one symbol, so a zero costs an eighth of a symbol's time.

    References
    ----------
    J. M. Shapiro, "Embedded image coding using zerotrees of wavelet coefficients", IEEE Trans.
    Signal Processing 41(12), 1993, for flags of significance.
    """

    codec_id: ClassVar[str] = "slashbench.sparse"

    @classmethod
    def chunk_for(cls, count: int) -> int:
        """Eight times the usual symbols, so that there are as many bytes of flags; whole bytes."""
        return _FLAGS * frame.chunk_for(-(-count // _FLAGS))

    def encode_chunks(self, symbols: Integers, chunk: int) -> tuple[bytes, list[Pieces]]:
        """Return (tables, pieces of each chunk) of symbols, shape (n,)."""
        flags = np.empty(-(-symbols.size // _FLAGS), np.uint8)
        values = np.empty(min(chunk, symbols.size), symbols.dtype)
        significant = []
        for start in range(0, symbols.size, chunk):
            own = flags[start // _FLAGS : (start + chunk) // _FLAGS]
            found = significance.gather(symbols[start : start + chunk], own, values)
            significant.append(self._encode_values(values[:found]))
        tables, streams = Rans().encode_chunks(flags.view(np.int8), chunk // _FLAGS)
        chunks = []
        for stream, (value_tables, pieces) in zip(streams, significant, strict=True):
            head = _HEAD.pack(sum(map(len, stream)), len(value_tables))
            chunks.append((head, *stream, value_tables, *pieces))
        return tables, chunks

    def _encode_values(self, values: Integers) -> tuple[bytes, Pieces]:
        if not values.size:
            return b"", ()
        tables, (pieces,) = Rans().encode_chunks(values, values.size)
        return tables, tuple(bytes(piece) for piece in pieces)  # `values` is used again

    def decode_chunks(
        self, tables: Reader, parts: Frame, first: int, last: int, symbols: Integers
    ) -> None:
        """Fill `symbols` with those of chunks `first` to `last` - 1."""
        if parts.chunk % _FLAGS:
            raise CorruptStream(f"chunks of {parts.chunk} symbols, not of whole bytes of flags")
        begins, ends = parts.begins[first:last], parts.ends[first:last]
        heads = np.array([self._head(parts, c) for c in range(first, last)]).reshape(-1, 2)
        starts = begins + _HEAD.size
        middles = starts + heads[:, 0]
        flags = np.empty(-(-symbols.size // _FLAGS), np.uint8)
        inner = parts.within(b"", starts, middles, parts.chunk // _FLAGS)
        Rans().decode_chunks(tables, inner, 0, last - first, flags.view(np.int8))
        for c, (start, end) in enumerate(zip(middles.tolist(), ends.tolist(), strict=True)):
            at = c * parts.chunk
            own = flags[at // _FLAGS : (at + parts.chunk) // _FLAGS]
            values = np.zeros(significance.count(own) + 1, symbols.dtype)
            bodies = start + int(heads[c, 1])
            if values.size > 1:
                value_tables = parts.data[start:bodies].tobytes()
                stream = parts.within(b"", np.array([bodies]), np.array([end]), values.size - 1)
                Rans().decode_chunks(Reader(value_tables), stream, 0, 1, values[:-1])
            elif start != end:
                raise CorruptStream("values in a chunk of zeros")
            if not significance.scatter(own, values, symbols[at : at + parts.chunk]):
                raise CorruptStream("the flags of a chunk are not those of its values")

    def _head(self, parts: Frame, index: int) -> tuple[int, int]:
        """(bytes of the flags' stream, of the values' tables). Raises CorruptStream."""
        payload = parts.payload(index)
        if payload.size < _HEAD.size:
            raise CorruptStream("a chunk is too short for its sizes")
        n_flags, n_tables = _HEAD.unpack_from(payload.data)
        if n_flags + n_tables > payload.size - _HEAD.size:
            raise CorruptStream("the flags of a chunk are longer than the chunk")
        return n_flags, n_tables
