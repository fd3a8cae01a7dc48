"""A quantized checkpoint as a compressed file in memory, and a compressed file as NumPy arrays.

What a run of the matrix writes and reads; the format is that of `slashbench.bench.compressed`.
Reading imports no torch and runs no pickle.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from isal.isal_zlib import crc32

from slashbench.bench.checkpoint import (
    describe,
    file_format,
    plain_header,
    reader,
    writer,
)
from slashbench.bench.checkpoint.reader import Checkpoint
from slashbench.bench.checkpoint.writer import Coded, Piece
from slashbench.codecs.base import TensorCodec
from slashbench.contracts import Quantized

FORMAT = file_format.FORMAT

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A compressed checkpoint in memory and where its bytes go."""

    data: bytes
    ledger: dict[str, int]  # payload, tables, header, scales, ..., container: sums to the file
    stream_bytes: dict[str, int]  # per stored tensor, its grid included


def encode(
    coded: Mapping[str, Quantized],
    stored: Mapping[str, Array],
    aliases: Mapping[str, str],
    codec: TensorCodec,
    codec_name: str,
) -> Encoded:
    """Encode `coded` with `codec`, keep `stored` as they are, and lay out the file.

    Each tensor is one stream, whatever its size. Raises Unencodable for a tensor the codec refuses.
    """
    pieces = {name: _coded(name, tensor, codec) for name, tensor in coded.items()}
    pieces |= {name: _stored(name, array) for name, array in stored.items()}
    kinds = {
        name: (_dtype(t.values) if t.grid is None else "F32", t.values.shape)
        for name, t in coded.items()
    }
    kinds |= {name: (_dtype(array), array.shape) for name, array in stored.items()}
    kinds |= {alias: kinds[name] for alias, name in aliases.items()}
    header = plain_header.compose(kinds, {})
    config = {key: value for key, value in codec.get_config().items() if key != "id"}
    file = io.BytesIO()
    writer.write(
        file,
        header,
        [file_format.Codec(codec_name, config)],
        [pieces[name] for name in header.tensors if name not in aliases],
        tied=aliases,
    )
    data = file.getvalue()
    made = Checkpoint(np.frombuffer(data, np.uint8), max_bytes=header.nbytes, trusted=True)
    return Encoded(data, describe.ledger(made), dict(made.index.sizes))


def read(path: Path) -> dict[str, Array]:
    """Decode every tensor of a file of our own making, tied names included.

    Raises CorruptFile for anything that slashbench did not write.
    """
    checkpoint = reader.opened(path, trusted=True)
    weights = {}
    for name, raw in checkpoint.all().items():
        tensor = checkpoint.header.tensors[name]
        weights[name] = raw.view(plain_header.numpy_dtype(tensor)).reshape(tensor.shape)
    return weights | {alias: weights[name] for alias, name in checkpoint.index.tied.items()}


def weights_sha256(weights: Mapping[str, Array]) -> str:
    """Identity of a set of weights: names, dtypes, shapes and bit patterns."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        array = np.asarray(weights[name], order="C")
        head = json.dumps([name, array.dtype.str, list(array.shape)])
        digest.update(head.encode())
        digest.update(array.reshape(-1).view(np.uint8).data if array.size else b"")
    return digest.hexdigest()


def _coded(name: str, tensor: Quantized, codec: TensorCodec) -> Piece:
    values = tensor.values
    segments = [Coded(0, codec.pieces(values))] if values.size else []
    unit = values.nbytes if tensor.grid is None else values.size
    return Piece(name, max(1, unit), segments, tensor.grid)


def _stored(name: str, array: Array) -> Piece:
    raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    segments = [Coded(file_format.STORED, [raw], crc32(raw))] if raw.size else []
    return Piece(name, max(1, raw.size), segments)


def _dtype(array: Array) -> str:
    return plain_header.NAMES[array.dtype.newbyteorder("<")]
