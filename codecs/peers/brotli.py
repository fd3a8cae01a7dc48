"""Brotli."""

from __future__ import annotations

from typing import ClassVar

import brotli

from slashbench.codecs.families.byte_codec import Buffer, ByteCodec, level_in
from slashbench.errors import CorruptStream


class Brotli(ByteCodec):
    """Brotli (RFC 7932): Lempel-Ziv and Huffman codes chosen by context.

    Parameters
    ----------
    level : int
        0 (fast) to 11 (small).
    """

    codec_id: ClassVar[str] = "slashbench.brotli"

    def __init__(self, level: int = 5) -> None:
        self.level = level_in(level, 0, 11)

    def compress(self, raw: Buffer, itemsize: int) -> bytes:
        """Return a brotli stream."""
        out: bytes = brotli.compress(raw, quality=self.level)
        return out

    def decompress(self, payload: Buffer, size: int) -> Buffer:
        """Return the `size` bytes."""
        reader = brotli.Decompressor()
        pieces: list[bytes] = []
        left = size + 1
        try:
            piece = reader.process(payload, output_buffer_limit=left)
            while piece:
                pieces.append(piece)
                left -= len(piece)
                if left <= 0:
                    raise CorruptStream(f"the brotli stream holds more than {size} bytes")
                piece = reader.process(b"", output_buffer_limit=left)
        except brotli.error as error:
            raise CorruptStream(f"the brotli stream is damaged ({error})") from error
        if not reader.is_finished():
            raise CorruptStream("the brotli stream is cut off")
        return b"".join(pieces)
