"""LZ4."""

from __future__ import annotations

from typing import ClassVar

import lz4.block

from slashbench.codecs.families.byte_codec import Buffer, ByteCodec, level_in
from slashbench.errors import CorruptStream, Unencodable

_MOST = 0x7E000000  # bytes: LZ4_MAX_INPUT_SIZE


class Lz4(ByteCodec):
    """LZ4 block: Lempel-Ziv and no entropy coder, for speed.

    Parameters
    ----------
    level : int
        0 (fast) to 12 (small).
    """

    codec_id: ClassVar[str] = "slashbench.lz4"
    layouts: ClassVar[tuple[str, ...]] = ("packed", "plain", "planes")

    def __init__(self, level: int = 0) -> None:
        self.level = level_in(level, 0, 12)

    def compress(self, raw: Buffer, itemsize: int) -> bytes:
        """Return a block without a header. Raises Unencodable for more than a block can hold."""
        if len(raw) > _MOST:
            raise Unencodable(f"lz4 takes at most {_MOST} bytes, not {len(raw)}; split the tensor")
        mode = "high_compression" if self.level else "default"
        out: bytes = lz4.block.compress(raw, mode, compression=self.level, store_size=False)
        return out

    def decompress(self, payload: Buffer, size: int) -> Buffer:
        """Return the `size` bytes."""
        try:
            raw: bytes = lz4.block.decompress(payload, uncompressed_size=size)
        except lz4.block.LZ4BlockError as error:
            raise CorruptStream(f"the lz4 block is damaged ({error})") from error
        return raw
