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
import numpy.typing as npt
from isal.isal_zlib import crc32

from slashbench import parallel
from slashbench.bench.checkpoint import file_format, plain_header
from slashbench.bench.checkpoint.plain_header import Tensor
from slashbench.bench.checkpoint.sources import Source
from slashbench.bench.checkpoint.writer import CodedSegment, Piece
from slashbench.codecs.base import Bound, TensorCodec
from slashbench.codecs.catalog import CODECS
from slashbench.codecs.stream import frame
from slashbench.contracts import Quantiser, Quantized, Runs
from slashbench.errors import UsageError
from slashbench.grid import ChannelScales, Codebook, Grid, TensorScale
from slashbench.link import Link
from slashbench.weight_rule import why_kept

Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]

Job = Callable[[], Piece]

SEGMENT = 512 << 10  # bytes, about: tables follow how weights change from rows to rows
QUANTIZED_SEGMENT = 8 << 20  # bytes of int32, of which little is left: tables weigh more
SMALL = 4096  # bytes of a tensor that is stored as it is: decoding it takes longer than reading it

REVISION = 2  # of the bytes written for the same tensors, codec and quantiser

_TOGETHER = 4  # segments that a core takes at a time
_BLOCK = 1 << 20  # values looked at together

FLOATS, INTEGERS, QUANTIZED = "float-rans", "huffman", "rans-classes"  # unless the user names one

# What no codec takes, as something of the same bytes that one does: 64-bit numbers as floats, whose
# bytes are coded plane by plane.
_SEEN_AS = {"I64": "<f8", "U64": "<f8", "C64": "<f4"}


#: The tensor of that name in runs of rows, or None for one that no quantiser changes.
Quantize = Callable[[str, Array], Runs | None]


@dataclass(frozen=True, slots=True)
class Coding:
    """How tensors are coded: by a codec for each domain, after a quantiser if there is one."""

    codecs: list[Link[TensorCodec]]
    quantize: Quantize | None = None
    quantized_by: file_format.QuantizedBy | None = None  # what a file says of the quantiser

    @classmethod
    def of(cls, codec: Link[TensorCodec] | None, quantiser: Link[Quantiser] | None) -> Coding:
        """Return the coding with that codec where it applies, and with the usual ones elsewhere.

        Raises UsageError for a quantiser that needs more than weights, for a codec that can't code
        what a quantiser makes, and for a bound.
        """
        if quantiser is None or quantiser.item.domain == "floats":
            return cls(_codecs(codec, [FLOATS, INTEGERS]))
        if looks_at_data(quantiser.item):
            raise UsageError(
                f"{quantiser.name} looks at a model and its training data; use it in a recipe "
                "of `bench run`, or take one that needs weights only, such as quantize:unit=std"
            )
        if codec is not None and "integers" not in codec.item.domains:
            raise UsageError(f"{codec.name} takes no integers, so not what {quantiser.name} makes")
        return cls(
            _codecs(codec, [QUANTIZED, FLOATS, INTEGERS]), quantiser.item.in_runs, _said(quantiser)
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
            return cls(_codecs(codec, [FLOATS, INTEGERS]))

        def made(name: str, _weight: Array) -> Runs | None:
            found = quantized.get(name)
            if found is None or found.grid is None:
                return None
            return Runs(found.values, found.grid)

        return cls(_codecs(codec, [QUANTIZED, FLOATS, INTEGERS]), made, _said(quantiser))

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


def looks_at_data(quantiser: Quantiser) -> bool:
    """Return whether a quantiser needs a model and its data beside the weights."""
    return type(quantiser).quantize_all is not Quantiser.quantize_all


def _said(quantiser: Link[Quantiser]) -> file_format.QuantizedBy | None:
    return file_format.QuantizedBy(**quantiser.config) if quantiser.config else None


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


def quantized(
    quantize: Quantize, name: str, raw: Bytes, tensor: Tensor, kept: dict[str, str]
) -> Runs | None:
    """Find the grid of one tensor. None: it stays as it is, in `kept` with a reason if need be.

    raw: the tensor's bytes. Raises Unencodable, as the quantiser does.
    """
    weight = _seen(raw, tensor).reshape(tensor.shape)
    if reason := why_kept(weight):
        kept[name] = reason
        return None
    with np.errstate(over="ignore"):
        runs = quantize(name, weight.astype(np.float32) if weight.itemsize > 4 else weight)
    if runs is not None and not _is_finite(runs.grid):
        kept[name] = "its scale would be outside the range of float32"
        return None
    return runs


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
    runs = quantized(coding.quantize, name, source.read(name), tensor, kept)
    if runs is None:
        yield from _by_segment(source, name, coding)
        return
    source.release(name)
    place = coding.place("integers")
    parts = cut(runs.weight, QUANTIZED_SEGMENT // 4, isinstance(runs.grid, ChannelScales))
    unit = parts[0].size if parts else 1

    def job(part: Array, rows: slice, last: bool) -> Piece:
        pieces = coding.codecs[place].item.pieces(runs.integers(part, rows))
        return Piece(name, unit, [CodedSegment(place, pieces)], runs.grid, last)

    for i, part in enumerate(parts):
        begin = i * len(parts[0])
        rows = slice(begin, begin + len(part))
        yield functools.partial(job, part, rows, i == len(parts) - 1)
    if not parts:
        yield lambda: Piece(name, unit, [], runs.grid)
    source.release(name)  # what is still to be coded is little, and read again


def cut(array: Array, count: int, by_row: bool = False) -> list[Array]:
    """Cut an array into runs of rows, of about `count` values each; the last may be shorter.

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
    place = coding.place(frame.domain_of(part.dtype))
    coded = CodedSegment(
        place, coding.codecs[place].item.pieces(np.require(part, requirements="A"))
    )
    return coded if coded.size < part.nbytes else _stored(part)


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
