"""The compressed checkpoint file: a safetensors file whose coded tensors are byte streams.

Each coded tensor is stored under its own name as a U8 tensor holding one codec stream; steps or
levels that are more than one number, as a tensor whose name has "grid:" before it. Tensors left
in their native dtype and integer buffers are stored as they are. The `__metadata__` entry
"slashbench" is a CRC-32 in eight hex digits, then one JSON object (`Contents`). It is the only one,
since safetensors writes several in random order, and the same weights shall give the same file.
Streams and stored tensors have checksums of their own, so that no damage goes unnoticed. Reading
imports no torch and runs no pickle.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from slashbench import selector
from slashbench.codecs.base import TensorCodec
from slashbench.codecs.catalog import CODECS
from slashbench.contracts import Quantised
from slashbench.errors import CorruptFile, CorruptStream, SlashbenchError
from slashbench.grid import Grid, Levels, OneStep, Steps

FORMAT = 1
METADATA_KEY = "slashbench"
GRID_PREFIX = "grid:"  # before the name of a coded tensor: where its steps or levels are stored

Array = npt.NDArray[Any]


class Contents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the file says about itself."""

    format: int
    codec: str  # registry name
    settings: dict[str, Any]  # of the codec; its streams hold all else
    steps: dict[str, float | None]  # one step of a coded tensor; None: floats, or in `grids`
    grids: dict[str, Literal["steps", "levels"]] = {}  # coded tensors whose grid is a stored tensor
    checksums: dict[str, int]  # CRC-32 of each tensor stored as it is
    aliases: dict[str, str] = {}  # tied names -> the name that is stored


@dataclass(frozen=True, slots=True)
class Encoded:
    """A compressed checkpoint in memory and where its bytes go."""

    data: bytes
    ledger: dict[str, int]  # payload, tables, header, scales, ..., container: sums to the file
    stream_bytes: dict[str, int]  # per stored tensor, its grid included


def encode(
    coded: Mapping[str, Quantised],
    stored: Mapping[str, Array],
    aliases: Mapping[str, str],
    codec: TensorCodec,
    codec_name: str,
) -> Encoded:
    """Encode `coded` with `codec`, keep `stored` as they are, and lay out the file.

    Raises Unencodable for a tensor the codec refuses.
    """
    streams = {name: codec.encode(tensor.values) for name, tensor in coded.items()}
    config = {key: value for key, value in codec.get_config().items() if key != "id"}
    grids = {n: t.grid for n, t in coded.items() if isinstance(t.grid, Steps | Levels)}
    side = {GRID_PREFIX + name: _side_array(grid) for name, grid in grids.items()}
    kept = {**stored, **side}
    contents = Contents(
        format=FORMAT,
        codec=codec_name,
        settings=config,
        steps={
            name: tensor.grid.step if isinstance(tensor.grid, OneStep) else None
            for name, tensor in coded.items()
        },
        grids={n: "steps" if isinstance(g, Steps) else "levels" for n, g in grids.items()},
        checksums={name: _crc32(a) for name, a in kept.items()},
        aliases=dict(aliases),
    )
    tensors: dict[str, Array] = {name: np.asarray(a, order="C") for name, a in kept.items()}
    tensors |= {name: np.frombuffer(stream, np.uint8) for name, stream in streams.items()}
    data = safetensors.numpy.save(tensors, metadata=_metadata(contents))
    ledger = {"payload": 0, "tables": 0, "header": 0, "scales": 0, "codebooks": 0}
    ledger |= {"floats": 0, "buffers": 0}
    for stream in streams.values():
        for part, size in codec.ledger(stream).items():
            ledger[part] += size
    for grid in grids.values():
        ledger["scales" if isinstance(grid, Steps) else "codebooks"] += _side_array(grid).nbytes
    for array in stored.values():
        ledger["floats" if array.dtype.kind == "f" else "buffers"] += array.nbytes
    ledger["container"] = len(data) - sum(ledger.values())
    sizes = {name: array.nbytes for name, array in tensors.items() if name not in side}
    for name, array in side.items():
        sizes[name.removeprefix(GRID_PREFIX)] += array.nbytes
    return Encoded(data, ledger, sizes)


def read(path: Path) -> dict[str, Array]:
    """Decode every tensor of a file, tied names included.

    Raises CorruptFile for anything that `encode` did not write.
    """
    try:
        with safetensors.safe_open(path, framework="np") as file:
            contents = _contents(file.metadata())
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except safetensors.SafetensorError as error:
        raise CorruptFile(f"{path} is no safetensors file: {error}") from error
    except OSError as error:
        raise CorruptFile(f"{path} can't be read: {error}") from error
    if stored.keys() != contents.steps.keys() | contents.checksums.keys():
        raise CorruptFile(f"{path}: its tensors are not those that its contents list")
    try:
        return _decode(stored, contents)
    except CorruptStream as error:
        raise CorruptFile(f"{path}: {error}") from error


def weights_sha256(weights: Mapping[str, Array]) -> str:
    """Identity of a set of weights: names, dtypes, shapes and bit patterns."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        array = np.asarray(weights[name], order="C")
        head = json.dumps([name, array.dtype.str, list(array.shape)])
        digest.update(head.encode())
        digest.update(array.data if array.size else b"")
    return digest.hexdigest()


def _side_array(grid: Steps | Levels) -> Array:
    return grid.steps if isinstance(grid, Steps) else grid.levels


def _metadata(contents: Contents) -> dict[str, str]:
    """The safetensors metadata that describes a file."""
    text = msgspec.json.encode(contents)
    return {METADATA_KEY: f"{zlib.crc32(text):08x}{text.decode()}"}


def _crc32(array: Array) -> int:
    """Checksum of dtype, shape and bytes: what the file's header says is protected too."""
    head = json.dumps([array.dtype.str, list(array.shape)]).encode()
    return zlib.crc32(array.tobytes(), zlib.crc32(head))


def _contents(found: Mapping[str, str] | None) -> Contents:
    entry = (found or {}).get(METADATA_KEY)
    if entry is None:
        raise CorruptFile("this safetensors file was not written by slashbench")
    checksum, text = entry[:8], entry[8:]
    if checksum != f"{zlib.crc32(text.encode()):08x}":
        raise CorruptFile("the checksum of the file's contents does not match: it is damaged")
    try:
        version = msgspec.json.decode(text).get("format")
        if version != FORMAT:
            raise CorruptFile(
                f"file format {version}; this slashbench reads {FORMAT}: upgrade slashbench"
            )
        return msgspec.json.decode(text, type=Contents)
    except (msgspec.DecodeError, AttributeError) as error:
        raise CorruptFile(f"the file's contents are damaged: {error}") from error


def _decode(stored: Mapping[str, Array], contents: Contents) -> dict[str, Array]:
    try:
        codec = selector.build(CODECS.get(contents.codec), contents.codec, contents.settings)
    except SlashbenchError as error:
        raise CorruptFile(f"the file's codec can't be used: {error}") from error
    weights: dict[str, Array] = {}
    for name, array in stored.items():
        if name in contents.steps:
            if array.dtype != np.uint8 or array.ndim != 1:
                raise CorruptFile(f"{name} should be a byte stream")
            values = codec.decode(array.tobytes())
            weights[name] = _rebuild(name, values, stored, contents)
        elif _crc32(array) != contents.checksums[name]:
            raise CorruptFile(f"{name}: checksum mismatch, the file is damaged")
        elif not (name.startswith(GRID_PREFIX) and name[len(GRID_PREFIX) :] in contents.grids):
            weights[name] = array
    for alias, name in contents.aliases.items():
        if name not in weights or alias in stored:
            raise CorruptFile(f"the tied name {alias} leads nowhere")
        weights[alias] = weights[name]
    return weights


def _rebuild(name: str, values: Array, stored: Mapping[str, Array], contents: Contents) -> Array:
    """The weights of a coded tensor. Raises CorruptFile where the grid does not fit its values."""
    grid: Grid | None = None
    try:
        if name in contents.grids:
            side = stored[GRID_PREFIX + name]
            grid = Steps(side) if contents.grids[name] == "steps" else Levels(side)
        elif (step := contents.steps[name]) is not None:
            grid = OneStep(step)
        return Quantised(values, grid).dequantise()
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise CorruptFile(f"{name}: its grid does not fit its values: {error}") from error
