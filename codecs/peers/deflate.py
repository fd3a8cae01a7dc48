"""Deflate, by zlib."""

from __future__ import annotations

import zlib
from typing import ClassVar

from slashbench.codecs.families.byte_codec import ByteCodec, level_in
from slashbench.errors import CorruptStream


class Deflate(ByteCodec):
    """Deflate by zlib (RFC 1951): Lempel-Ziv and Huffman codes. level: 1 to 9."""

    codec_id: ClassVar[str] = "slashbench.zlib"

    def __init__(self, level: int = 6) -> None:
        self.level = level_in(level, 1, 9)

    def compress(self, raw: bytes, itemsize: int) -> bytes:
        """A zlib stream (RFC 1950)."""
        return zlib.compress(raw, self.level)

    def decompress(self, payload: bytes, size: int) -> bytes:
        """The `size` bytes."""
        reader = zlib.decompressobj()
        try:
            raw = reader.decompress(payload, size + 1)
        except zlib.error as error:
            raise CorruptStream(f"the zlib stream is damaged ({error})") from error
        if not reader.eof or reader.unused_data:
            raise CorruptStream("the zlib stream does not end where its tensor does")
        return raw
