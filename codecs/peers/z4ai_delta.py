"""z4ai's deltas."""

from __future__ import annotations

from typing import Any, ClassVar

import ml_dtypes
import numpy as np

from slashbench.arrays import Array
from slashbench.codecs.families.delta_codec import WholeDeltaCodec
from slashbench.errors import CorruptStream

_NAMES = {
    np.dtype(ml_dtypes.bfloat16): "bf16",
    np.dtype(np.float16): "fp16",
    np.dtype(np.float32): "fp32",
    np.dtype(np.float64): "fp64",
}


class Z4aiDelta(WholeDeltaCodec):
    """Compress the exclusive or with the base by z4ai. Decode trusted streams only.

    `z4ai.delta`, with its own choice of level and the dtype named. Licence: Apache-2.0.
    """

    codec_id: ClassVar[str] = "slashbench.z4ai-delta"
    trusts_input: ClassVar[bool] = True

    def compress(self, flat: Array, base: Array) -> bytes:
        """Return z4ai's frame."""
        from z4ai import delta

        frame: bytes = delta.compress(
            flat.tobytes(), base.tobytes(), dtype=_NAMES.get(flat.dtype), threads=1
        )
        return frame

    def decompress(self, payload: Any, base: Array, flat: Array) -> None:
        """Fill `flat` from z4ai's frame."""
        from z4ai import delta

        raw = delta.decompress(payload.tobytes(), base.tobytes())
        if len(raw) != flat.nbytes:
            raise CorruptStream(f"the frame holds {len(raw)} bytes, the tensor {flat.nbytes}")
        flat.view(np.uint8)[:] = np.frombuffer(raw, np.uint8)
