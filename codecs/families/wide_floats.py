"""What peers share that know float32 and float64 alone: shorter floats are handed over widened.

tables   u8: 0 as they are, 1 widened to float32, 2 raw, of float16 whose NaN don't survive that
payload  what the library wrote, or the tensor's bytes
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np

from slashbench.arrays import Array
from slashbench.codecs.families.base import WholeTensorCodec
from slashbench.errors import CorruptStream

_AS_IS, _WIDENED, _RAW = range(3)


class WideFloatCodec(WholeTensorCodec):
    """A codec of float32 and float64."""

    domains: ClassVar[frozenset[str]] = frozenset({"floats"})
    max_expansion: ClassVar[float] = 2.5

    def _encode_whole(self, flat: Array) -> tuple[bytes, bytes]:
        if flat.itemsize > 2:
            return bytes([_AS_IS]), self.compress(flat)
        with np.errstate(invalid="ignore"):
            wide = _widened(flat)
            exact = _narrowed(wide, flat.dtype).tobytes() == flat.tobytes()
        return (
            (bytes([_WIDENED]), self.compress(wide)) if exact else (bytes([_RAW]), flat.tobytes())
        )

    def _decode_whole(
        self, tables: bytes, payload: bytes, count: int, dtype: np.dtype[Any]
    ) -> Array:
        form = tables[0] if len(tables) == 1 else -1
        if form == _RAW:
            if len(payload) != count * dtype.itemsize:
                raise CorruptStream(f"{len(payload)} bytes for {count} values")
            return np.frombuffer(payload, dtype)
        if form != (_AS_IS if dtype.itemsize > 2 else _WIDENED):
            raise CorruptStream("the tables are damaged")
        found = self.decompress(payload).reshape(-1)
        return found if form == _AS_IS else _narrowed(found, dtype)

    @abstractmethod
    def compress(self, flat: Array) -> bytes:
        """Return what the library makes of float32 or float64."""

    @abstractmethod
    def decompress(self, payload: bytes) -> Array:
        """Undo `compress`."""


def _widened(flat: Array) -> Array:
    if flat.dtype == np.float16:
        return flat.astype(np.float32)
    return (flat.view(np.uint16).astype(np.uint32) << 16).view(np.float32)


def _narrowed(wide: Array, dtype: np.dtype[Any]) -> Array:
    if dtype == np.float16:
        return wide.astype(np.float16)
    return (wide.view(np.uint32) >> 16).astype(np.uint16).view(dtype)
