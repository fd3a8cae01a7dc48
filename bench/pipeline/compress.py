"""A quantized checkpoint as the file that `bench compress` writes, and what its bytes are."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from slashbench.arrays import Array
from slashbench.bench.checkpoint import convert, describe, encoder, plain_header, reader
from slashbench.bench.checkpoint.encoder import Coding
from slashbench.bench.checkpoint.sources import Source
from slashbench.bench.pipeline.fresh_decode import Decoded
from slashbench.bench.pipeline.keys import Fields
from slashbench.bench.pipeline.quantized import Prepared
from slashbench.codecs.base import Bound, TensorCodec
from slashbench.contracts import Model
from slashbench.link import Link
from slashbench.record import CompressRecord


def compressed(prepared: Prepared, codec: Link[TensorCodec]) -> bytes:
    """Return the compressed file.

    It is the one that `bench compress` writes of the same float checkpoint, codec and quantiser.
    Raises Unencodable for a tensor the codec refuses.
    """
    file = io.BytesIO()
    convert.compress(file, prepared.source, prepared.coding(codec), copies=prepared.copies)
    return file.getvalue()


def file_fields(prepared: Prepared, model: Model, decoded: Decoded, file_bytes: int) -> Fields:
    """Return what a record says of a file that was decoded again."""
    return {
        "file_bytes": file_bytes,
        "ledger": ledger(prepared, decoded.parts, file_bytes),
        "tensors": prepared.sizes(model, decoded.sizes),
        "decode_peak_rss_bytes": decoded.peak_rss_bytes,
        **_fields(prepared),
    }


@dataclass(frozen=True, slots=True)
class CodedValues:
    """What the codec of a file was given, and the bytes of those tensors as floats."""

    arrays: list[Array]
    native_bytes: int


def coded_values(path: Path, record: CompressRecord) -> CodedValues:
    """Read back what the codec of a file was given, without quantizing anew. Raises CorruptFile."""
    file = reader.opened(path, trusted=True)
    names = [tensor.name for tensor in record.tensors if tensor.coded]
    native = sum(file.header.tensors[name].nbytes for name in names)
    return CodedValues([file.values(name) for name in names], native)


def bound_fields(prepared: Prepared, model: Model, bound: Bound) -> Fields:
    """Return what a record says of a bound, which writes no file."""
    return {
        "bound": True,
        "file_bytes": bound_bytes(prepared, bound),
        "tensors": prepared.sizes(model, {}),
        **_fields(prepared),
    }


def _fields(prepared: Prepared) -> Fields:
    return {
        "zeros": prepared.zeros(),
        "weights_sha256": prepared.weights_sha256,
        "calibration_sha256": prepared.calibration_sha256,
        "kept": prepared.kept,
    }


def ledger(
    prepared: Prepared, parts: Mapping[str, Mapping[str, int]], file_bytes: int
) -> dict[str, int]:
    """Return where the bytes of a file go; they sum to its size.

    Tensors that the quantiser leaves as they are count as floats or buffers, coded or not.
    parts: of each tensor, as `describe.parts` has them.
    """
    header = prepared.source.header

    def as_counted(name: str, found: Mapping[str, int]) -> Mapping[str, int]:
        if name in prepared.coded:
            return found
        source = prepared.source
        floats = plain_header.is_float(header.tensors[name].dtype) and name not in source.buffers
        return {"floats" if floats else "buffers": sum(found.values())}

    return describe.total((as_counted(name, found) for name, found in parts.items()), file_bytes)


def bound_bytes(prepared: Prepared, bound: Bound) -> float:
    """Return the bytes of a file that no coder of these tensors can go below, by that bound.

    Floats that the quantiser leaves as they are take what they take in a file; there are no
    headers, no tables and no buffers.
    """
    bits = sum(
        bound.bits(tensor.values)
        for name, tensor in prepared.coded.items()
        if name not in prepared.copies
    )
    source = prepared.source
    kinds = {
        name: (tensor.dtype, tensor.shape)
        for name, tensor in source.header.tensors.items()
        if tensor.dtype in plain_header.FLOATS
        and not any(name in some for some in (prepared.coded, prepared.copies, source.buffers))
    }
    rest = Source(plain_header.compose(kinds, {}), source.read)
    pieces = encoder.pieces(rest, Coding.of(None, None), {}, {})
    return bits / 8 + sum(segment.size for piece in pieces for segment in piece.segments)
