"""What training frameworks send between their steps: positions and values, as they are."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import safetensors
import safetensors.numpy

from slashbench.arrays import Array
from slashbench.codecs.families.delta_codec import WholeDeltaCodec
from slashbench.errors import CorruptStream


class IndexValue(WholeDeltaCodec):
    """Write positions, int32, and values of what differs from the base as a safetensors file.

    The plain way in which reinforcement-learning frameworks send weight updates; int64 positions
    for tensors of more than 2^31 values.

    References
    ----------
    PULSE: arXiv:2602.03839, 2026.
    """

    codec_id: ClassVar[str] = "slashbench.index-value"
    max_expansion: ClassVar[float] = 6.0

    def compress(self, flat: Array, base: Array) -> bytes:
        """Return a safetensors file of two tensors."""
        words = flat.view(f"u{flat.itemsize}")
        places = np.flatnonzero(words != base.view(words.dtype))
        narrow = np.int32 if flat.size < 1 << 31 else np.int64
        return safetensors.numpy.save(
            {"indices": places.astype(narrow), "values": np.ascontiguousarray(words[places])}
        )

    def decompress(self, payload: Any, base: Array, flat: Array) -> None:
        """Fill `flat` with the base, and put the values in their places."""
        words = flat.view(f"u{flat.itemsize}")
        try:
            found = safetensors.numpy.load(payload.tobytes())
            places, values = found["indices"], found["values"]
        except (safetensors.SafetensorError, KeyError) as error:
            raise CorruptStream(f"the file of positions and values is damaged: {error}") from error
        if places.shape != values.shape or places.ndim != 1 or values.dtype != words.dtype:
            raise CorruptStream("positions and values do not go together")
        if places.dtype.kind != "i" or (places.size and not 0 <= places.min() <= places.max()):
            raise CorruptStream("a position is no position")
        if places.size and places.max() >= words.size:
            raise CorruptStream("a position lies beyond the tensor")
        words[:] = base.view(words.dtype)
        words[places] = values
