"""Deflate, by libdeflate."""

from __future__ import annotations

from typing import ClassVar

import deflate

from slashbench.codecs.families.byte_codec import Buffer, ByteCodec, level_in
from slashbench.errors import CorruptStream


class Libdeflate(ByteCodec):
    """Deflate by libdeflate (MIT): the same format as zlib's, smaller and faster.

    Parameters
    ----------
    level : int
        1 (fast) to 12 (small).
    """

    codec_id: ClassVar[str] = "slashbench.libdeflate"

    def __init__(self, level: int = 6) -> None:
        self.level = level_in(level, 1, 12)

    def compress(self, raw: Buffer, itemsize: int) -> bytes:
        """Return a raw DEFLATE stream (RFC 1951)."""
        return bytes(deflate.deflate_compress(raw, self.level))

    def decompress(self, payload: Buffer, size: int) -> Buffer:
        """Return the `size` bytes."""
        try:
            return bytes(deflate.deflate_decompress(payload, size))
        except (deflate.DeflateError, ValueError) as error:
            raise CorruptStream(f"the deflate stream is damaged ({error})") from error
