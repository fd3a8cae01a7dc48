"""Bytes that are records, each field of them under a table of its own.

A file of llama.cpp holds blocks: a scale or two in float16, then the integers of 32 or 256 weights.
The bytes of the scales have another distribution than the integers, and each of their two bytes one
of its own.

    tables  u8 width, 1 (ChunkedCodec)
            u8 number of fields; 0: tables and chunks of `rans` follow
            each field: u8 its bytes in a record; varint length, and the tables of `rans`, without
            the width
    chunk   u32 each: bytes of the fields; then the fields, each a chunk of `rans`

A record's bytes are its fields, one after the other; a chunk is whole records.
"""

from __future__ import annotations

import itertools
import struct
from typing import ClassVar

import numpy as np

from slashbench.arrays import Array, Int64s, Integers
from slashbench.codecs.base import ChunkedCodec
from slashbench.codecs.rans import Rans
from slashbench.codecs.stream import frame
from slashbench.codecs.stream.frame import Frame, Pieces
from slashbench.codecs.stream.table_bytes import Reader
from slashbench.errors import CorruptStream

#: Widths of the fields of blocks that are tried, from ggml's definitions of Q8_0, Q4_0, Q4_1, Q5_0,
#: Q5_1, MXFP4, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K; a float16 is two fields.
LAYOUTS = (
    (1, 1, 32),
    (1, 1, 16),
    (1, 1, 1, 1, 16),
    (1, 1, 4, 16),
    (1, 1, 1, 1, 4, 16),
    (1, 16),
    (16, 64, 1, 1, 1, 1),
    (32, 64, 12, 1, 1),
    (1, 1, 1, 1, 12, 128),
    (1, 1, 1, 1, 12, 32, 128),
    (128, 64, 16, 1, 1),
)

_MOST_FIELDS = 16
_SAMPLE = 1 << 15  # bytes by which a layout is chosen, about
_WORTH_IT = 0.995  # of the bits without one, at most


class Fields(ChunkedCodec):
    """Code bytes as records of fields, the layout found by what it saves: blocks of GGUF files.

    Other integers are coded as `rans` does.

    References
    ----------
    The layouts: ggml of llama.cpp. Fields coded apart: lmz; OpenZL, arXiv:2510.03203, 2025.
    """

    codec_id: ClassVar[str] = "slashbench.fields"

    def __init__(self) -> None:
        self._rans = Rans()

    def encode_chunks(self, symbols: Integers, chunk: int) -> tuple[bytes, list[Pieces]]:
        """Return (tables, pieces of each chunk) of symbols, shape (n,)."""
        fields = layout_of(symbols) if symbols.itemsize == 1 else ()
        period = sum(fields)
        # The frame's chunk can't be changed here: it must be whole records already.
        if not period or chunk % period:
            tables, chunks = self._rans.encode_chunks(symbols, chunk)
            return bytes([0]) + tables, chunks
        records = symbols.reshape(-1, period)
        head, coded, at = bytes([len(fields)]), [], 0
        for width in fields:
            values = np.ascontiguousarray(records[:, at : at + width]).reshape(-1)
            tables, chunks = self._rans.encode_chunks(values, chunk // period * width)
            head += bytes([width]) + frame.varint(len(tables)) + tables
            coded.append(chunks)
            at += width
        together: list[Pieces] = []
        for parts in zip(*coded, strict=True):
            lengths = [sum(map(len, pieces)) for pieces in parts]
            together.append((struct.pack(f"<{len(fields)}I", *lengths), *itertools.chain(*parts)))
        return head, together

    def _encode(self, flat: Array) -> frame.CodedArray:
        symbols = flat.view(f"i{flat.itemsize}")
        period = sum(layout_of(symbols)) if flat.itemsize == 1 else 0
        if not period:
            return super()._encode(flat)
        chunk = -(-frame.chunk_for(flat.size) // period) * period
        tables, chunks = self.encode_chunks(symbols, chunk)
        return frame.CodedArray(bytes([1]) + tables, chunks, chunk)

    def decode_chunks(
        self, tables: Reader, parts: Frame, first: int, last: int, symbols: Integers
    ) -> None:
        """Fill `symbols` with those of chunks `first` to `last` - 1."""
        n_fields = tables.byte()
        if not n_fields:
            self._rans.decode_chunks(tables, parts, first, last, symbols)
            return
        if symbols.itemsize != 1 or n_fields > _MOST_FIELDS:
            raise CorruptStream(f"records of {n_fields} fields in {symbols.dtype}")
        fields = []
        for _ in range(n_fields):
            width = tables.byte()
            fields.append((width, tables.take(tables.varint(1 << 20))))
        tables.end()
        period = sum(width for width, _ in fields)
        if min(width for width, _ in fields) < 1 or parts.chunk % period or symbols.size % period:
            raise CorruptStream("chunks that are not whole records")
        edges = _edges(parts, first, last, n_fields)
        records, at = symbols.reshape(-1, period), 0
        chunk = min(parts.chunk, parts.count) // period
        for field, (width, inner) in enumerate(fields):
            values = np.empty(len(records) * width, np.int8)
            own = parts.within(inner, edges[field], edges[field + 1], chunk * width)
            self._rans.decode_chunks(Reader(inner), own, 0, last - first, values)
            records[:, at : at + width] = values.reshape(-1, width)
            at += width


def layout_of(symbols: Integers) -> tuple[int, ...]:
    """Return the widths of the fields that save most; none if no layout saves enough."""
    best: tuple[int, ...] = ()
    least = np.inf
    for fields in LAYOUTS:
        period = sum(fields)
        if symbols.size % period or symbols.size < 64 * period:
            continue
        records = symbols.view(np.uint8).reshape(-1, period)
        records = records[:: max(1, symbols.size // _SAMPLE)]
        bits = sum(map(_bits, np.split(records, np.cumsum(fields)[:-1], axis=1)))
        share = bits / max(_bits(records), 1e-9)
        if share < min(least, _WORTH_IT):
            best, least = fields, share
    return best


def _bits(values: Array) -> float:
    """Return the order-0 entropy of bytes, and about what their table takes."""
    counts = np.bincount(values.reshape(-1), minlength=256)
    present = counts[counts > 0]
    if present.size < 2:
        return 0.0
    return float(values.size * np.log2(values.size) - present @ np.log2(present))


def _edges(parts: Frame, first: int, last: int, n_fields: int) -> list[Int64s]:
    """Return where in the stream each field of each chunk begins, and where the last one ends."""
    found = np.empty((n_fields + 1, last - first), np.int64)
    for c in range(first, last):
        begin, end = int(parts.begins[c]), int(parts.ends[c])
        if end - begin < 4 * n_fields:
            raise CorruptStream("the lengths of a chunk's fields are cut off")
        raw = parts.data[begin : begin + 4 * n_fields].tobytes()
        ends = np.cumsum(np.frombuffer(raw, "<u4").astype(np.int64)) + begin + 4 * n_fields
        if ends[-1] != end:
            raise CorruptStream("the fields of a chunk are not as long as it says")
        found[0, c - first], found[1:, c - first] = begin + 4 * n_fields, ends
    return list(found)
