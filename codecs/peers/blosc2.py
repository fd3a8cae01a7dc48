"""Blosc2."""

from __future__ import annotations

from typing import ClassVar

import blosc2

from slashbench import parallel
from slashbench.codecs.families.byte_codec import Buffer, ByteCodec, level_in
from slashbench.errors import CorruptStream, Unencodable

_MOST = 2**31 - 1 - 32  # bytes that a chunk of Blosc2 can hold


class Blosc2(ByteCodec):
    """Blosc2: bit-shuffle and Zstandard in cached blocks. Decode trusted streams only.

    Parameters
    ----------
    level : int
        1 (fast) to 9 (small).
    """

    codec_id: ClassVar[str] = "slashbench.blosc2"
    trusts_input: ClassVar[bool] = True
    layouts: ClassVar[tuple[str, ...]] = ("plain", "zigzag")

    def __init__(self, level: int = 5) -> None:
        self.level = level_in(level, 1, 9)

    def compress(self, raw: Buffer, itemsize: int) -> bytes:
        """Return a Blosc2 chunk. Raises Unencodable for a tensor of over 2 GiB."""
        if len(raw) > _MOST:
            raise Unencodable(
                f"blosc2 takes at most {_MOST} bytes, not {len(raw)}; split the tensor"
            )
        out: bytes = blosc2.compress2(
            raw,
            typesize=itemsize,
            codec=blosc2.Codec.ZSTD,
            clevel=self.level,
            filters=[blosc2.Filter.BITSHUFFLE],
            filters_meta=[0],
            nthreads=1,
        )
        return out

    def decompress(self, payload: Buffer, size: int) -> Buffer:
        """Return the `size` bytes; refuse unopened a chunk that declares another number."""
        if len(payload) < 32:
            raise CorruptStream("the blosc2 chunk is cut off")
        try:
            declared, length, _ = blosc2.get_cbuffer_sizes(payload)
            if (declared, length) != (size, len(payload)):
                raise CorruptStream(f"the blosc2 chunk declares {declared} bytes, not {size}")
            raw: bytes = blosc2.decompress2(payload, nthreads=parallel.threads.get())
        except (RuntimeError, ValueError, TypeError) as error:
            raise CorruptStream(f"the blosc2 chunk is damaged ({error})") from error
        return raw
