"""ZipNN."""

from __future__ import annotations

from typing import Any, ClassVar

import ml_dtypes
import numpy as np

from slashbench.arrays import Array
from slashbench.codecs.families.base import WholeTensorCodec, narrowest
from slashbench.errors import CorruptStream

_FLOATS = {
    np.dtype(ml_dtypes.bfloat16): "bfloat16",
    np.dtype(np.float16): "float16",
    np.dtype(np.float32): "float32",
}
_BYTES = "float8_e4m3fn"  # Huff0 of the bytes as they are: its only way for other types


class ZipNN(WholeTensorCodec):
    """ZipNN (arXiv:2411.05239): byte groups of floats under Huff0. Decode trusted streams only.

    Its decoder is C that believes what it reads. Floats of 16 and 32 bits go by its own methods;
    integers in their narrowest type, and float64, go as plain bytes. The first byte of the tables
    is the width of an integer, 0 for floats.
    """

    codec_id: ClassVar[str] = "slashbench.zipnn"
    trusts_input: ClassVar[bool] = True
    domains: ClassVar[frozenset[str]] = frozenset({"integers", "floats"})

    def _encode_whole(self, flat: Array) -> tuple[bytes, bytes]:
        width = 0
        if flat.dtype.kind in "iu":
            flat = narrowest(flat.view(f"i{flat.itemsize}"))
            width = flat.itemsize
        payload = _library(flat.dtype).compress(bytearray(flat.tobytes()))
        return bytes([width]), bytes(payload)

    def _decode_whole(
        self, tables: bytes, payload: bytes, count: int, dtype: np.dtype[Any]
    ) -> Array:
        integers = dtype.kind in "iu"
        if len(tables) != 1 or tables[0] not in ((1, 2, 4) if integers else (0,)):
            raise CorruptStream("the tables of zipnn are damaged")
        if tables[0] > dtype.itemsize:
            raise CorruptStream(f"numbers of {tables[0]} bytes in a tensor of {dtype}")
        numbers = np.dtype(f"i{tables[0]}") if integers else dtype
        values = np.frombuffer(_library(numbers).decompress(payload), numbers)
        return values.astype(f"i{dtype.itemsize}").view(dtype) if integers else values


def _library(dtype: np.dtype[Any]) -> Any:
    import zipnn  # which imports torch: only those who code with it wait for that

    return zipnn.ZipNN(input_format="byte", bytearray_dtype=_FLOATS.get(dtype, _BYTES), threads=1)
