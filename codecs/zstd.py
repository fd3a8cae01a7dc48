"""Zstandard over a choice of byte layouts."""

from __future__ import annotations

from typing import ClassVar

import zstandard

from slashbench.codecs.families.byte_codec import Buffer, ByteCodec, level_in
from slashbench.errors import CorruptStream


class Zstd(ByteCodec):
    """Zstandard of the smallest of a few byte layouts (RFC 8878): the general-purpose yardstick.

    Parameters
    ----------
    level : int
        1 (fast) to 22 (small).
    """

    codec_id: ClassVar[str] = "slashbench.zstd"
    layouts: ClassVar[tuple[str, ...]] = ("packed", "plain", "planes")

    def __init__(self, level: int = 9) -> None:
        self.level = level_in(level, 1, zstandard.MAX_COMPRESSION_LEVEL)

    def compress(self, raw: Buffer, itemsize: int) -> bytes:
        """Return one frame that declares its size."""
        compressor = zstandard.ZstdCompressor(level=self.level, write_content_size=True)
        return compressor.compress(raw)

    def decompress(self, payload: Buffer, size: int) -> Buffer:
        """Return the `size` bytes; refuse unopened a frame that declares another number."""
        try:
            declared = zstandard.get_frame_parameters(payload).content_size
            if declared != size:
                raise CorruptStream(f"the zstd frame declares {declared} bytes, not {size}")
            raw: bytes = zstandard.ZstdDecompressor().decompress(
                payload, max_output_size=size, allow_extra_data=False
            )
        except zstandard.ZstdError as error:
            raise CorruptStream(f"the zstd frame is damaged ({error})") from error
        return raw
