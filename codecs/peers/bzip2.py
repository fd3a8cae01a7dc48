"""Burrows and Wheeler's transform, by bz2."""

from __future__ import annotations

import bz2
from typing import ClassVar

from slashbench.codecs.families.byte_codec import ByteCodec, level_in
from slashbench.errors import CorruptStream


class Bzip2(ByteCodec):
    """bzip2: the transform of Burrows and Wheeler (SRC Report 124, 1994).

    level: 1 to 9, the block in units of 100 kB.
    """

    codec_id: ClassVar[str] = "slashbench.bz2"

    def __init__(self, level: int = 9) -> None:
        self.level = level_in(level, 1, 9)

    def compress(self, raw: bytes, itemsize: int) -> bytes:
        """A bzip2 stream."""
        return bz2.compress(raw, self.level)

    def decompress(self, payload: bytes, size: int) -> bytes:
        """The `size` bytes."""
        reader = bz2.BZ2Decompressor()
        try:
            raw = reader.decompress(payload, size + 1)
        except OSError as error:
            raise CorruptStream(f"the bzip2 stream is damaged ({error})") from error
        if not reader.eof or reader.unused_data:
            raise CorruptStream("the bzip2 stream does not end where its tensor does")
        return raw
