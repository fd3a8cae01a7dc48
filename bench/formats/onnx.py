"""The initialisers of ONNX models, read from the protocol buffer itself: no ONNX is needed.

Weights that stand in files beside the model are read from there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from slashbench.arrays import Bytes
from slashbench.bench.checkpoint import plain_header
from slashbench.bench.checkpoint.buffers import Mapped
from slashbench.bench.checkpoint.sources import Source
from slashbench.bench.formats import named
from slashbench.errors import CorruptFile

#: ONNX's types of numbers, as safetensors calls them.
_DTYPES = {
    1: "F32", 2: "U8", 3: "I8", 4: "U16", 5: "I16", 6: "I32", 7: "I64", 9: "BOOL", 10: "F16",
    11: "F64", 12: "U32", 13: "U64", 14: "C64", 16: "BF16", 17: "F8_E4M3", 18: "F8_E4M3FNUZ",
    19: "F8_E5M2", 20: "F8_E5M2FNUZ",
}  # fmt: skip
_GRAPH, _INITIALIZER = 7, 5  # of ModelProto, of GraphProto
# Of TensorProto: fields of numbers, each with the type that they are spelled in; "varint" has none.
_DIMS, _TYPE, _NAME, _RAW, _EXTERNAL, _LOCATION = 1, 2, 8, 9, 13, 14
_TYPED = {4: "<f4", 5: "varint", 7: "varint", 10: "<f8", 11: "varint"}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # wire types


@dataclass(slots=True)
class _Initializer:
    """A tensor as the model has it; its bytes are `where`, or `values` that were spelled apart."""

    name: str = ""
    kind: int = 0
    shape: list[int] = field(default_factory=list)
    where: tuple[str, int, int] | None = None  # file ("" for the model's own), begin, end
    values: Bytes | None = None
    external: dict[str, str] = field(default_factory=dict)
    beside: bool = False


def open_source(path: Path) -> Source:
    """Open an ONNX model. Initialisers without a type in safetensors are left out and named.

    Raises CorruptFile for what is no ONNX model, or damaged, and UsageError for a file that can't
    be read.
    """
    files = {"": Mapped(path)}
    left_out: dict[str, str] = {}
    try:
        found = dict(_tensors(path, files, left_out))
        if not found:
            raise CorruptFile("it holds no initialisers: it is no ONNX model, or one without any")
        kinds = {n: (_DTYPES[each.kind], tuple(each.shape)) for n, each in found.items()}
        header = plain_header.compose(kinds, {})
    except CorruptFile as error:
        raise CorruptFile(f"{path}: {error}") from error

    def read(name: str) -> Bytes:
        each = found[name]
        if each.where is None:
            assert each.values is not None
            return each.values
        file, begin, end = each.where
        return files[file].data[begin:end]

    def release(name: str) -> None:
        if (where := found[name].where) is not None:
            files[where[0]].release(*where[1:])

    return Source(header, read, release, left_out=left_out)


def _tensors(
    path: Path, files: dict[str, Mapped], left_out: dict[str, str]
) -> Iterator[tuple[str, _Initializer]]:
    data = files[""].data
    names: set[str] = set()
    for number, begin, end in _messages(data, 0, data.size):
        if number != _GRAPH:
            continue
        for inner, first, last in _messages(data, begin, end):
            if inner != _INITIALIZER:
                continue
            each = _initializer(data, first, last)
            if each.beside:
                each.where = _beside(path, each, files)
            why = named.why_not(each.name, names) or _why_not(each)
            if why:
                left_out[ascii(each.name)] = why
                continue
            names.add(each.name)
            yield each.name, each


def _why_not(each: _Initializer) -> str:
    """Return why a tensor is left out, in words; empty if it is not. Raises CorruptFile."""
    if each.kind not in _DTYPES:
        return f"ONNX's type {each.kind} has none in safetensors"
    size = math.prod(each.shape) * plain_header.DTYPES[_DTYPES[each.kind]].bits // 8
    if each.where is None and each.values is None:
        each.values = np.empty(0, np.uint8)
    elif each.where is None:
        each.values = _narrow(each)
    there = each.values.size if each.values is not None else each.where[2] - each.where[1]  # type: ignore[index]
    if there != size:
        raise CorruptFile(f"{each.name!r} has {there} bytes, its shape takes {size}")
    return ""


def _narrow(each: _Initializer) -> Bytes:
    """Return the bytes of numbers that are spelled in a wider type, as ONNX does for some."""
    assert each.values is not None
    bits = plain_header.DTYPES[_DTYPES[each.kind]].bits
    if each.values.dtype.kind != "i":
        return each.values.view(np.uint8)
    return each.values.astype(f"<i{bits // 8}").view(np.uint8)


def _initializer(data: Bytes, begin: int, end: int) -> _Initializer:
    found = _Initializer()
    for number, first, last, value in _fields(data, begin, end):
        if number == _DIMS:
            found.shape += [value] if value is not None else _varints(data, first, last)
        elif number == _TYPE and value is not None:
            found.kind = value
        elif number == _LOCATION:
            found.beside = value == 1
        elif value is not None:
            continue
        elif number == _NAME:
            found.name = data[first:last].tobytes().decode("utf-8", "replace")
        elif number == _RAW:
            found.where = "", first, last
        elif number == _EXTERNAL:
            key, said = _pair(data, first, last)
            found.external[key] = said
        elif number in _TYPED and last > first:
            if _TYPED[number] != "varint" and (last - first) % np.dtype(_TYPED[number]).itemsize:
                raise CorruptFile("numbers of a tensor are cut off")
            found.values = (
                np.array(_varints(data, first, last), np.uint64).view(np.int64)
                if _TYPED[number] == "varint"
                else np.frombuffer(data[first:last].tobytes(), _TYPED[number])
            )
    if min(found.shape, default=0) < 0 or len(found.shape) > plain_header.MOST_DIMENSIONS:
        raise CorruptFile("the shape of a tensor is damaged")
    return found


def _pair(data: Bytes, begin: int, end: int) -> tuple[str, str]:
    """Return key and value of an entry."""
    texts = {1: "", 2: ""}
    for number, first, last in _messages(data, begin, end):
        texts[number] = data[first:last].tobytes().decode("utf-8", "replace")
    return texts[1], texts[2]


def _beside(path: Path, each: _Initializer, files: dict[str, Mapped]) -> tuple[str, int, int]:
    """Return where the bytes are of a tensor that stands in a file beside the model."""
    name = each.external.get("location", "")
    if Path(name).name != name or "\\" in name or name in ("", ".", ".."):
        raise CorruptFile(f"{each.name!r} would be in {name!r}, which is no file of the folder")
    if name not in files:
        if not (path.parent / name).is_file():
            raise CorruptFile(f"{each.name!r} is in {name}, which is not there")
        files[name] = Mapped(path.parent / name)
    try:
        begin = int(each.external.get("offset", "0"))
        end = begin + int(each.external.get("length", str(files[name].data.size - begin)))
    except ValueError as error:
        raise CorruptFile(f"where {each.name!r} is in {name} is no number") from error
    if not 0 <= begin <= end <= files[name].data.size:
        raise CorruptFile(f"{each.name!r} reaches beyond {name}")
    return name, begin, end


def _messages(data: Bytes, begin: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, begin and end of the fields that are bytes."""
    for number, first, last, value in _fields(data, begin, end):
        if value is None:
            yield number, first, last


def _fields(data: Bytes, begin: int, end: int) -> Iterator[tuple[int, int, int, int | None]]:
    """Yield number, begin, end and, of a number, the value of each field. Raises CorruptFile."""
    place = begin
    while place < end:
        key, place = _varint(data, place, end)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, place = _varint(data, place, end)
            yield number, place, place, value
            continue
        if wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        elif wire == _BYTES:
            size, place = _varint(data, place, end)
        else:
            raise CorruptFile("it is no protocol buffer, or damaged")
        if size > end - place:
            raise CorruptFile("it is cut off, or no protocol buffer")
        yield number, place, place + size, None
        place += size


def _varint(data: Bytes, place: int, end: int) -> tuple[int, int]:
    """Return a number of at most 64 bits, and where it ends."""
    value = shift = 0
    while place < end and shift < 64:
        byte = int(data[place])
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
    raise CorruptFile("it is no protocol buffer, or damaged")


def _varints(data: Bytes, begin: int, end: int) -> list[int]:
    found = []
    while begin < end:
        value, begin = _varint(data, begin, end)
        found.append(value & (1 << 64) - 1)
    return found
