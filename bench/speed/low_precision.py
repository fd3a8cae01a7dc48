"""Weights as files of low precision hold them, by the rules of each format.

The integers are those of plain rounding to the largest magnitude of a tensor, row, group or block,
as most tools do it. Tools that search (llama.cpp for its K blocks, GPTQ, AWQ) write the same
layouts with other integers.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

GROUP = 128  # columns that share a scale in GPTQ and AWQ
_FP4_GROUP = 16  # in NVFP4
_BLOCK = 32  # weights of a block of GGUF


def fp8_e4m3(weight: Array) -> Array:
    """Return bytes: the largest magnitude of the tensor becomes 448."""
    scaled = weight * (np.float32(448.0) / _largest(weight))
    found: Array = scaled.astype(ml_dtypes.float8_e4m3fn).view(np.uint8)
    return found


def fp8_e5m2(weight: Array) -> Array:
    """Return bytes: a cast without a scale."""
    return weight.astype(ml_dtypes.float8_e5m2).view(np.uint8)


def fp4_e2m1(weight: Array) -> Array:
    """Return nibbles, two to a byte: the largest of sixteen neighbours becomes 6."""
    groups = _groups(weight, _FP4_GROUP)
    scaled = groups * (np.float32(6.0) / _largest(groups, 1))
    codes = scaled.astype(ml_dtypes.float4_e2m1fn).view(np.uint8) & 15
    return _in_pairs(codes.reshape(weight.shape[0], -1))


def int8_rows(weight: Array) -> Array:
    """Return int8: the largest magnitude of each row becomes 127."""
    found: Array = np.rint(weight * (np.float32(127.0) / _largest(weight, 1))).astype(np.int8)
    return found


def int4_packed(weight: Array) -> Array:
    """Return int32 with eight nibbles each, from least to largest of 128 columns, as GPTQ packs.

    As bytes, which files look at where wide integers are not worth coding.
    """
    codes = _int4(weight)[0].reshape(weight.shape).astype(np.uint32)
    columns = codes.reshape(weight.shape[0], -1, 8)
    packed = (columns << np.arange(0, 32, 4, dtype=np.uint32)).sum(2, dtype=np.uint32)
    found: Array = packed.astype("<u4").view(np.uint8)
    return found


def q8_0(weight: Array) -> Array:
    """Return blocks of Q8_0: a float16 and 32 int8."""
    blocks = _groups(weight, _BLOCK)
    scale = (_largest(blocks, 1) / np.float32(127.0)).astype(np.float16)
    codes = np.rint(blocks / np.maximum(scale.astype(np.float32), 1e-12)).clip(-128, 127)
    return _as_records(weight, scale.view(np.uint8), codes.astype(np.int8).view(np.uint8))


def q4_0(weight: Array) -> Array:
    """Return blocks of Q4_0: a float16 and 16 bytes, weight i in the low half of byte i."""
    blocks = _groups(weight, _BLOCK)
    place = np.abs(blocks).argmax(1)[:, None]
    scale = (np.take_along_axis(blocks, place, 1) / np.float32(-8.0)).astype(np.float16)
    scaled = np.divide(
        blocks, scale.astype(np.float32), out=np.zeros_like(blocks), where=scale != 0
    )
    codes = np.floor(scaled + np.float32(8.5)).clip(0, 15).astype(np.uint8)
    half = _BLOCK // 2
    return _as_records(weight, scale.view(np.uint8), codes[:, :half] | codes[:, half:] << 4)


def fp32_of_bf16(weight: Array) -> Array:
    """Return float32 that bfloat16 would hold."""
    return weight.astype(ml_dtypes.bfloat16).astype(np.float32)


def fp32_of_int8(weight: Array) -> Array:
    """Return float32 of int8 with one scale for the tensor."""
    scale = np.float32(_largest(weight) / np.float32(127.0))
    return np.rint(weight / scale).astype(np.float32) * scale


def fp32_of_int4(weight: Array) -> Array:
    """Return float32 of int4 with a scale and a zero for 128 columns."""
    codes, scale, zero = _int4(weight)
    found: Array = (codes * scale + zero).astype(np.float32).reshape(weight.shape)
    return found


def _int4(weight: Array) -> tuple[Array, Array, Array]:
    """Return (0 to 15, scale, least value) of groups of columns."""
    groups = _groups(weight, GROUP)
    low = groups.min(1, keepdims=True)
    scale = np.maximum((groups.max(1, keepdims=True) - low) / np.float32(15.0), 1e-12)
    return np.rint((groups - low) / scale), scale, low


def _groups(weight: Array, size: int) -> Array:
    """Return runs of so many columns, a row each. MiniLM's rows are whole numbers of them."""
    return weight.reshape(-1, size)


def _largest(values: Array, axis: int | None = None) -> Any:
    return np.maximum(np.abs(values).max(axis=axis, keepdims=axis is not None), np.float32(1e-12))


def _in_pairs(codes: Array) -> Array:
    """Return nibbles in bytes, the first one in the low half."""
    found: Array = codes[:, ::2] | codes[:, 1::2] << 4
    return found


def _as_records(weight: Array, *fields: Array) -> Array:
    records = np.concatenate([field.reshape(len(fields[-1]), -1) for field in fields], axis=1)
    return records.reshape(weight.shape[0], -1)
