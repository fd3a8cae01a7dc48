"""Describe a compressed checkpoint: each tensor, and where the bytes of the file go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from slashbench import renamed, selector
from slashbench.bench.checkpoint import plain_header
from slashbench.bench.checkpoint.file_format import SAME, STORED, BaseFile
from slashbench.bench.checkpoint.reader import Checkpoint
from slashbench.bench.checkpoint.sources import Source
from slashbench.codecs.catalog import CODECS, DELTAS
from slashbench.grid import ChannelScales, Codebook, TensorScale


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    plain_bytes: int  # in a plain safetensors file
    file_bytes: int  # here; 0 for a tied one and for a copy
    how: str  # the codec's spelling, "stored", "tied to ..." or "copy of ..."
    step: str  # what the integers are multiples of; empty for a lossless one

    @property
    def count(self) -> int:
        """Return the number of values."""
        return 8 * self.plain_bytes // plain_header.DTYPES[self.dtype].bits


@dataclass(frozen=True, slots=True)
class Description:
    """One file."""

    name: str
    format: int  # of our files; 0 for a file that is not compressed
    file_bytes: int
    plain_bytes: int
    parameters: int  # floats, each tied one once
    metadata: dict[str, str]
    ledger: dict[str, int]
    tensors: list[TensorEntry]
    base: BaseFile | None = None  # of a delta


def describe(name: str, checkpoint: Checkpoint) -> Description:
    """Return what is in a file. Raises CorruptFile."""
    found = entries(checkpoint)
    return Description(
        name=name,
        format=checkpoint.index.version,
        file_bytes=checkpoint.data.size,
        plain_bytes=len(checkpoint.header.front) + checkpoint.header.nbytes,
        parameters=sum(
            entry.count
            for entry in found
            if plain_header.is_float(entry.dtype) and entry.name not in checkpoint.index.tied
        ),
        metadata=checkpoint.header.metadata,
        ledger=ledger(checkpoint),
        tensors=found,
        base=checkpoint.index.base,
    )


def describe_plain(name: str, source: Source, file_bytes: int) -> Description:
    """Return what is in a file that is not compressed, whatever its format."""
    tensors = [
        TensorEntry(
            name=key,
            dtype=tensor.dtype,
            shape=tensor.shape,
            plain_bytes=tensor.nbytes,
            file_bytes=0 if key in source.tied else tensor.nbytes,
            how=f"tied to {source.tied[key]}" if key in source.tied else "not compressed",
            step="",
        )
        for key, tensor in source.header.tensors.items()
    ]
    held = sum(entry.file_bytes for entry in tensors)
    return Description(
        name=name,
        format=0,
        file_bytes=file_bytes,
        plain_bytes=len(source.header.front) + source.header.nbytes,
        parameters=sum(
            entry.count
            for entry in tensors
            if plain_header.is_float(entry.dtype) and entry.name not in source.tied
        ),
        metadata=source.header.metadata,
        ledger={"tensors": held, "container": file_bytes - held},
        tensors=tensors,
    )


def entries(checkpoint: Checkpoint) -> list[TensorEntry]:
    """Return every tensor, in the order of the plain file. Raises CorruptFile."""
    return [
        TensorEntry(
            name=name,
            dtype=tensor.dtype,
            shape=tensor.shape,
            plain_bytes=tensor.nbytes,
            file_bytes=checkpoint.index.sizes.get(name, 0),
            how=_how(checkpoint, name),
            step=_step(checkpoint, name),
        )
        for name, tensor in checkpoint.header.tensors.items()
    ]


def ledger(checkpoint: Checkpoint) -> dict[str, int]:
    """Return where the bytes of the file go; they sum to its size. Raises CorruptFile.

    header, tables and payload of streams; scales and codebooks; floats and buffers stored as they
    are; and the container: names, shapes and all that tells a reader where things are.
    """
    return total((parts(checkpoint, name) for name in checkpoint.index.sizes), checkpoint.data.size)


def total(tensors: Iterable[Mapping[str, int]], file_bytes: int) -> dict[str, int]:
    """Return the ledger of a file whose tensors have these parts."""
    found = dict.fromkeys(
        ("payload", "tables", "header", "scales", "codebooks", "floats", "buffers"), 0
    )
    for each in tensors:
        for part, size in each.items():
            found[part] += size
    found["container"] = file_bytes - sum(found.values())
    return found


def parts(checkpoint: Checkpoint, name: str) -> dict[str, int]:
    """Return where the bytes of one tensor go, but for its share of the container.

    Raises CorruptFile.
    """
    found: Counter[str] = Counter()
    blob = checkpoint.blob(name)
    for segment in blob.segments:
        if segment.codec == SAME:
            continue
        if segment.codec == STORED:
            floats = checkpoint.header.tensors[name].dtype in plain_header.FLOATS
            found["floats" if floats else "buffers"] += segment.end - segment.begin
            continue
        stream = checkpoint.data[segment.begin : segment.end].tobytes()
        found.update(checkpoint.codec(segment.codec).ledger(stream))
    if isinstance(blob.grid, ChannelScales):
        columns = blob.grid.columns
        found["scales"] += blob.grid.scales.nbytes + (0 if columns is None else columns.nbytes)
    elif isinstance(blob.grid, Codebook):
        found["codebooks"] += blob.grid.levels.nbytes
    return dict(found)


def _how(checkpoint: Checkpoint, name: str) -> str:
    if name in checkpoint.index.tied:
        return f"tied to {checkpoint.index.tied[name]}"
    if name in checkpoint.index.copies:
        return f"copy of {checkpoint.index.copies[name]}"
    blob = checkpoint.blob(name)
    used = dict.fromkeys(segment.codec for segment in blob.segments)
    spelled = [_spelled(checkpoint, place) for place in used]
    if blob.base is not None and blob.grid is not None:
        spelled.append("added to the base")
    return ", ".join(spelled) or "empty"


def _spelled(checkpoint: Checkpoint, place: int) -> str:
    if place in (STORED, SAME):
        return "stored" if place == STORED else "same as the base"
    checkpoint.codec(place)  # which says what is wrong with it
    use = checkpoint.index.codecs[place]
    name = renamed.current("codec", use.name)
    known = CODECS if name in CODECS.names() else DELTAS
    return selector.spell(known.get(name), name, use.settings)


def _step(checkpoint: Checkpoint, name: str) -> str:
    match checkpoint.blob(name).grid:
        case TensorScale(step):
            return selector.spell_value(step)
        case ChannelScales(steps, columns):
            more = "" if columns is None else f" and {columns.size} for columns"
            return " x ".join(map(str, steps.shape)) + f" steps{more}"
        case Codebook(levels):
            return f"{levels.size} levels"
    return ""
