"""Names of array types: one dtype, one name, in every room."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]  # of any dtype
Bytes = npt.NDArray[np.uint8]
Int8s = npt.NDArray[np.int8]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]  # counts, lengths, positions
UInt32s = npt.NDArray[np.uint32]
UInt64s = npt.NDArray[np.uint64]  # codewords, table entries
Float32s = npt.NDArray[np.float32]
Float64s = npt.NDArray[np.float64]

#: Symbols as `ChunkedCodec` hands them to a codec: int8, int16 or int32.
Integers = npt.NDArray[Any]

#: Symbols as `SymbolCodec` hands them to a codec.
Symbols = Int32s

FloatBits = npt.NDArray[Any]  # bit patterns: uint16, uint32 or uint64

#: Symbols as entries of a table: uint8 or uint16.
Places = npt.NDArray[Any]
