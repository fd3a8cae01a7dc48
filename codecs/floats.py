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
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from slashbench.codecs import exceptions, frame, streams
from slashbench.codecs.base import ChunkedCodec, TensorCodec
from slashbench.codecs.frame import Coded, Frame, Pieces
from slashbench.codecs.huffman import Huffman
from slashbench.codecs.kernels import planes
from slashbench.codecs.rans import Rans
from slashbench.codecs.tables import Reader
from slashbench.errors import CorruptStream

Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[Any]  # uint16, uint32 or uint64
Integers = npt.NDArray[np.int64]

_RAW, _CODED, _PAIRS, _PATCHED_PAIRS = planes.FORMS
_NOTHING = np.empty(0, np.uint8)

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


class FloatCodec(TensorCodec):
    """Byte planes of floats under an integer codec of ours."""

    domains: ClassVar[frozenset[str]] = frozenset({"floats"})
    coder: ClassVar[type[ChunkedCodec]]

    def _encode(self, flat: npt.NDArray[Any]) -> Coded:
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
        return Coded(b"".join(plane.table() for plane in coded), chunks, chunk)

    def _encode_plane(self, values: Bytes, chunk: int) -> _Plane:
        counts = _sampled(values)
        total = int(counts.sum())
        inside = np.convolve(counts, np.ones(planes.WINDOW, np.int64), "valid")
        low = int(inside.argmax())
        if total - int(inside[low]) <= total * _FEW:
            usual = low + int(counts[low : low + planes.WINDOW].argmax())
            plane = self._encode_pairs(values, chunk, low, usual)
            if plane is not None:
                return plane
        shares = counts[counts > 0] / total
        if -float(shares @ np.log2(shares)) > _WORTH_CODING:
            spans = range(0, values.size, chunk)
            return _Plane(_RAW, 0, b"", [(values[i : i + chunk].data,) for i in spans])
        tables, chunks = self.coder().encode_chunks(values.view(np.int8), chunk)
        return _Plane(_CODED, 0, tables, chunks)

    def _encode_pairs(self, values: Bytes, chunk: int, low: int, usual: int) -> _Plane | None:
        """None if more values lie outside the window than the sample has shown."""
        half = (chunk + 1) // 2
        pairs = np.empty(planes.n_pairs(values.size, chunk), np.uint8)
        beyond = planes.pair(values, chunk, low, usual, pairs)
        if beyond > values.size * 2 * _FEW:
            return None
        tables, chunks = self.coder().encode_chunks(pairs.view(np.int8), half)
        if not beyond:
            return _Plane(_PAIRS, low, tables, chunks)
        positions = np.empty(beyond, np.int64)
        planes.locate(values, low, positions)
        patches = exceptions.by_chunk(positions, values.view(np.int8), chunk)
        return _Plane(_PATCHED_PAIRS, low, tables, exceptions.before(patches, chunks))

    def _decode(self, parts: Frame, first: int, last: int, flat: npt.NDArray[Any]) -> None:
        words = flat.view(f"u{flat.itemsize}")
        chunk = min(parts.chunk, words.size)
        heads = _read_planes(parts.tables, words.itemsize)
        forms = np.array([form for form, _, _ in heads])
        edges = np.empty((len(heads) + 1, last - first), np.int64)
        if not planes.locate_planes(
            parts.data, parts.begins[first:last], parts.ends[first:last],
            forms == _RAW, chunk, words.size, edges,
        ):  # fmt: skip
            raise CorruptStream("the planes of a chunk are longer or shorter than the chunk")
        decoded = tuple(
            self._decode_plane(parts.within(tables, begins, ends, chunk), form, words.size)
            for (form, _, tables), begins, ends in zip(heads, edges[:-1], edges[1:], strict=True)
        )
        lows = np.array([low for _, low, _ in heads])
        if not planes.merge(parts.data, edges, forms, lows, decoded, chunk, words):
            raise CorruptStream("an exception lies beyond its chunk")

    def _decode_plane(self, inner: Frame, form: int, count: int) -> Bytes:
        """What the coder holds of a plane of `count` bytes: nothing, the bytes, or the pairs."""
        if form == _RAW:
            return _NOTHING
        chunk, begins = inner.chunk, inner.begins
        if form == _PATCHED_PAIRS:
            begins = exceptions.skip(inner.data, begins, inner.ends, 1)
        if form != _CODED:
            count = planes.n_pairs(count, chunk)
            chunk = (chunk + 1) // 2
        values = np.empty(count, np.uint8)
        tables = Reader(inner.tables)
        own = inner.within(inner.tables, begins, inner.ends, chunk)
        self.coder().decode_chunks(tables, own, 0, begins.size, values.view(np.int8))
        return values


class FloatHuffman(FloatCodec):
    """Lossless floats, exponents in pairs under canonical Huffman: for speed.

    ZipNN's planes (arXiv:2411.05239) with two exponents a codeword. float16 to float64 and
    bfloat16, every bit pattern.
    """

    codec_id: ClassVar[str] = "slashbench.float-huffman"
    revision: ClassVar[int] = 2
    coder: ClassVar[type[ChunkedCodec]] = Huffman


class FloatRans(FloatCodec):
    """Lossless floats, exponents in pairs under interleaved rANS: for size.

    As `float-huffman`, within half a per cent of the exponents' entropy.
    """

    codec_id: ClassVar[str] = "slashbench.float-rans"
    coder: ClassVar[type[ChunkedCodec]] = Rans


def _read_planes(data: bytes, n_planes: int) -> list[tuple[int, int, bytes]]:
    """(form, low, tables of the coder) of each plane, the highest first."""
    tables = Reader(data)
    heads = []
    for _ in range(n_planes):
        form = tables.byte()
        if form > _PATCHED_PAIRS:
            raise CorruptStream(f"a plane of the unknown form {form}")
        low = tables.byte() if form >= _PAIRS else 0
        size = tables.varint(len(data)) if form != _RAW else 0
        heads.append((form, low, tables.take(size)))
    tables.end()
    return heads


def _sampled(values: Bytes) -> Integers:
    """How often each byte occurs in blocks spread over the values, shape (256,)."""
    blocks, length = _SAMPLE
    if values.size > blocks * length:
        step = values.size // blocks
        values = values[: blocks * step].reshape(blocks, step)[:, :length].reshape(-1)
    tally = streams.tally(values.view(np.int8), values.size)
    counts: Integers = tally.reshape(-1, 256).sum(0, dtype=np.int64)
    return counts
