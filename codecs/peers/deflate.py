"""Deflate, by zlib."""

from __future__ import annotations

import zlib
from typing import ClassVar

from slashbench.codecs.families.byte_codec import Buffer, ByteCodec, in_pieces, level_in
from slashbench.errors import CorruptStream


class Deflate(ByteCodec):
    """Deflate by zlib (RFC 1951): Lempel-Ziv and Huffman codes.

    Parameters
    ----------
    level : int
        1 (fast) to 9 (small).
    """

    codec_id: ClassVar[str] = "slashbench.zlib"

    def __init__(self, level: int = 6) -> None:
        self.level = level_in(level, 1, 9)

    def compress(self, raw: Buffer, itemsize: int) -> bytes:
        """Return a zlib stream (RFC 1950)."""
        return zlib.compress(raw, self.level)

    def decompress(self, payload: Buffer, size: int) -> Buffer:
        """Return the `size` bytes."""
        try:
            return in_pieces(zlib.decompressobj(), payload, size)
        except zlib.error as error:
            raise CorruptStream(f"the zlib stream is damaged ({error})") from error
