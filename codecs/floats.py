"""Lossless floats: planes of bytes, the exponents coded, the noise left as it is.

The sign and most of the mantissa of a trained weight are noise, its exponent takes some 2.6 bits
(ZipNN, arXiv:2411.05239; DFloat11, arXiv:2504.11651). A float's bits are rotated left by one, so
that its highest byte is the exponent alone, and each plane of bytes is coded for itself. Sixteen
neighbouring exponents are nearly all there are: two of them make one symbol of a byte, whose code
wastes half as much and is looked up half as often. An exponent outside that window is an exception.

    tables  for each plane, the highest first:
            u8 form: 0 raw, 1 coded, 2 in pairs, 3 in pairs with exceptions
            in pairs: u8 the lowest value of the window
            coded or in pairs: varint bytes of the coder's tables, and the tables
    chunk   u32 each: bytes of the planes that are not raw, the highest first
            the planes, the highest first; of n values in pairs with exceptions: exceptions.py, then
            the coder's h = ceil(n / 2) symbols, (v[i] - low) + 16 (v[i + h] - low)

An odd value that has no partner gets one that the decoder passes over.
"""

from __future__ import annotations

import itertools
import struct
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from slashbench.arrays import Array, Bytes, FloatBits, Int64s
from slashbench.codecs.base import TensorCodec
from slashbench.codecs.families.table_codec import Decoder, TableCodec
from slashbench.codecs.huffman import Huffman
from slashbench.codecs.kernels import float_chunks, planes
from slashbench.codecs.kernels.float_chunks import Tables
from slashbench.codecs.rans import Rans
from slashbench.codecs.stream import exceptions, frame
from slashbench.codecs.stream.frame import CodedArray, Frame, Pieces
from slashbench.codecs.stream.table_bytes import Reader
from slashbench.errors import CorruptStream

_RAW, _CODED, _PAIRS, _PATCHED_PAIRS = planes.FORMS
_NOTHING = np.empty(0, np.uint64)

_SAMPLE = 32, 512  # blocks and their length, by which an encoder chooses a form
_WORTH_CODING = 7.95  # bits a byte, at most
_FEW = 1 / 64  # exceptions, at most


@dataclass(frozen=True, slots=True)
class _Plane:
    """One plane of a coded tensor: how it was coded, and its bytes in each chunk."""

    form: int
    low: int
    tables: bytes
    chunks: list[Pieces]

    def table(self) -> bytes:
        """Its part of the tables."""
        if self.form == _RAW:
            return bytes([_RAW])
        low = bytes([self.low]) if self.form >= _PAIRS else b""
        return bytes([self.form]) + low + frame.varint(len(self.tables)) + self.tables


@dataclass(frozen=True, slots=True)
class PlaneCode:
    """How the tables say that a plane is coded."""

    form: int
    low: int
    decoder: Decoder | None  # None: raw


class FloatCodec(TensorCodec):
    """Byte planes of floats under an integer codec of ours."""

    domains: ClassVar[frozenset[str]] = frozenset({"floats"})
    coder: ClassVar[TableCodec]

    def _encode(self, flat: Array) -> CodedArray:
        words = flat.view(f"u{flat.itemsize}")
        chunk = frame.chunk_for(words.size)
        coded = []
        for plane in range(words.itemsize - 1, -1, -1):
            values = np.empty(words.size, np.uint8)
            planes.take(words, plane, values)
            coded.append(self._encode_plane(values, chunk))
        chunks = []
        for parts in zip(*(plane.chunks for plane in coded), strict=True):
            lengths = [
                sum(map(len, pieces))
                for plane, pieces in zip(coded, parts, strict=True)
                if plane.form != _RAW
            ]
            head = struct.pack(f"<{len(lengths)}I", *lengths)
            chunks.append((head, *itertools.chain(*parts)))
        return CodedArray(b"".join(plane.table() for plane in coded), chunks, chunk)

    def _encode_plane(self, values: Bytes, chunk: int) -> _Plane:
        low, usual, few, entropy = planes.survey(values, *_SAMPLE)
        if few <= _FEW:
            plane = self._encode_pairs(values, chunk, low, usual)
            if plane is not None:
                return plane
        if entropy > _WORTH_CODING:
            spans = range(0, values.size, chunk)
            return _Plane(_RAW, 0, b"", [(values[i : i + chunk].data,) for i in spans])
        tables, chunks = self.coder.encode_chunks(values.view(np.int8), chunk)
        return _Plane(_CODED, 0, tables, chunks)

    def _encode_pairs(self, values: Bytes, chunk: int, low: int, usual: int) -> _Plane | None:
        """None if more values lie outside the window than the sample has shown."""
        half = (chunk + 1) // 2
        pairs = np.empty(planes.n_pairs(values.size, chunk), np.uint8)
        beyond = planes.pair(values, chunk, low, usual, pairs)
        if beyond > values.size * 2 * _FEW:
            return None
        tables, chunks = self.coder.encode_chunks(pairs.view(np.int8), half)
        if not beyond:
            return _Plane(_PAIRS, low, tables, chunks)
        positions = np.empty(beyond, np.int64)
        planes.locate(values, low, positions)
        patches = exceptions.by_chunk(positions, values.view(np.int8), chunk)
        return _Plane(_PATCHED_PAIRS, low, tables, exceptions.before(patches, chunks))

    def _decode(self, parts: Frame, first: int, last: int, flat: Array) -> None:
        words = flat.view(f"u{flat.itemsize}")
        chunk = min(parts.chunk, words.size)
        plan, tables = self._read_tables(parts.tables, words.itemsize, words.size)
        begins, ends = parts.begins[first:last], parts.ends[first:last]
        if not self._decode_chunks(parts.data, begins, ends, plan, tables, chunk, words):
            raise CorruptStream("the codewords are cut off or damaged")

    @staticmethod
    @abstractmethod
    def _decode_chunks(
        data: Bytes,
        begins: Int64s,
        ends: Int64s,
        plan: Int64s,
        tables: Tables,
        chunk: int,
        words: FloatBits,
    ) -> bool:
        """The kernel of float_chunks.py that takes the coder's tables."""

    def read_planes(self, data: bytes, n_planes: int, count: int) -> list[PlaneCode]:
        """Read the tables of `count` values: how each plane is coded, the highest first."""
        reader = Reader(data)
        found = []
        for _ in range(n_planes):
            form = reader.byte()
            if form > _PATCHED_PAIRS:
                raise CorruptStream(f"a plane of the unknown form {form}")
            if form == _RAW:
                found.append(PlaneCode(_RAW, 0, None))
                continue
            low = reader.byte() if form >= _PAIRS else 0
            inner = Reader(reader.take(reader.varint(len(data))))
            n_symbols = count if form == _CODED else (count + 1) // 2
            found.append(PlaneCode(form, low, self.coder.byte_decoder(inner, n_symbols)))
        reader.end()
        return found

    def _read_tables(self, data: bytes, n_planes: int, count: int) -> tuple[Int64s, Tables]:
        """(plan, table of each plane), as the kernel wants them."""
        plan, tables = [], []
        for plane in self.read_planes(data, n_planes, count):
            found = plane.decoder
            if found is None:
                plan.append((_RAW, 0, 0, -1, 0))
                tables.append(_NOTHING)
                continue
            fill = int(found.values[0]) & 0xFF if found.values.size == 1 else -1
            plan.append((plane.form, plane.low, found.patched, fill, found.bits))
            tables.append(found.table)
        return np.array(plan, np.int64), tuple(tables)


class FloatHuffman(FloatCodec):
    """Code floats without loss, exponents in pairs by canonical Huffman: for speed.

    ZipNN's byte planes with two exponents in a codeword. Takes float16 to float64 and bfloat16,
    every bit pattern.

    References
    ----------
    ZipNN: arXiv:2411.05239, 2024. DFloat11: arXiv:2504.11651, 2025.
    """

    codec_id: ClassVar[str] = "slashbench.float-huffman"
    revision: ClassVar[int] = 2
    coder: ClassVar[TableCodec] = Huffman()
    _decode_chunks = staticmethod(float_chunks.decode_prefix)


class FloatRans(FloatCodec):
    """Code floats without loss, exponents in pairs by interleaved rANS: for size.

    As `float-huffman`, but within half a per cent of the exponents' entropy.

    References
    ----------
    ZipNN: arXiv:2411.05239, 2024. DFloat11: arXiv:2504.11651, 2025.
    """

    codec_id: ClassVar[str] = "slashbench.float-rans"
    coder: ClassVar[TableCodec] = Rans()
    _decode_chunks = staticmethod(float_chunks.decode_rans)
