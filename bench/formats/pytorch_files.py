"""Checkpoints that `torch.save` wrote, of both its formats: a zip archive, and before 1.6 a stream.

Their pickles are read as text (see `pickle_reading`), and tensors are views of the mapped file.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from slashbench.arrays import Bytes
from slashbench.bench.checkpoint import plain_header
from slashbench.bench.checkpoint.buffers import Mapped
from slashbench.bench.checkpoint.sources import Source
from slashbench.bench.formats import named, pickle_reading
from slashbench.bench.formats.pickle_reading import Name, Outside, Thing
from slashbench.errors import CorruptFile

ZIP = b"PK\x03\x04"
STREAM = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # its first pickle, a number

_PICKLES_BEFORE = 3  # of a stream: that number, the protocol, the sizes of C's types
_LOCAL_HEADER = 30  # bytes, before the name
_MOST_PICKLE = 1 << 28  # bytes
_DEEPEST, _MOST_NODES = 64, 1 << 17  # of the objects that are gone through for tensors

_STORAGES = {
    "BoolStorage": "BOOL", "ByteStorage": "U8", "CharStorage": "I8", "ShortStorage": "I16",
    "IntStorage": "I32", "LongStorage": "I64", "HalfStorage": "F16", "BFloat16Storage": "BF16",
    "FloatStorage": "F32", "DoubleStorage": "F64", "ComplexFloatStorage": "C64",
}  # fmt: skip
_DTYPES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64",
    "uint16": "U16", "uint32": "U32", "uint64": "U64", "float16": "F16", "bfloat16": "BF16",
    "float32": "F32", "float64": "F64", "complex64": "C64", "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2", "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "float8_e8m0fnu": "F8_E8M0",
}  # fmt: skip
_TENSOR = "torch._utils._rebuild_tensor"
_PARTS_OF_MODULES = ("_parameters", "_buffers", "_modules")


@dataclass(frozen=True, slots=True)
class _View:
    """A tensor: some values of a storage."""

    storage: str
    dtype: str
    first: int  # value of the storage
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in values


@dataclass(frozen=True, slots=True)
class _File:
    """What a checkpoint describes, and where its storages are in the file, by key."""

    root: Any
    storages: dict[str, tuple[int, int]]  # begin and end


def open_source(path: Path) -> Source:
    """Open a checkpoint; its tensors have the names of a state dict, dots between levels.

    A tensor that can't be read is left out, with the reason. Raises CorruptFile for what no
    `torch.save` wrote, and UsageError where the file can't be read.
    """
    mapped = Mapped(path)
    try:
        file = _of_zip(mapped.data, path) if _is_zip(mapped.data) else _of_stream(mapped.data)
        left_out: dict[str, str] = {}
        views = dict(_Search(file, left_out).views())
        if not views:
            why = "; ".join(f"{n or 'it'}: {w}" for n, w in list(left_out.items())[:3])
            raise CorruptFile(f"it holds no tensor that can be read{': ' + why if why else ''}")
        header = plain_header.compose({n: (v.dtype, v.shape) for n, v in views.items()}, {})
    except CorruptFile as error:
        raise CorruptFile(f"{path}: {error}") from error
    first: dict[_View, str] = {}
    tied = {n: first[v] for n, v in views.items() if first.setdefault(v, n) != n}

    def read(name: str) -> Bytes:
        view = views[name]
        begin, _ = file.storages[view.storage]
        size = plain_header.DTYPES[view.dtype].bits // 8
        begin += view.first * size
        count = math.prod(view.shape)
        if view.strides == _in_order(view.shape) or count <= 1:
            return mapped.data[begin : begin + count * size]
        flat = mapped.data[begin:]
        spread = np.lib.stride_tricks.as_strided(
            flat, (*view.shape, size), (*(size * step for step in view.strides), 1), writeable=False
        )
        return np.ascontiguousarray(spread).reshape(-1)

    def release(name: str) -> None:
        mapped.release(*file.storages[views[name].storage])

    return Source(header, read, release, tied=tied, left_out=left_out)


def _is_zip(data: Bytes) -> bool:
    return data[:4].tobytes() == ZIP


def _in_order(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the strides of a tensor whose values follow one another."""
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))


def _of_zip(data: Bytes, path: Path) -> _File:
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise CorruptFile(f"it is a damaged zip archive: {error}") from error
    roots = [name for name in entries if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(roots) != 1:
        raise CorruptFile("it is a zip archive, but none that torch.save wrote")
    folder = roots[0].removesuffix("data.pkl")

    def place(name: str) -> tuple[int, int]:
        entry = entries[name]
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise CorruptFile(f"{name} is compressed, which torch.save never does")
        begin = entry.header_offset
        local = data[begin : begin + _LOCAL_HEADER].tobytes()
        if len(local) < _LOCAL_HEADER or local[:4] != ZIP:
            raise CorruptFile(f"{name} is not where the archive says")
        begin += _LOCAL_HEADER + int.from_bytes(local[26:28], "little")
        begin += int.from_bytes(local[28:30], "little")
        if begin + entry.file_size > data.size:
            raise CorruptFile(f"{name} is cut off")
        return begin, begin + entry.file_size

    def content(name: str) -> bytes:
        begin, end = place(name)
        if end - begin > _MOST_PICKLE:
            raise CorruptFile(f"{name} has {end - begin} bytes; tensors do not stand there")
        return data[begin:end].tobytes()

    if folder + "byteorder" in entries and content(folder + "byteorder") != b"little":
        raise CorruptFile("its numbers are big-endian, which is not read here")
    stem = folder + "data/"
    storages = {n.removeprefix(stem): place(n) for n in entries if n.startswith(stem)}
    return _File(pickle_reading.read(io.BytesIO(content(roots[0]))), storages)


def _of_stream(data: Bytes) -> _File:
    if data[: len(STREAM)].tobytes() != STREAM:
        raise CorruptFile("no torch.save wrote it")
    stream = io.BufferedReader(_Raw(data))
    for _ in range(_PICKLES_BEFORE):
        pickle_reading.read(stream)
    root, listed = pickle_reading.read(stream), pickle_reading.read(stream)
    sizes = dict(_listed_storages(root))
    storages: dict[str, tuple[int, int]] = {}
    begin = stream.tell()
    for key in listed.items if isinstance(listed, Thing) else ():
        if not isinstance(key, str) or key not in sizes:
            raise CorruptFile("it lists storages that no tensor has")
        count = int.from_bytes(data[begin : begin + 8].tobytes(), "little")
        begin += 8
        end = begin + count * sizes[key]
        if end > data.size:
            raise CorruptFile("it is cut off")
        storages[key] = begin, end
        begin = end
    return _File(root, storages)


class _Raw(io.RawIOBase):
    """The mapped file as a stream, of which nothing is copied that is not read."""

    def __init__(self, data: Bytes) -> None:
        self._data, self._place = data, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any) -> int:
        found = self._data[self._place : self._place + len(buffer)]
        buffer[: found.size] = found.tobytes()
        self._place += found.size
        return int(found.size)


def _listed_storages(root: Any) -> Iterator[tuple[str, int]]:
    """Yield the key of every storage, and the bytes of a value."""
    for node in _nodes(root):
        if isinstance(node, Outside):
            key, dtype, _ = _storage(node)
            yield key, plain_header.DTYPES[dtype].bits // 8 if dtype else 1


def _nodes(root: Any) -> Iterator[Any]:
    """Yield all that a pickle describes, each once."""
    seen: set[int] = set()
    left = [root]
    while left:
        node = left.pop()
        if isinstance(node, Thing | tuple):
            if id(node) in seen:
                continue
            seen.add(id(node))
        yield node
        if isinstance(node, Thing):
            left += [*node.items, *(v for _, v in node.pairs), node.state, node.arguments]
        elif isinstance(node, tuple):
            left += node


def _storage(node: Any) -> tuple[str, str, int]:
    """Return (key, dtype or nothing, values) of a storage. Raises CorruptFile."""
    match node:
        case Outside(("storage", kind, str(key), _, int(count), *_)) if count >= 0:
            name = kind.attribute if isinstance(kind, Name) else ""
            return key, _STORAGES.get(name, ""), count
    raise CorruptFile("it refers to what is no storage of a tensor")


class _Search:
    """The tensors below what a pickle describes. left_out: filled with what can't be read."""

    def __init__(self, file: _File, left_out: dict[str, str]) -> None:
        self._file, self._left_out = file, left_out
        self._others = 0

    def views(self) -> Iterator[tuple[str, _View]]:
        """Yield names and tensors; a name that stands twice counts once."""
        names: set[str] = set()
        for name, node in self._found():
            if why := named.why_not(name, names):
                self._left_out[ascii(name)] = why
                continue
            try:
                view = self._view(node)
            except CorruptFile as error:
                self._left_out[name] = str(error)
                continue
            names.add(name)
            yield name, view
        if self._others:
            self._left_out[f"{self._others} values"] = "no tensors"

    def _found(self) -> Iterator[tuple[str, Thing]]:
        """Yield what tensors are made of, in order, with names."""
        left: list[tuple[str, Any, int]] = [("", self._file.root, 0)]
        gone_through = 0
        while left:
            name, node, depth = left.pop()
            if isinstance(node, tuple):
                node = Thing("list", items=list(node))
            if not isinstance(node, Thing):
                self._others += 1
                continue
            gone_through += 1
            if depth > _DEEPEST or gone_through > _MOST_NODES:
                raise CorruptFile("it holds objects in objects without end")
            if node.made_by.startswith("torch._") and "._rebuild_" in node.made_by:
                yield name or "tensor", node
                continue
            state = node.state.pairs if isinstance(node.state, Thing) else []
            for key, value in reversed([*node.pairs, *enumerate(node.items), *state]):
                if isinstance(key, str | int):
                    left.append((_joined(name, key), value, depth + 1))
                else:
                    self._others += 1

    def _view(self, node: Thing) -> _View:
        """Return the tensor that such a call would build. Raises CorruptFile for other kinds."""
        arguments = node.arguments
        match node.made_by, arguments:
            case ("torch._utils._rebuild_parameter", (Thing() as inner, *_)) | (
                "torch._utils._rebuild_parameter_with_state", (Thing() as inner, *_),
            ):  # fmt: skip
                return self._view(inner)
            case "torch._tensor._rebuild_from_type_v2", (Name() as called, _, tuple() as inner, *_):
                return self._view(Thing(str(called), inner))
        versions = {_TENSOR: 4, f"{_TENSOR}_v2": 4, f"{_TENSOR}_v3": 7}
        least = versions.get(node.made_by)
        if least is None or not isinstance(arguments, tuple) or len(arguments) < least:
            raise CorruptFile(f"{node.made_by} makes it, which is no plain tensor")
        storage, first, shape, strides = arguments[:4]
        key, dtype, _ = _storage(storage)
        if least == 7 and isinstance(arguments[6], Name):
            dtype = _DTYPES.get(arguments[6].attribute, "")
        if not dtype:
            raise CorruptFile("safetensors has no type for its values")
        return self._checked(_View(key, dtype, first, shape, strides))

    def _checked(self, view: _View) -> _View:
        """Return the view if all its values are in the file. Raises CorruptFile."""
        numbers = _ints((view.first, *_ints(view.shape), *_ints(view.strides)))
        if min(numbers) < 0 or len(view.shape) != len(view.strides):
            raise CorruptFile("its shape is damaged")
        if len(view.shape) > plain_header.MOST_DIMENSIONS - 1:
            raise CorruptFile(f"it has {len(view.shape)} dimensions")
        if view.storage not in self._file.storages:
            raise CorruptFile("its values are not in the file")
        begin, end = self._file.storages[view.storage]
        size = plain_header.DTYPES[view.dtype].bits // 8
        count = math.prod(view.shape)
        steps = zip(view.shape, view.strides, strict=True)
        last = view.first + sum((n - 1) * step for n, step in steps)
        if count and (last + 1) * size > end - begin:
            raise CorruptFile("its values reach beyond the file's")
        if count * size > end - begin:
            raise CorruptFile("it repeats values of its storage; save a copy of it (.contiguous())")
        return view


def _ints(found: Any) -> tuple[int, ...]:
    if not isinstance(found, tuple) or not all(type(n) is int for n in found):
        raise CorruptFile("its shape is damaged")
    return found


def _joined(name: str, key: str | int) -> str:
    """Return the name of a member, as a state dict has it."""
    if key in _PARTS_OF_MODULES:
        return name
    return f"{name}.{key}" if name else str(key)
