"""Burrows and Wheeler's transform, by bz2."""

from __future__ import annotations

import bz2
from typing import ClassVar

from slashbench.codecs.families.byte_codec import Buffer, ByteCodec, in_pieces, level_in
from slashbench.errors import CorruptStream


class Bzip2(ByteCodec):
    """Compress bytes by bzip2: the Burrows-Wheeler transform and Huffman codes.

    Parameters
    ----------
    level : int
        1 to 9, the block in units of 100 kB.

    References
    ----------
    Burrows & Wheeler, SRC Research Report 124, 1994.
    """

    codec_id: ClassVar[str] = "slashbench.bz2"

    def __init__(self, level: int = 9) -> None:
        self.level = level_in(level, 1, 9)

    def compress(self, raw: Buffer, itemsize: int) -> bytes:
        """A bzip2 stream."""
        return bz2.compress(raw, self.level)

    def decompress(self, payload: Buffer, size: int) -> Buffer:
        """The `size` bytes."""
        try:
            return in_pieces(bz2.BZ2Decompressor(), payload, size)
        except OSError as error:
            raise CorruptStream(f"the bzip2 stream is damaged ({error})") from error
