"""LZMA, by lzma."""

from __future__ import annotations

import lzma
from typing import ClassVar

from slashbench.codecs.families.byte_codec import ByteCodec, level_in
from slashbench.errors import CorruptStream

_MEMORY = 1 << 28  # bytes: enough for every preset, too little for a hostile dictionary


class Xz(ByteCodec):
    """LZMA2 in an xz container: Lempel-Ziv and an adaptive binary range coder.

    level: preset, 0 to 9. Slow, so it is low: on weights a higher one finds little more.
    """

    codec_id: ClassVar[str] = "slashbench.lzma"

    def __init__(self, level: int = 1) -> None:
        self.level = level_in(level, 0, 9)

    def compress(self, raw: bytes, itemsize: int) -> bytes:
        """An xz stream without a check of its own: the frame has one."""
        return lzma.compress(raw, check=lzma.CHECK_NONE, preset=self.level)

    def decompress(self, payload: bytes, size: int) -> bytes:
        """The `size` bytes."""
        reader = lzma.LZMADecompressor(lzma.FORMAT_XZ, _MEMORY)
        try:
            raw = reader.decompress(payload, size + 1)
        except lzma.LZMAError as error:
            raise CorruptStream(f"the xz stream is damaged ({error})") from error
        if not reader.eof or reader.unused_data:
            raise CorruptStream("the xz stream does not end where its tensor does")
        return raw
