"""Writers of the formats that other tools have, for tests of what reads them."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt


def write_gguf(path: Path, tensors: Mapping[str, tuple[int, list[int], bytes]]) -> None:
    """Write a GGUF file of version 3; a tensor is (type, dimensions, the first varying first)."""

    def text(said: str) -> bytes:
        return struct.pack("<Q", len(said)) + said.encode()

    words = [text(word) for word in ("a", "b")]
    entries = [
        text("general.architecture") + struct.pack("<I", 8) + text("llama"),
        text("llama.block_count") + struct.pack("<II", 4, 2),
        text("words") + struct.pack("<IIQ", 9, 8, len(words)) + b"".join(words),
    ]
    infos, blob = b"", b""
    for name, (kind, dimensions, data) in tensors.items():
        infos += text(name) + struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)
        infos += struct.pack("<IQ", kind, len(blob))
        blob += data + b"\0" * (-len(data) % 32)
    front = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(entries)) + b"".join(entries) + infos
    path.write_bytes(front + b"\0" * (-len(front) % 32) + blob)


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def onnx_tensor(name: str, kind: int, shape: tuple[int, ...], content: bytes) -> bytes:
    """Return a TensorProto; content: fields that hold its values."""
    dims = b"".join(_number(1, n) for n in shape)
    return dims + _number(2, kind) + _field(8, name.encode()) + content


def onnx_raw(data: npt.NDArray[np.generic]) -> bytes:
    """Return the field of a tensor's bytes."""
    return _field(9, data.tobytes())


def onnx_varints(number: int, values: list[int]) -> bytes:
    """Return a packed field of numbers."""
    return _field(number, b"".join(map(_varint, values)))


def onnx_beside(file: str, offset: int, length: int) -> bytes:
    """Return the fields of a tensor whose bytes stand in another file."""
    pairs = {"location": file, "offset": str(offset), "length": str(length)}
    entries = [_field(1, k.encode()) + _field(2, v.encode()) for k, v in pairs.items()]
    return b"".join(_field(13, entry) for entry in entries) + _number(14, 1)


def write_onnx(path: Path, tensors: list[bytes]) -> None:
    """Write a ModelProto whose graph has a name and these initialisers."""
    graph = _field(2, b"graph") + b"".join(_field(5, tensor) for tensor in tensors)
    path.write_bytes(_number(1, 8) + _field(2, b"tests") + _field(7, graph))
