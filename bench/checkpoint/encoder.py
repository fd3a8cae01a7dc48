"""Which codec a tensor is coded with, and its bytes in segments, each coded for itself.

A segment is some rows: it bounds the memory that a large tensor takes, lets cores share it, and
lets a slice be read alone. What a codec does not make smaller is stored as it is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from isal.isal_zlib import crc32

from slashbench import parallel
from slashbench.arrays import Array, Bytes
from slashbench.bench.checkpoint import file_format, plain_header
from slashbench.bench.checkpoint.base import Base
from slashbench.bench.checkpoint.file_format import BaseTensor
from slashbench.bench.checkpoint.plain_header import Tensor
from slashbench.bench.checkpoint.sources import Source
from slashbench.bench.checkpoint.writer import CodedSegment, Piece
from slashbench.codecs.base import Bound, DeltaCodec, TensorCodec
from slashbench.codecs.catalog import CODECS, DELTAS
from slashbench.codecs.palette import Palette
from slashbench.codecs.stream import frame
from slashbench.contracts import Quantiser, Quantized, RowBlocks
from slashbench.errors import UsageError
from slashbench.grid import ChannelScales, Codebook, Grid, TensorScale
from slashbench.link import Link
from slashbench.weight_rule import why_kept

Job = Callable[[], Piece]

SEGMENT = 512 << 10  # bytes, about: tables follow how weights change from rows to rows
QUANTIZED_SEGMENT = 8 << 20  # bytes of int32, of which little is left: tables weigh more
SMALL = 4096  # bytes of a tensor that is stored as it is: decoding it takes longer than reading it
SMALL_DELTA = 256  # the same, where there is a base: what is left is little

REVISION = 3  # of the bytes written for the same tensors, codec and quantiser

_TOGETHER = 4  # segments that a core takes at a time
_BLOCK = 1 << 20  # values looked at together

FLOATS, INTEGERS, QUANTIZED = "float-rans", "huffman", "rans-classes"  # unless the user names one
PALETTE, FIELDS = "palette", "fields"  # where a tensor looks like it, unless one is named
DELTA = "delta"

_HARDLY = 0.98  # of the plain bytes: symbols so wide are looked at as bytes

# What no codec takes, as something of the same bytes that one does: 64-bit numbers as floats, whose
# bytes are coded plane by plane.
_SEEN_AS = {"I64": "<f8", "U64": "<f8", "C64": "<f4"}


#: The tensor of that name in blocks of rows, or None for one that no quantiser changes.
Quantize = Callable[[str, Array], RowBlocks | None]


@dataclass(frozen=True, slots=True)
class Coding:
    """How tensors are coded: by a codec for each domain, after a quantiser if there is one.

    base: what a delta is taken of, by the last of the codecs.
    """

    codecs: list[Link[TensorCodec]]
    quantize: Quantize | None = None
    quantized_by: file_format.QuantizedBy | None = None  # what a file says of the quantiser
    base: Base | None = None

    @classmethod
    def of(cls, codec: Link[TensorCodec] | None, quantiser: Link[Quantiser] | None) -> Coding:
        """Return the coding with that codec where it applies, and with the usual ones elsewhere.

        Raises UsageError for a quantiser that needs more than weights, for a codec that can't code
        what a quantiser makes, and for a bound.
        """
        if quantiser is None or quantiser.item.domain == "floats":
            return cls(_lossless(codec))
        if looks_at_data(quantiser.item):
            raise UsageError(
                f"{quantiser.name} looks at a model and its training data; use it in a recipe "
                "of `bench run`, or take one that needs weights only, such as quantize:unit=std"
            )
        if codec is not None and "integers" not in codec.item.domains:
            raise UsageError(f"{codec.name} takes no integers, so not what {quantiser.name} makes")
        return cls(
            _codecs(codec, [QUANTIZED, FLOATS, INTEGERS]),
            quantiser.item.in_blocks,
            _said(quantiser),
        )

    @classmethod
    def of_quantized(
        cls,
        codec: Link[TensorCodec] | None,
        quantiser: Link[Quantiser],
        quantized: Mapping[str, Quantized],
    ) -> Coding:
        """Return the coding of a checkpoint whose tensors that quantiser made already.

        The file is the one that `of` leads to. Tensors that are not in `quantized` stay as they
        are. Raises UsageError for a bound.
        """
        if quantiser.item.domain == "floats":
            return cls(_lossless(codec))

        def made(name: str, _weight: Array) -> RowBlocks | None:
            found = quantized.get(name)
            if found is None or found.grid is None:
                return None
            return RowBlocks(found.values, found.grid)

        return cls(_codecs(codec, [QUANTIZED, FLOATS, INTEGERS]), made, _said(quantiser))

    @classmethod
    def of_delta(cls, codec: Link[Any] | None, base: Base) -> Coding:
        """Return the lossless coding of what differs from a base.

        codec: one that takes a base; or any other, for what is left of the difference and for
        tensors that have no counterpart. Raises UsageError for a bound.
        """
        delta = codec
        if codec is None or not isinstance(codec.item, DeltaCodec):
            made = DELTAS.get(DELTA)(coder="" if codec is None else codec.name)
            delta = Link(DELTA, made, DELTA, {})
        else:
            codec = None
        assert delta is not None
        return cls([*_codecs(codec, [FLOATS, INTEGERS]), delta], base=base)

    def settings(self) -> list[file_format.Codec]:
        """Return the codecs as a file lists them."""
        return [
            file_format.Codec(
                link.name, {k: v for k, v in link.item.get_config().items() if k != "id"}
            )
            for link in self.codecs
        ]

    def place(self, domain: str) -> int:
        """Return the place of the first codec that takes this domain."""
        return next(i for i, link in enumerate(self.codecs) if domain in link.item.domains)

    def place_of(self, name: str) -> int | None:
        """Return the place of the codec of that name, or None if it is not among them."""
        return next((i for i, link in enumerate(self.codecs) if link.name == name), None)


def looks_at_data(quantiser: Quantiser) -> bool:
    """Return whether a quantiser needs a model and its data beside the weights."""
    return type(quantiser).quantize_all is not Quantiser.quantize_all


def _said(quantiser: Link[Quantiser]) -> file_format.QuantizedBy | None:
    return file_format.QuantizedBy(**quantiser.config) if quantiser.config else None


def _lossless(codec: Link[TensorCodec] | None) -> list[Link[TensorCodec]]:
    """Return the codecs of tensors that are not quantized; a palette and fields are a choice."""
    usual = [FLOATS, INTEGERS, PALETTE, FIELDS] if codec is None else [FLOATS, INTEGERS]
    return _codecs(codec, usual)


def _codecs(codec: Link[TensorCodec] | None, usual: list[str]) -> list[Link[TensorCodec]]:
    if codec is not None and isinstance(codec.item, Bound):
        raise UsageError(f"{codec.name} is a bound, which nothing can be coded with")
    found = [Link(name, CODECS.get(name)(), name, {}) for name in usual]
    return found if codec is None else [codec, *found]


def pieces(
    source: Source, coding: Coding, copies: Mapping[str, str], kept: dict[str, str]
) -> Iterator[Piece]:
    """Return what a file is made of, in order, coded on all cores.

    kept: filled with the tensors that can't be quantized, and why; they stay as they are. Raises
    Unencodable for a tensor that the codec or the quantiser refuses.
    """

    def jobs() -> Iterator[Job]:
        for name, tensor in source.header.tensors.items():
            if name in source.tied or name in copies:
                continue
            floats = tensor.dtype in plain_header.FLOATS and name not in source.buffers
            if coding.quantize is not None and floats:
                yield from _quantized(source, name, coding, kept)
            elif (on := _counterpart(source, name, coding)) is not None:
                yield from _delta(source, name, coding, on)
            else:
                yield from _by_segment(source, name, coding)

    for _, piece in parallel.in_order(lambda job: job(), jobs(), _TOGETHER):
        yield piece
        if piece.last:
            source.release(piece.name)


def _by_segment(source: Source, name: str, coding: Coding) -> Iterator[Job]:
    seen = _seen(source.read(name), source.header.tensors[name])
    parts = cut(seen, SEGMENT // seen.itemsize)
    unit = parts[0].nbytes if parts else 1
    small = source.header.tensors[name].nbytes < SMALL

    def job(part: Array, last: bool) -> Piece:
        segment = _stored(part) if small else _shorter(part, coding)
        return Piece(name, unit, [segment], last=last)

    for i, part in enumerate(parts):
        yield functools.partial(job, part, i == len(parts) - 1)
    if not parts:
        yield lambda: Piece(name, unit, [])


def _counterpart(source: Source, name: str, coding: Coding) -> BaseTensor | None:
    """Return the tensor of the base that one is a difference from, if there is one."""
    tensor = source.header.tensors[name]
    if coding.base is None or tensor.nbytes < SMALL_DELTA:
        return None
    other = coding.base.counterpart(name, tensor)
    return None if other is None else BaseTensor(other, coding.base.hash_of(other))


def _delta(source: Source, name: str, coding: Coding, on: BaseTensor) -> Iterator[Job]:
    """Take the difference from the base, segment by segment."""
    assert coding.base is not None
    tensor = source.header.tensors[name]
    count = SEGMENT // _seen(source.read(name), tensor).itemsize
    parts = cut(_seen(source.read(name), tensor), count)
    olds = cut(_seen(coding.base.read(on.name), tensor), count)

    def job(part: Array, old: Array, last: bool) -> Piece:
        return Piece(name, parts[0].nbytes, [_difference(part, old, coding)], last=last, base=on)

    for i, (part, old) in enumerate(zip(parts, olds, strict=True)):
        yield functools.partial(job, part, old, i == len(parts) - 1)
    coding.base.release(on.name)


def _difference(part: Array, old: Array, coding: Coding) -> CodedSegment:
    """Encode what differs from the base, or store the run if that takes no more."""
    raw, base = (each.reshape(-1).view(np.uint8) for each in (part, old))
    if np.array_equal(raw, base):
        return CodedSegment(file_format.SAME, [], crc32(raw))
    codec = coding.codecs[-1].item
    assert isinstance(codec, DeltaCodec)
    coded = codec.given(old).pieces(np.require(part, requirements="A"))
    segment = CodedSegment(len(coding.codecs) - 1, coded)
    return segment if segment.size < part.nbytes else _stored(part)


def quantized(
    quantize: Quantize, name: str, raw: Bytes, tensor: Tensor, kept: dict[str, str]
) -> RowBlocks | None:
    """Find the grid of one tensor. None: it stays as it is, in `kept` with a reason if need be.

    raw: the tensor's bytes. Raises Unencodable, as the quantiser does.
    """
    weight = _seen(raw, tensor).reshape(tensor.shape)
    if reason := why_kept(weight):
        kept[name] = reason
        return None
    with np.errstate(over="ignore"):
        blocks = quantize(name, weight.astype(np.float32) if weight.itemsize > 4 else weight)
    if blocks is not None and not _is_finite(blocks.grid):
        kept[name] = "its scale would be outside the range of float32"
        return None
    return blocks


def _is_finite(grid: Grid) -> bool:
    match grid:
        case ChannelScales(rows, columns) if columns is not None:
            return bool(np.isfinite(rows).all() and np.isfinite(columns).all())
        case TensorScale(numbers) | ChannelScales(numbers) | Codebook(numbers):
            return bool(np.isfinite(numbers).all())


def _quantized(source: Source, name: str, coding: Coding, kept: dict[str, str]) -> Iterator[Job]:
    """Find the grid of one tensor, here; its integers are made and coded on all cores."""
    assert coding.quantize is not None
    tensor = source.header.tensors[name]
    blocks = quantized(coding.quantize, name, source.read(name), tensor, kept)
    if blocks is None:
        yield from _by_segment(source, name, coding)
        return
    source.release(name)
    place = coding.place("integers")
    parts = cut(blocks.weight, QUANTIZED_SEGMENT // 4, isinstance(blocks.grid, ChannelScales))
    unit = parts[0].size if parts else 1

    def job(part: Array, rows: slice, last: bool) -> Piece:
        pieces = coding.codecs[place].item.pieces(blocks.integers(part, rows))
        return Piece(name, unit, [CodedSegment(place, pieces)], blocks.grid, last)

    for i, part in enumerate(parts):
        begin = i * len(parts[0])
        rows = slice(begin, begin + len(part))
        yield functools.partial(job, part, rows, i == len(parts) - 1)
    if not parts:
        yield lambda: Piece(name, unit, [], blocks.grid)
    source.release(name)  # what is still to be coded is little, and read again


def cut(array: Array, count: int, by_row: bool = False) -> list[Array]:
    """Cut an array into blocks of rows, of about `count` values each; the last may be shorter.

    A row that is larger than that is cut as well, unless `by_row`.
    """
    if not array.size:
        return []
    if not array.ndim or (array[0].size > count and not by_row):
        array = array.reshape(-1)
    n = max(1, array.size // count)
    rows = -(-len(array) // n)
    return [array[i : i + rows] for i in range(0, len(array), rows)]


def _shorter(part: Array, coding: Coding) -> CodedSegment:
    """Encode a run, or store it if that takes no more."""
    part = np.require(part, requirements="A")
    domain = frame.domain_of(part.dtype)
    coded = _coded(part, coding.place(domain), coding)
    if part.dtype == np.uint8 and (place := coding.place_of(FIELDS)) is not None:
        coded = min(coded, _coded(part, place, coding), key=lambda one: one.size)
    elif domain == "integers" and coded.size > _HARDLY * part.nbytes and part.itemsize > 1:
        # Integers that are packed in wider ones: their bytes have few values
        as_bytes = part.reshape(-1).view(np.uint8)
        coded = min(coded, _coded(as_bytes, coding.place(domain), coding), key=lambda one: one.size)
    elif domain == "floats" and (place := coding.place_of(PALETTE)) is not None:
        palette = coding.codecs[place].item
        if isinstance(palette, Palette) and palette.suits(part):
            coded = min(coded, _coded(part, place, coding), key=lambda one: one.size)
    return coded if coded.size < part.nbytes else _stored(part)


def _coded(part: Array, place: int, coding: Coding) -> CodedSegment:
    return CodedSegment(place, coding.codecs[place].item.pieces(part))


def _stored(part: Array) -> CodedSegment:
    raw = part.reshape(-1).view(np.uint8)
    return CodedSegment(file_format.STORED, [raw], crc32(raw))


def _seen(raw: Bytes, tensor: Tensor) -> Array:
    """Return a tensor's bytes as an array that a codec takes."""
    dtype = plain_header.DTYPES[tensor.dtype].numpy
    if tensor.dtype in _SEEN_AS:
        return raw.view(_SEEN_AS[tensor.dtype])
    if dtype is None or frame.domain_of(dtype) == "unsupported":
        return raw
    array = raw.view(dtype)
    return array.reshape(tensor.shape) if len(tensor.shape) <= frame.MAX_DIMENSIONS else array
