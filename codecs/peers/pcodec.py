"""Pcodec."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from pcodec import ChunkConfig, standalone

from slashbench.arrays import Array
from slashbench.codecs.families.base import WholeTensorCodec, narrowest
from slashbench.codecs.families.byte_codec import level_in
from slashbench.errors import CorruptStream


class Pcodec(WholeTensorCodec):
    """Pcodec (arXiv:2502.06112): numbers in bins, and tANS over the bins.

    Integers go in their narrowest signed type, bfloat16 as 16-bit integers. The tables are one
    byte, the width of the numbers.

    Parameters
    ----------
    level : int
        0 (fast) to 12 (small).
    """

    codec_id: ClassVar[str] = "slashbench.pcodec"
    domains: ClassVar[frozenset[str]] = frozenset({"integers", "floats"})

    def __init__(self, level: int = 8) -> None:
        self.level = level_in(level, 0, 12)

    def _encode_whole(self, flat: Array) -> tuple[bytes, bytes]:
        if flat.dtype.kind in "iu":
            flat = narrowest(flat.view(f"i{flat.itemsize}"))
        config = ChunkConfig(compression_level=self.level, enable_8_bit=True)
        numbers = flat.view(_numbers(flat.dtype, flat.itemsize))
        return bytes([flat.itemsize]), bytes(standalone.simple_compress(numbers, config))

    def _decode_whole(
        self, tables: bytes, payload: bytes, count: int, dtype: np.dtype[Any]
    ) -> Array:
        integers = dtype.kind in "iu"
        if len(tables) != 1 or tables[0] not in ((1, 2, 4) if integers else (dtype.itemsize,)):
            raise CorruptStream("the tables of pcodec are damaged")
        if tables[0] > dtype.itemsize:
            raise CorruptStream(f"numbers of {tables[0]} bytes in a tensor of {dtype}")
        values = np.empty(count, _numbers(dtype, tables[0]))
        try:
            progress = standalone.simple_decompress_into(payload, values)
        except (RuntimeError, TypeError) as error:
            raise CorruptStream(f"the pcodec file is damaged ({error})") from error
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # Rust's own, which is no Exception
                raise
            raise CorruptStream(f"the pcodec file is damaged ({error})") from error
        if progress.n_processed != count or not progress.finished:
            raise CorruptStream(f"the pcodec file does not hold {count} numbers")
        return values.astype(f"i{dtype.itemsize}").view(dtype) if integers else values.view(dtype)


def _numbers(dtype: np.dtype[Any], itemsize: int) -> np.dtype[Any]:
    """The type that pcodec is handed."""
    if dtype.kind == "f":
        return dtype
    return np.dtype(f"i{itemsize}" if dtype.kind in "iu" else f"u{itemsize}")
