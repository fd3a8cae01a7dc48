"""Checkpoints of format 1, which slashbench 0.1 wrote: read, no longer written.

A coded tensor is a U8 tensor holding one stream; steps or levels that are more than one number, a
tensor whose name has "grid:" before it; what is not coded is stored in its own dtype. The metadata
lists them, with a CRC-32 over dtype, shape and bytes of each stored one.
"""

from __future__ import annotations

import json
import math
import zlib
from typing import Any, Literal

import msgspec
import numpy as np

from slashbench.arrays import Bytes
from slashbench.bench.checkpoint import plain_header
from slashbench.bench.checkpoint.file_format import (
    STORED,
    Blob,
    Codec,
    Index,
    Segment,
)
from slashbench.bench.checkpoint.plain_header import Header, Tensor
from slashbench.codecs.stream import frame
from slashbench.errors import CorruptFile
from slashbench.grid import ChannelScales, Codebook, Grid, TensorScale

GRID_PREFIX = "grid:"


class _Contents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: int
    codec: str
    settings: dict[str, Any]
    steps: dict[str, float | None]  # one step of a coded tensor; None: floats, or in `grids`
    grids: dict[str, Literal["steps", "levels"]] = {}
    checksums: dict[str, int]  # of each tensor stored as it is
    aliases: dict[str, str] = {}


def index(data: Bytes, outer: Header, start: int, text: bytes) -> Index:
    """Return the index of a file of version 1. Raises CorruptFile or CorruptStream."""
    try:
        contents = msgspec.json.decode(text, type=_Contents)
    except (msgspec.DecodeError, RecursionError) as error:
        raise CorruptFile(f"the file's contents are damaged: {error}") from error
    if outer.tensors.keys() != contents.steps.keys() | contents.checksums.keys():
        raise CorruptFile("its tensors are not those that its contents list")
    grids = {name: GRID_PREFIX + name for name in contents.grids}
    if not grids.keys() <= contents.steps.keys() or not contents.steps.keys().isdisjoint(
        grids.values()
    ):
        raise CorruptFile("a grid of no tensor")
    blobs: dict[str, Blob] = {}
    kinds: dict[str, tuple[str, tuple[int, ...]]] = {}
    for name, tensor in outer.tensors.items():
        begin, end = start + tensor.begin, start + tensor.end
        if name in contents.steps:
            stream = frame.unpack(data[begin:end])
            grid = _grid(name, data, outer, start, contents)
            dtype = plain_header.NAMES[stream.dtype.newbyteorder("<")] if grid is None else "F32"
            kinds[name] = dtype, stream.shape
            unit = math.prod(stream.shape) * (stream.dtype.itemsize if grid is None else 1)
            blobs[name] = Blob(max(1, unit), [Segment(0, begin, end)][:unit], grid)
        elif name not in grids.values():
            kinds[name] = tensor.dtype, tensor.shape
            stored = Segment(STORED, begin, end, contents.checksums[name], _seed(name, tensor))
            blobs[name] = Blob(max(1, tensor.nbytes), [stored][: tensor.nbytes])
    for alias, name in contents.aliases.items():
        if name not in kinds or alias in outer.tensors:
            raise CorruptFile(f"the tied name {alias!r} leads nowhere")
    ties = {alias: kinds[name] for alias, name in contents.aliases.items()}
    sizes = {name: outer.tensors[name].nbytes for name in blobs}
    for name in grids:
        sizes[name] += outer.tensors[grids[name]].nbytes
    return Index(
        version=1,
        header=plain_header.compose({**kinds, **ties}, {}),
        codecs=[Codec(contents.codec, contents.settings)],
        tied=contents.aliases,
        copies={},
        sizes=sizes,
        blob=blobs.__getitem__,
    )


def _grid(name: str, data: Bytes, outer: Header, start: int, contents: _Contents) -> Grid | None:
    step = contents.steps[name]
    if name not in contents.grids:
        return None if step is None else TensorScale(step)
    side = outer.tensors.get(GRID_PREFIX + name)
    if side is None or side.dtype not in ("F16", "F32"):
        raise CorruptFile(f"{name!r} has no grid")
    raw = data[start + side.begin : start + side.end].tobytes()
    checksum = contents.checksums.get(GRID_PREFIX + name)
    if zlib.crc32(raw, _seed(name, side)) != checksum:
        raise CorruptFile(f"{GRID_PREFIX + name}: checksum mismatch, the file is damaged")
    array = np.frombuffer(raw, plain_header.numpy_dtype(side)).reshape(side.shape)
    return ChannelScales(array) if contents.grids[name] == "steps" else Codebook(array)


def _seed(name: str, tensor: Tensor) -> int:
    """Return what the checksum of a stored tensor begins with: its dtype and shape."""
    dtype = plain_header.DTYPES[tensor.dtype].numpy
    if dtype is None:
        raise CorruptFile(f"{name!r} is of a type that format 1 does not have")
    return zlib.crc32(json.dumps([dtype.str, list(tensor.shape)]).encode())
