"""lmzip's deltas."""

from __future__ import annotations

import struct
from typing import Any, ClassVar

import ml_dtypes
import numpy as np

from slashbench.arrays import Array
from slashbench.codecs.families.delta_codec import WholeDeltaCodec
from slashbench.errors import CorruptStream, Unencodable

_HEAD = struct.Struct("<BI")  # flags, CRC-32


class LmzipDelta(WholeDeltaCodec):
    """Compress the exclusive or with the base by lmzip. Decode trusted streams only.

    A chunk of its archive, coded by `lmz.codec.encode_delta` at its own level; of bfloat16, in the
    shorter of the two ways it has for them. Licence: MIT.
    """

    codec_id: ClassVar[str] = "slashbench.lmzip-delta"
    trusts_input: ClassVar[bool] = True

    def compress(self, flat: Array, base: Array) -> bytes:
        """Return flags and checksum, which its archive keeps beside a chunk, and the chunk."""
        from lmz import codec

        if flat.itemsize > 4:
            raise Unencodable(f"lmzip has no planes for {flat.dtype}")
        kinds = [codec.KIND_BYTES]
        if flat.dtype == ml_dtypes.bfloat16:
            kinds.append(codec.KIND_BF16)
        tried = []
        for kind in kinds:
            parts, flags, crc = codec.encode_delta(
                flat.tobytes(), base.tobytes(), flat.itemsize, kind=kind
            )
            tried.append(_HEAD.pack(flags, crc) + b"".join(map(bytes, parts)))
        return min(tried, key=len)

    def decompress(self, payload: Any, base: Array, flat: Array) -> None:
        """Fill `flat` from a chunk."""
        from lmz import codec

        if payload.size < _HEAD.size:
            raise CorruptStream("the chunk is cut off")
        flags, crc = _HEAD.unpack_from(payload.data)
        raw = codec.decode_delta(
            payload[_HEAD.size :].tobytes(), flat.itemsize, flags, flat.nbytes, base.tobytes(), crc
        )
        flat.view(np.uint8)[:] = np.frombuffer(bytes(raw), np.uint8)
