"""Write a compressed checkpoint as its tensors come, one after the other.

The header is in front, but where each tensor will end is known only when it is written. So room is
left for the longest header there may be, numbers with all their digits, and blanks fill what it
does not need: a few bytes a tensor, which safetensors allows.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from slashbench.bench.checkpoint import file_format, plain_header
from slashbench.bench.checkpoint.file_format import (
    BaseFile,
    BaseTensor,
    Codec,
    Contents,
    QuantizedBy,
)
from slashbench.bench.checkpoint.plain_header import Header
from slashbench.bench.machine.atomic_files import write_out
from slashbench.errors import Unencodable
from slashbench.grid import Grid

_STRIDE = 2 << 20  # bytes that the disk is given at a time


@dataclass(frozen=True, slots=True)
class CodedSegment:
    """One run of a tensor as it goes into the file."""

    codec: int  # its place in the file's codecs, or file_format.STORED or SAME
    pieces: list[Any]  # buffers of bytes that follow one another
    checksum: int = 0  # CRC-32 of what is stored, and of what is rebuilt with a base but by a codec

    @property
    def size(self) -> int:
        """Return the bytes in all."""
        return sum(map(len, self.pieces))


@dataclass(frozen=True, slots=True)
class Piece:
    """One or more segments of a tensor, in order. The last piece of a tensor has `last`."""

    name: str
    unit: int
    segments: list[CodedSegment]
    grid: Grid | None = None
    last: bool = True
    base: BaseTensor | None = None


def write(
    file: BinaryIO,
    header: Header,
    codecs: list[Codec],
    pieces: Iterable[Piece],
    tied: Mapping[str, str] | None = None,
    copies: Mapping[str, str] | None = None,
    quantized_by: QuantizedBy | None = None,
    base: BaseFile | None = None,
) -> None:
    """Write to a file that is empty and can be sought in.

    header: of the plain file it stands for. pieces: of every tensor of it that is neither tied nor
    a copy, in the header's order. quantized_by: what `verify` repeats. base: of a delta.

    Raises Unencodable for streams of many times a tensor's size.
    """
    aliases = {**(tied or {}), **(copies or {})}
    contents = Contents(
        header=header.text, codecs=codecs, tied=dict(tied or {}), copies=dict(copies or {})
    )
    metadata = file_format.metadata(contents, quantized_by, base)
    names = [name for name in header.tensors if name not in aliases]
    room = len(_header(metadata, _longest(header, names)))
    file.seek(8 + room)
    sizes: dict[str, int] = {}
    done: list[tuple[int, int, int]] = []
    handed_over = written = 8 + room
    for piece in pieces:
        for segment in piece.segments:
            file.writelines(segment.pieces)
            written += segment.size
            done.append((segment.codec, segment.size, segment.checksum))
        if piece.last:
            tail = file_format.tail(
                piece.name, piece.unit, done, piece.grid, piece.base, delta=base is not None
            )
            written += file.write(tail)
            sizes[piece.name] = sum(size for _, size, _ in done) + len(tail)
            done = []
        if written - handed_over >= _STRIDE:
            file.flush()
            write_out(file, handed_over, written)
            handed_over = written
    ends = _header(metadata, sizes)
    if len(ends) > room:
        raise Unencodable("the codec makes tensors many times as large; choose another")
    file.seek(0)
    file.write(struct.pack("<Q", room) + ends + b" " * (room - len(ends)))


def _longest(header: Header, names: list[str]) -> dict[str, int]:
    """Return sizes that none of these tensors will exceed, however badly a codec does."""
    return {name: 4096 + 16 * header.tensors[name].nbytes for name in names}


def _header(metadata: Mapping[str, str], sizes: Mapping[str, int]) -> bytes:
    entries: dict[str, Any] = {plain_header.METADATA: metadata}
    end = 0
    for name, size in sizes.items():
        begin, end = end, end + size
        entries[name] = {"dtype": "U8", "shape": [size], "data_offsets": [begin, end]}
    return plain_header.spell(entries)
