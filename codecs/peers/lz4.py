"""LZ4."""

from __future__ import annotations

from typing import ClassVar

import lz4.block

from slashbench.codecs.families.byte_codec import ByteCodec, level_in
from slashbench.errors import CorruptStream


class Lz4(ByteCodec):
    """LZ4 block: Lempel-Ziv and no entropy coder, for speed. level: 0 (fast) to 12 (small)."""

    codec_id: ClassVar[str] = "slashbench.lz4"
    layouts: ClassVar[tuple[str, ...]] = ("packed", "plain", "planes")

    def __init__(self, level: int = 0) -> None:
        self.level = level_in(level, 0, 12)

    def compress(self, raw: bytes, itemsize: int) -> bytes:
        """A block without a header."""
        mode = "high_compression" if self.level else "default"
        out: bytes = lz4.block.compress(raw, mode, compression=self.level, store_size=False)
        return out

    def decompress(self, payload: bytes, size: int) -> bytes:
        """The `size` bytes."""
        try:
            raw: bytes = lz4.block.decompress(payload, uncompressed_size=size)
        except lz4.block.LZ4BlockError as error:
            raise CorruptStream(f"the lz4 block is damaged ({error})") from error
        return raw
