"""How an update stacks tensors and names factors: what its transforms write and its decoder reads.

Two tensors `NAME@left` (rows, rank) and `NAME@right` (rank, columns) stand for the matrix `NAME`.
The tensor `@layout` (bytes) says that others, `@0`, `@1`, ..., are stacks: of which tensors, in
order, of what shape, and in what unit each is given there. A stack spares a small file the names,
tables and ends of many small tensors.
"""

from __future__ import annotations

import math
import zlib

import msgspec

from slashbench.errors import CorruptFile

LEFT, RIGHT = "@left", "@right"
LAYOUT = "@layout"

MAX_BYTES = 1 << 24  # of a layout, unpacked


class Member(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A tensor in a stack, whose values are given there in units of `unit`."""

    name: str
    shape: list[int]
    unit: float

    @property
    def count(self) -> int:
        """Return the number of values."""
        return math.prod(self.shape)


def spelled(layout: list[list[Member]]) -> bytes:
    """Return the bytes of `@layout`; member list i is of the stack `@i`."""
    return zlib.compress(msgspec.json.encode(layout), 9)


def parsed(data: bytes) -> list[list[Member]]:
    """Return what `spelled` was given. Raises CorruptFile for anything else."""
    try:
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(data, MAX_BYTES)
        if not unpacker.eof:
            raise CorruptFile("the layout of the update is cut off, or far too long")
        layout = msgspec.json.decode(text, type=list[list[Member]])
    except (zlib.error, msgspec.DecodeError, RecursionError) as error:
        raise CorruptFile(f"the layout of the update is damaged: {error}") from error
    for member in (member for members in layout for member in members):
        if not (0 < member.unit < math.inf and min(member.shape, default=0) >= 0):
            raise CorruptFile(f"the layout of the update says {member}")
    return layout
