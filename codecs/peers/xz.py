"""LZMA, by lzma."""

from __future__ import annotations

import lzma
from typing import ClassVar

from slashbench.codecs.families.byte_codec import Buffer, ByteCodec, in_pieces, level_in
from slashbench.errors import CorruptStream

_MEMORY = 1 << 28  # bytes: enough for every preset, too little for a hostile dictionary


class Xz(ByteCodec):
    """LZMA2 in an xz container: Lempel-Ziv and an adaptive binary range coder.

    Parameters
    ----------
    level : int
        Preset, 0 to 9. The default is low: a higher one is slow and finds little more in weights.
    """

    codec_id: ClassVar[str] = "slashbench.lzma"

    def __init__(self, level: int = 1) -> None:
        self.level = level_in(level, 0, 9)

    def compress(self, raw: Buffer, itemsize: int) -> bytes:
        """Return an xz stream without a check of its own: the frame has one."""
        return lzma.compress(raw, check=lzma.CHECK_NONE, preset=self.level)

    def decompress(self, payload: Buffer, size: int) -> Buffer:
        """Return the `size` bytes."""
        try:
            return in_pieces(lzma.LZMADecompressor(lzma.FORMAT_XZ, _MEMORY), payload, size)
        except lzma.LZMAError as error:
            raise CorruptStream(f"the xz stream is damaged ({error})") from error
