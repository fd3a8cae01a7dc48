"""GGUF files, as llama.cpp has them: tensors of plain numbers, and of blocks of quantized ones.

Blocks have no type in safetensors: such a tensor is read as the bytes that stand in the file, a row
of blocks a row, and the metadata say which kind they are.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slashbench.arrays import Bytes
from slashbench.bench.checkpoint import plain_header
from slashbench.bench.checkpoint.buffers import Mapped
from slashbench.bench.checkpoint.sources import Source
from slashbench.bench.formats import named
from slashbench.errors import CorruptFile

MAGIC = b"GGUF"

_VERSIONS = (2, 3)
_MOST = 1 << 20  # tensors, and entries of metadata
_MOST_DIMENSIONS = 8
_LONGEST = 1 << 16  # bytes of a text that is kept

#: Types of plain numbers, as safetensors calls them.
_PLAIN = {
    0: "F32", 1: "F16", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 30: "BF16",
}  # fmt: skip
#: Types of blocks: name, values of a block, bytes of a block.
_BLOCKS = {
    2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22), 7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110), 12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50), 20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136), 29: ("IQ1_M", 256, 56),
    34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
}  # fmt: skip
_NUMBERS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q",
    12: "<d",
}  # fmt: skip
_TEXT, _ARRAY = 8, 9


@dataclass(frozen=True, slots=True)
class _Entry:
    """A tensor as the file lists it. begin: from where the tensors' bytes begin."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    nbytes: int
    blocks: str = ""  # the kind of its blocks


def open_source(path: Path) -> Source:
    """Open a GGUF file. Texts and numbers of its metadata are kept, lists are left out and named.

    Raises CorruptFile for what is no GGUF file, or damaged, and UsageError for one that can't be
    read.
    """
    mapped = Mapped(path)
    left_out: dict[str, str] = {}
    try:
        cursor = _Cursor(mapped.data)
        metadata, entries = _listed(cursor, left_out)
        alignment = int(metadata.get("general.alignment", 32))
        if not 1 <= alignment <= 1 << 20:
            raise CorruptFile(f"its alignment is {alignment}")
        start = -(-cursor.place // alignment) * alignment
        for name, entry in entries.items():
            if start + entry.begin + entry.nbytes > mapped.data.size:
                raise CorruptFile(f"{name!r} is cut off")
        metadata |= {f"gguf.blocks {n}": e.blocks for n, e in entries.items() if e.blocks}
        kinds = {name: (entry.dtype, entry.shape) for name, entry in entries.items()}
        header = plain_header.compose(kinds, metadata)
    except (CorruptFile, ValueError) as error:
        raise CorruptFile(f"{path}: {error}") from error

    def range_of(name: str) -> tuple[int, int]:
        begin = start + entries[name].begin
        return begin, begin + entries[name].nbytes

    def read(name: str) -> Bytes:
        begin, end = range_of(name)
        return mapped.data[begin:end]

    return Source(header, read, lambda name: mapped.release(*range_of(name)), left_out=left_out)


class _Cursor:
    """Reads numbers and texts one after the other. Raises CorruptFile where the file ends."""

    def __init__(self, data: Bytes) -> None:
        self._data, self.place = data, 0

    def take(self, size: int) -> bytes:
        """Return the next bytes."""
        if size > self._data.size - self.place:
            raise CorruptFile("it is cut off")
        self.place += size
        return self._data[self.place - size : self.place].tobytes()

    def number(self, kind: str) -> Any:
        """Return the next number, of that kind of `struct`."""
        return struct.unpack(kind, self.take(struct.calcsize(kind)))[0]

    def count(self, most: int, what: str) -> int:
        """Return the next number, of so many things at most."""
        found: int = self.number("<Q")
        if found > most:
            raise CorruptFile(f"it speaks of {found} {what}")
        return found

    def text(self) -> str:
        """Return the next text."""
        return self.take(self.number("<Q")).decode("utf-8", "replace")


def _listed(cursor: _Cursor, left_out: dict[str, str]) -> tuple[dict[str, str], dict[str, _Entry]]:
    """Return the metadata that are texts or numbers, and all tensors."""
    if cursor.take(4) != MAGIC or (version := cursor.number("<I")) not in _VERSIONS:
        raise CorruptFile("it is no GGUF file of version 2 or 3, little-endian")
    n_tensors = cursor.count(_MOST, "tensors")
    metadata: dict[str, str] = {"gguf.version": str(version)}
    for _ in range(cursor.count(_MOST, "entries")):
        key = cursor.text()
        value = _value(cursor, cursor.number("<I"))
        if value is None or len(key) + len(value) > _LONGEST or named.why_not(key):
            left_out[ascii(key)] = "a list, or a long text, of the file's metadata"
        else:
            metadata[key] = value
    entries: dict[str, _Entry] = {}
    for _ in range(n_tensors):
        name = cursor.text()
        if why := named.why_not(name, entries):
            raise CorruptFile(f"{name!r}: {why}")
        entries[name] = _entry(cursor, name)
    return metadata, entries


def _value(cursor: _Cursor, kind: int, depth: int = 0) -> str | None:
    """Return a value of the metadata; None for a list."""
    if kind == _TEXT:
        return cursor.text()
    if kind in _NUMBERS:
        return str(cursor.number(_NUMBERS[kind]))
    if kind != _ARRAY or depth > 4:
        raise CorruptFile(f"its metadata have a value of the kind {kind}")
    inner = cursor.number("<I")
    count = cursor.number("<Q")
    if inner in _NUMBERS:
        cursor.take(count * struct.calcsize(_NUMBERS[inner]))
        return None
    for _ in range(count):
        _value(cursor, inner, depth + 1)
    return None


def _entry(cursor: _Cursor, name: str) -> _Entry:
    dimensions = cursor.number("<I")
    if dimensions > _MOST_DIMENSIONS:
        raise CorruptFile(f"{name!r} has {dimensions} dimensions")
    shape = tuple(cursor.number("<Q") for _ in range(dimensions))[::-1]  # the last one varies first
    kind, begin = cursor.number("<I"), cursor.number("<Q")
    if kind in _PLAIN:
        dtype = _PLAIN[kind]
        return _Entry(dtype, shape, begin, math.prod(shape) * plain_header.DTYPES[dtype].bits // 8)
    if kind not in _BLOCKS:
        raise CorruptFile(f"{name!r} is of the type {kind}, which is not known here")
    blocks, values, size = _BLOCKS[kind]
    if not shape or shape[-1] % values:
        raise CorruptFile(f"a row of {name!r} is no whole number of blocks")
    shape = (*shape[:-1], shape[-1] // values * size)
    return _Entry("U8", shape, begin, math.prod(shape), blocks)
