"""z4ai."""

from __future__ import annotations

from typing import Any, ClassVar

import ml_dtypes
import numpy as np
import z4ai

from slashbench.arrays import Array
from slashbench.codecs.families.base import WholeTensorCodec, narrowest
from slashbench.errors import CorruptStream

_DTYPES = {
    np.dtype(ml_dtypes.bfloat16): "bf16",
    np.dtype(np.float16): "fp16",
    np.dtype(np.float32): "fp32",
    np.dtype(np.float64): "fp64",
}


class Z4ai(WholeTensorCodec):
    """Code by z4ai (Apache-2.0), the best of several ways it tries. Decode trusted streams only.

    Run as its README does: `z4ai.compress(data, dtype=...)`, which tries several ways and keeps the
    smallest. Integers go in their narrowest type as plain bytes. The tables are one byte, the width
    of an integer, 0 for floats.

    Parameters
    ----------
    effort : str
        `fast`, its default, or `max`, its smallest.
    """

    codec_id: ClassVar[str] = "slashbench.z4ai"
    domains: ClassVar[frozenset[str]] = frozenset({"integers", "floats"})
    trusts_input: ClassVar[bool] = True

    def __init__(self, effort: str = "fast") -> None:
        if effort not in ("fast", "max"):
            raise ValueError(f"effort must be fast or max, not {effort!r}")
        self.effort = effort

    def _encode_whole(self, flat: Array) -> tuple[bytes, bytes]:
        width = 0
        if flat.dtype.kind in "iu":
            flat = narrowest(flat.view(f"i{flat.itemsize}"))
            width = flat.itemsize
        effort = None if self.effort == "fast" else self.effort
        dtype = _DTYPES.get(flat.dtype)
        coded = z4ai.compress(flat.tobytes(), dtype=dtype, threads=1, effort=effort)
        return bytes([width]), bytes(coded)

    def _decode_whole(
        self, tables: bytes, payload: bytes, count: int, dtype: np.dtype[Any]
    ) -> Array:
        integers = dtype.kind in "iu"
        if len(tables) != 1 or tables[0] not in ((1, 2, 4) if integers else (0,)):
            raise CorruptStream("the tables of z4ai are damaged")
        if tables[0] > dtype.itemsize:
            raise CorruptStream(f"numbers of {tables[0]} bytes in a tensor of {dtype}")
        numbers = np.dtype(f"i{tables[0]}") if integers else dtype
        raw = bytes(z4ai.decompress(payload))
        if len(raw) != count * numbers.itemsize:
            raise CorruptStream(f"the z4ai frame holds {len(raw)} bytes")
        values = np.frombuffer(raw, numbers)
        return values.astype(f"i{dtype.itemsize}").view(dtype) if integers else values
