"""Floats that hold fewer bits than their type: a list of the patterns that occur, and places in it.

Weights that were integers once (dequantized int8 or int4) take few values, which have nothing in
common that planes of bytes would show. Where each group of them has a scale of its own, the scales
are found and the values are integers again.

    tables  u8 form: 0, and tables and chunks of `float-rans` follow; 2, and what group_scales.py
            says follows; 1:
            varint number of patterns, 1 to 4096; the patterns, as wide as values are, ascending
            tables of `rans` without the width: of places in the list, of a byte if there are at
            most 256, else of two
    chunk   of `rans`
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from slashbench.arrays import Array
from slashbench.codecs import group_scales
from slashbench.codecs.base import TensorCodec
from slashbench.codecs.floats import FloatRans
from slashbench.codecs.kernels import distinct
from slashbench.codecs.rans import Rans
from slashbench.codecs.stream import frame
from slashbench.codecs.stream.frame import CodedArray, Frame
from slashbench.codecs.stream.table_bytes import Reader
from slashbench.errors import CorruptStream

MOST = 4096  # patterns

_PLANES, _LISTED, _GROUPS = range(3)  # forms
_EACH = 64  # values to a pattern, at least: else the list weighs too much
_GLANCE, _FEW = 8192, 1024  # values looked at, and how many may differ where a list may pay
_SURELY = 0.5  # of the plain bytes: planes take more


class Palette(TensorCodec):
    """Code floats by places in a list of those that occur, or by integers and scales of groups.

    For float tensors that hold dequantized integers, with a scale (and an offset) for the tensor,
    for each row or for each group of some values, or a codebook. Others are coded as `float-rans`
    does. Takes float16 to float64 and bfloat16, every bit pattern.

    References
    ----------
    z4ai, whose palette is the same idea.
    """

    codec_id: ClassVar[str] = "slashbench.palette"
    domains: ClassVar[frozenset[str]] = frozenset({"floats"})
    revision: ClassVar[int] = 2

    def __init__(self) -> None:
        self._planes, self._rans = FloatRans(), Rans()

    @staticmethod
    def suits(array: Array) -> bool:
        """Return whether a glance at a tensor shows few values, or groups that may have a scale."""
        flat = array.reshape(-1)
        glance = flat[:: max(1, flat.size // _GLANCE)].view(f"u{flat.itemsize}")
        few = np.unique(glance).size <= min(_FEW, flat.size // 8)
        return few or group_scales.seem_likely(flat)

    def _encode_shaped(self, array: Array) -> CodedArray:
        flat = array.reshape(-1)
        found = [self._listed(flat), self._in_groups(array)]
        made = [coded for coded in found if coded is not None]
        if not made or min(map(_length, made)) > _SURELY * array.nbytes:
            made.append(self._in_planes(flat))
        return min(made, key=_length)

    def _encode(self, flat: Array) -> CodedArray:
        return self._encode_shaped(flat)

    @staticmethod
    def _in_groups(array: Array) -> CodedArray | None:
        coded = group_scales.encode(array)
        if coded is None:
            return None
        return CodedArray(bytes([_GROUPS]) + coded.tables, coded.chunks, coded.chunk)

    def _listed(self, flat: Array) -> CodedArray | None:
        """Code a flat array by its list; None if too many values occur."""
        words = flat.view(f"u{flat.itemsize}")
        patterns = np.empty(min(MOST, max(1, words.size // _EACH)), np.uint64)
        places = np.empty(words.size, np.uint16)
        n_patterns = distinct.find(words, patterns, places)
        if n_patterns < 0:
            return None
        order = np.argsort(patterns[:n_patterns])
        ranks = np.empty(n_patterns, np.uint16)
        ranks[order] = np.arange(n_patterns)
        kind = np.uint8 if n_patterns <= 256 else np.uint16
        symbols = ranks.astype(kind)[places].view(f"i{np.dtype(kind).itemsize}")
        chunk = frame.chunk_for(words.size)
        tables, chunks = self._rans.encode_chunks(symbols, chunk)
        listed = patterns[order].astype(f"<u{flat.itemsize}").tobytes()
        head = bytes([_LISTED]) + frame.varint(n_patterns) + listed
        return CodedArray(head + tables, chunks, chunk)

    def _in_planes(self, flat: Array) -> CodedArray:
        coded = self._planes._encode(flat)
        return CodedArray(bytes([_PLANES]) + coded.tables, coded.chunks, coded.chunk)

    def _decode(self, parts: Frame, first: int, last: int, flat: Array) -> None:
        reader = Reader(parts.tables)
        form = reader.byte()
        if form == _PLANES:
            inner = parts.within(parts.tables[1:], parts.begins, parts.ends)
            self._planes._decode(inner, first, last, flat)
            return
        if form == _GROUPS:
            group_scales.decode(reader, parts, first, last, flat)
            return
        if form != _LISTED:
            raise CorruptStream(f"a list of values of the unknown form {form}")
        n_patterns = reader.varint(MOST)
        if not n_patterns:
            raise CorruptStream("an empty list of values")
        words = flat.view(f"u{flat.itemsize}")
        patterns = reader.array(np.dtype(f"<u{flat.itemsize}"), n_patterns).astype(words.dtype)
        symbols = np.empty(words.size, np.int8 if n_patterns <= 256 else np.int16)
        self._rans.decode_chunks(reader, parts, first, last, symbols)
        places = symbols.view(f"u{symbols.itemsize}")
        if int(places.max()) >= n_patterns:
            raise CorruptStream("a value that is not in the list")
        np.take(patterns, places, out=words)


def _length(coded: CodedArray) -> int:
    return len(coded.tables) + sum(len(piece) for chunk in coded.chunks for piece in chunk)
