"""The header of a plain safetensors file: read with suspicion, or composed as safetensors would.

A safetensors file is eight bytes, the length of its header; the header, a JSON object; and the
tensors' bytes, one after the other without gaps. All numbers are little-endian.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import ml_dtypes
import msgspec
import numpy as np

from slashbench.arrays import Bytes
from slashbench.errors import CorruptFile

METADATA = "__metadata__"
LONGEST_HEADER = 100_000_000  # bytes, as safetensors has it
MOST_DIMENSIONS = 64  # as NumPy has it
MOST_VALUES = 1 << 59  # of a shape, dimensions of 0 left out: NumPy's limit for its widest type


@dataclass(frozen=True, slots=True)
class Dtype:
    """What safetensors calls a type: its bits a value, and its name in NumPy where it has one."""

    bits: int
    numpy: np.dtype[Any] | None


def _numpy(name: Any) -> np.dtype[Any]:
    dtype: np.dtype[Any] = np.dtype(name).newbyteorder("<")
    return dtype


#: Every type of safetensors 0.8, in the order in which it lays tensors out, the last one first.
DTYPES = {
    "BOOL": Dtype(8, _numpy(np.bool_)),
    "F4": Dtype(4, None),
    "F6_E2M3": Dtype(6, None),
    "F6_E3M2": Dtype(6, None),
    "U8": Dtype(8, _numpy("u1")),
    "I8": Dtype(8, _numpy("i1")),
    "F8_E5M2": Dtype(8, np.dtype(ml_dtypes.float8_e5m2)),
    "F8_E4M3": Dtype(8, np.dtype(ml_dtypes.float8_e4m3fn)),
    "F8_E8M0": Dtype(8, np.dtype(ml_dtypes.float8_e8m0fnu)),
    "F8_E4M3FNUZ": Dtype(8, np.dtype(ml_dtypes.float8_e4m3fnuz)),
    "F8_E5M2FNUZ": Dtype(8, np.dtype(ml_dtypes.float8_e5m2fnuz)),
    "I16": Dtype(16, _numpy("i2")),
    "U16": Dtype(16, _numpy("u2")),
    "F16": Dtype(16, _numpy("f2")),
    "BF16": Dtype(16, np.dtype(ml_dtypes.bfloat16)),
    "I32": Dtype(32, _numpy("i4")),
    "U32": Dtype(32, _numpy("u4")),
    "F32": Dtype(32, _numpy("f4")),
    "C64": Dtype(64, _numpy("c8")),
    "F64": Dtype(64, _numpy("f8")),
    "I64": Dtype(64, _numpy("i8")),
    "U64": Dtype(64, _numpy("u8")),
}
FLOATS = ("F16", "BF16", "F32", "F64")  # what a quantiser takes
_ORDER = {name: place for place, name in enumerate(DTYPES)}
NAMES = {dtype.numpy: name for name, dtype in DTYPES.items() if dtype.numpy is not None}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One entry of a header; `begin` and `end` count from where the data begin."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def nbytes(self) -> int:
        """Return the bytes of all values."""
        return self.end - self.begin

    @property
    def count(self) -> int:
        """Return the number of values."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Header:
    """A checked header. `text` is the header as it stands in the file, with what pads it."""

    text: str
    tensors: dict[str, Tensor]  # in the order of their bytes
    metadata: dict[str, str]
    nbytes: int  # of all tensors

    @property
    def front(self) -> bytes:
        """Return what comes before the tensors' bytes."""
        data = self.text.encode()
        return struct.pack("<Q", len(data)) + data


class _HeaderEntry(msgspec.Struct):
    dtype: str
    shape: list[Annotated[int, msgspec.Meta(ge=0)]]
    data_offsets: tuple[Annotated[int, msgspec.Meta(ge=0)], Annotated[int, msgspec.Meta(ge=0)]]


def is_float(dtype: str) -> bool:
    """Return whether values of this type are parameters."""
    return dtype.startswith(("F", "BF", "C"))


def numpy_dtype(tensor: Tensor) -> np.dtype[Any]:
    """Return the NumPy type of a tensor's values. Raises CorruptFile where there is none."""
    found = DTYPES[tensor.dtype].numpy
    if found is None:
        raise CorruptFile(f"NumPy has no type for {tensor.dtype}")
    return found


def name_of(dtype: np.dtype[Any]) -> str:
    """Return what safetensors calls a NumPy type. Raises CorruptFile for one that it has not."""
    found = next((name for name, kind in DTYPES.items() if kind.numpy == dtype), None)
    if found is None:
        raise CorruptFile(f"safetensors has no type for {dtype}")
    return found


def read(data: Bytes) -> tuple[Header, int]:
    """Return (header, where the tensors' bytes begin) of a whole file.

    Raises CorruptFile for whatever is not a safetensors file without gaps and overlaps.
    """
    if data.size < 8:
        raise CorruptFile(f"it has {data.size} bytes, too few for a safetensors file")
    (length,) = struct.unpack("<Q", data[:8].tobytes())
    if length > min(LONGEST_HEADER, data.size - 8):
        raise CorruptFile(
            f"its header would take {length} bytes of {data.size}: it is no safetensors file, or "
            "cut off"
        )
    header = parse(data[8 : 8 + length].tobytes())
    if 8 + length + header.nbytes != data.size:
        raise CorruptFile(
            f"its header speaks of {header.nbytes} bytes of tensors, it has "
            f"{data.size - 8 - length}: it is cut off, or too long"
        )
    return header, 8 + length


def parse(data: bytes) -> Header:
    """Check the JSON of a header. Raises CorruptFile."""
    try:
        text = data.decode()
        found = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        metadata = found.pop(METADATA, msgspec.Raw(b"null"))
        noted = msgspec.json.decode(metadata, type=dict[str, str] | None) or {}
        entries = {name: msgspec.json.decode(raw, type=_HeaderEntry) for name, raw in found.items()}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptFile(f"its header is damaged: {error}") from error
    tensors = {}
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: tuple(item[1].data_offsets)):
        tensor = Tensor(entry.dtype, tuple(entry.shape), *entry.data_offsets)
        if tensor.dtype not in DTYPES:
            raise CorruptFile(
                f"{name!r} is of the type {tensor.dtype!r}; known are {', '.join(DTYPES)}"
            )
        if len(tensor.shape) > MOST_DIMENSIONS:
            raise CorruptFile(f"{name!r} has {len(tensor.shape)} dimensions")
        if math.prod(max(1, n) for n in tensor.shape) > MOST_VALUES:
            raise CorruptFile(f"{name!r} has the shape {list(tensor.shape)}, which no array has")
        if tensor.begin != end or tensor.end < end:
            raise CorruptFile(f"the bytes of {name!r} overlap with others, or leave a gap")
        if 8 * tensor.nbytes != tensor.count * DTYPES[tensor.dtype].bits:
            raise CorruptFile(
                f"{name!r} has {tensor.nbytes} bytes, which is not what {tensor.dtype} of shape "
                f"{list(tensor.shape)} takes"
            )
        tensors[name] = tensor
        end = tensor.end
    return Header(text, tensors, noted, end)


def compose(
    tensors: Mapping[str, tuple[str, tuple[int, ...]]], metadata: Mapping[str, str]
) -> Header:
    """Return the header that safetensors would write for these dtypes and shapes."""
    order = sorted(tensors, key=lambda name: (-_ORDER[tensors[name][0]], name))
    entries: dict[str, Any] = {METADATA: dict(metadata)} if metadata else {}
    end = 0
    for name in order:
        dtype, shape = tensors[name]
        begin, end = end, end + math.prod(shape) * DTYPES[dtype].bits // 8
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
    return parse(spell(entries))


def spell(entries: Mapping[str, Any]) -> bytes:
    """Return a header's JSON, padded to a multiple of eight bytes."""
    data = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    return data + b" " * (-len(data) % 8)
