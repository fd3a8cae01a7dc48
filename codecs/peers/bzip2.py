"""Burrows and Wheeler's transform, by bz2."""

from __future__ import annotations

import bz2
from typing import ClassVar

from slashbench.codecs.families.byte_codec import Buffer, ByteCodec, in_pieces, level_in
from slashbench.errors import CorruptStream


class Bzip2(ByteCodec):
    """bzip2: the transform of Burrows and Wheeler (SRC Report 124, 1994).

    Parameters
    ----------
    level : int
        Size of a block in units of 100 kB, 1 to 9.
    """

    codec_id: ClassVar[str] = "slashbench.bz2"

    def __init__(self, level: int = 9) -> None:
        self.level = level_in(level, 1, 9)

    def compress(self, raw: Buffer, itemsize: int) -> bytes:
        """Return a bzip2 stream."""
        return bz2.compress(raw, self.level)

    def decompress(self, payload: Buffer, size: int) -> Buffer:
        """Return the `size` bytes."""
        try:
            return in_pieces(bz2.BZ2Decompressor(), payload, size)
        except OSError as error:
            raise CorruptStream(f"the bzip2 stream is damaged ({error})") from error
