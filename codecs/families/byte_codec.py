"""What general-purpose compressors share: they take bytes, so a tensor is laid out as bytes first.

tables   the layout (byte_layouts.py)
payload  what the library wrote
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np

from slashbench.arrays import Array, Bytes
from slashbench.codecs.families.base import OneChunkCodec
from slashbench.codecs.families.byte_layouts import ByteLayout, layouts
from slashbench.errors import CorruptStream

#: A buffer of bytes, such as `bytes` or a memoryview of a tensor: libraries take any.
Buffer = Any

_FED = 1 << 16  # bytes that a decompressor is handed at a time
_MOST = 1 << 20  # bytes that it gives back at a time


class ByteCodec(OneChunkCodec):
    """A codec of bytes. Each of its `layouts` is tried, and the shortest stream is kept."""

    layouts: ClassVar[tuple[str, ...]] = ("plain", "planes")
    domains: ClassVar[frozenset[str]] = frozenset({"integers", "floats"})

    def _encode_whole(self, flat: Array) -> tuple[bytes, bytes]:
        # One at a time: each layout is as large as the tensor.
        laid_out = layouts(flat, self.layouts)
        tried = ((laid.tables, self.compress(laid.raw, laid.itemsize)) for laid in laid_out)
        return min(tried, key=lambda parts: len(parts[0]) + len(parts[1]))

    def _decode_into(self, tables: bytes, payload: Bytes, flat: Array) -> None:
        layout = ByteLayout.read(tables, flat.size, flat.dtype)
        raw = self.decompress(payload.data, layout.size)
        if len(raw) != layout.size:
            raise CorruptStream(f"the payload holds {len(raw)} bytes, the tensor {layout.size}")
        layout.restore(raw, flat)

    @abstractmethod
    def compress(self, raw: Buffer, itemsize: int) -> bytes:
        """Return the payload.

        Parameters
        ----------
        raw : buffer of bytes
            What to compress; it may be the tensor itself.
        itemsize : int
            Bytes of one number, for compressors that care.
        """

    @abstractmethod
    def decompress(self, payload: Buffer, size: int) -> Buffer:
        """Return the `size` bytes. It must not allocate much more for a payload that holds more.

        Raises
        ------
        CorruptStream
            If `compress` did not write the payload.
        """


def in_pieces(reader: Any, payload: Buffer, size: int) -> Buffer:
    """Return what a decompressor of the standard library makes of a payload.

    It is fed piece by piece and writes to one array: all at once would take twice the memory.

    Parameters
    ----------
    reader : object
        Of `zlib.decompressobj` or a class like `bz2.BZ2Decompressor`; new.
    payload : buffer of bytes
    size : int
        Bytes that the payload holds.

    Raises
    ------
    CorruptStream
        If it holds more or fewer, or goes on after its end.
    """
    out, at = np.empty(size, np.uint8), 0
    for start in range(0, len(payload), _FED):
        if reader.eof:
            raise CorruptStream("there are bytes after the end of the payload")
        fed = payload[start : start + _FED]
        while True:
            piece = reader.decompress(fed, min(size - at + 1, _MOST))
            if at + len(piece) > size:
                raise CorruptStream(f"the payload holds more than {size} bytes")
            out[at : at + len(piece)] = np.frombuffer(piece, np.uint8)
            at += len(piece)
            fed = getattr(reader, "unconsumed_tail", b"")  # zlib's; others keep it themselves
            if reader.eof or not (piece or fed):
                break
    if at != size or not reader.eof or reader.unused_data:
        raise CorruptStream(f"the payload does not end after {size} bytes")
    return out.data


def level_in(level: int, low: int, high: int) -> int:
    """Return the level. Raises ValueError for one outside low to high."""
    if isinstance(level, bool) or not isinstance(level, int):
        raise ValueError(f"level must be a whole number, not {level!r}")
    if not low <= level <= high:
        raise ValueError(f"level must be {low} to {high}, not {level}")
    return level
