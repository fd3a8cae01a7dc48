"""What general-purpose compressors share: they take bytes, so a tensor is laid out as bytes first.

tables   the layout (layouts.py)
payload  what the library wrote
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np

from slashbench.arrays import Array
from slashbench.codecs.families.base import WholeTensorCodec
from slashbench.codecs.families.byte_layouts import ByteLayout, layouts
from slashbench.errors import CorruptStream


class ByteCodec(WholeTensorCodec):
    """A codec of bytes. Each of its `layouts` is tried, and the shortest stream is kept."""

    layouts: ClassVar[tuple[str, ...]] = ("plain", "planes")
    domains: ClassVar[frozenset[str]] = frozenset({"integers", "floats"})

    def _encode_whole(self, flat: Array) -> tuple[bytes, bytes]:
        laid_out = layouts(flat, self.layouts)
        tried = ((laid.tables, self.compress(laid.raw, laid.itemsize)) for laid in laid_out)
        return min(tried, key=lambda parts: len(parts[0]) + len(parts[1]))

    def _decode_whole(
        self, tables: bytes, payload: bytes, count: int, dtype: np.dtype[Any]
    ) -> Array:
        layout = ByteLayout.read(tables, count, dtype)
        raw = self.decompress(payload, layout.size)
        if len(raw) != layout.size:
            raise CorruptStream(f"the payload holds {len(raw)} bytes, the tensor {layout.size}")
        return layout.restore(raw)

    @abstractmethod
    def compress(self, raw: bytes, itemsize: int) -> bytes:
        """The payload. itemsize: bytes of one number, for compressors that care."""

    @abstractmethod
    def decompress(self, payload: bytes, size: int) -> bytes:
        """The `size` bytes. It must not allocate much more for a payload that holds more.

        Raises CorruptStream for a payload that `compress` did not write.
        """


def level_in(level: int, low: int, high: int) -> int:
    """The level. Raises ValueError for one outside low to high."""
    if isinstance(level, bool) or not isinstance(level, int):
        raise ValueError(f"level must be a whole number, not {level!r}")
    if not low <= level <= high:
        raise ValueError(f"level must be {low} to {high}, not {level}")
    return level
