"""Payloads of stream version 1, which codecs that have changed since can still read.

Version 1 had one stream of codewords a tensor, most significant bit first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from slashbench.codecs import pack
from slashbench.codecs.base import Symbols, from_int32
from slashbench.codecs.families.escape_codec import IndexedCodec
from slashbench.codecs.kernels import golomb, version1
from slashbench.codecs.stream.frame import Frame
from slashbench.codecs.stream.mapping import from_rank_table, unzigzag
from slashbench.codecs.stream.tables import Reader
from slashbench.errors import CorruptStream

_RANKED = 0x80


def decode(codec_id: str, parts: Frame) -> npt.NDArray[Any]:
    """The flat values of a stream of version 1. Raises CorruptStream for a newer codec."""
    reader = _READERS.get(codec_id)
    if reader is None:
        raise CorruptStream(f"{codec_id} never wrote streams of version 1")
    payload = parts.payload(0).tobytes()
    return from_int32(reader(parts.tables, payload, parts.count), parts.dtype)


def _pack(tables: bytes, payload: bytes, count: int) -> Symbols:
    reader = Reader(tables)
    low, width = pack.read_table(reader)
    reader.end()
    return pack.unpack(payload, count, low, width)


def _exp_golomb(tables: bytes, payload: bytes, count: int) -> Symbols:
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


class _Huffman(IndexedCodec):
    """Decoding only."""

    def encode_places(self, places: Symbols, counts: Any) -> tuple[bytes, bytes]:
        raise NotImplementedError("version 1 is read, not written")

    def decode_places(self, reader: Reader, payload: bytes, count: int, size: int) -> Symbols:
        lengths = np.cumsum(unzigzag(reader.integers(size)), dtype=np.int64)
        return version1.decode(payload, count, lengths)


_READERS = {
    "slashbench.pack": _pack,
    "slashbench.exp-golomb": _exp_golomb,
    "slashbench.huffman": lambda *stream: _Huffman().decode_symbols(*stream),
}
