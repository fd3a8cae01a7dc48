"""Deflate, by Intel's ISA-L."""

from __future__ import annotations

from typing import ClassVar

from isal import isal_zlib

from slashbench.codecs.families.byte_codec import Buffer, ByteCodec, in_pieces, level_in
from slashbench.errors import CorruptStream


class Isal(ByteCodec):
    """Deflate by ISA-L (BSD): the fastest of the format, and the largest.

    Parameters
    ----------
    level : int
        0 (fast) to 3 (small).
    """

    codec_id: ClassVar[str] = "slashbench.isal"

    def __init__(self, level: int = 3) -> None:
        self.level = level_in(level, 0, 3)

    def compress(self, raw: Buffer, itemsize: int) -> bytes:
        """Return a zlib stream (RFC 1950)."""
        return bytes(isal_zlib.compress(raw, self.level))

    def decompress(self, payload: Buffer, size: int) -> Buffer:
        """Return the `size` bytes."""
        try:
            return in_pieces(isal_zlib.decompressobj(), payload, size)
        except isal_zlib.error as error:  # type: ignore[misc]
            raise CorruptStream(f"the deflate stream is damaged ({error})") from error
