"""The metadata of a compressed checkpoint, formats 2 and 3 (codecs/FORMAT.md).

Format 3 is format 2 with a base: a file has it only if it is a delta, so that an older reader
refuses it.

The file is a safetensors file. The entry "slashbench" of its metadata is a CRC-32 in eight hex
digits and a JSON object that begins with the version. All versions of the format share this much,
so that an old reader can say that a file is too new.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from slashbench.arrays import Bytes
from slashbench.bench.checkpoint import plain_header
from slashbench.bench.checkpoint.plain_header import Header
from slashbench.errors import CorruptFile
from slashbench.grid import ChannelScales, Codebook, Grid, TensorScale

FORMAT = 3  # the newest that is read
ALONE, ON_BASE = 2, 3  # what is written
METADATA_KEY = "slashbench"
QUANTIZER_KEY = "slashbench.quantiser"
STORED = -1  # in place of a codec: the bytes are the tensor's own
SAME = -2  # in place of a codec: there are none, they are those of the base

Natural = Annotated[int, msgspec.Meta(ge=0)]
Word = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]

_ROOM, _RATIO = 1 << 20, 64  # the contents, unpacked: at most so many bytes, plus so many times


class Codec(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A codec with its settings, as its registry knows it."""

    name: str
    settings: dict[str, Any]


class BaseFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base that a delta was made from: the hash of all its tensors, and what it was called."""

    hash: str
    name: str


class Contents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the file stands for, and what has to be known to read it."""

    header: str  # of the plain safetensors file that it stands for
    codecs: list[Codec]
    tied: dict[str, str] = {}  # names that share the memory of another name's tensor
    copies: dict[str, str] = {}  # names whose tensor has the bytes of another name's


class _DeltaContents(Contents, frozen=True, kw_only=True, forbid_unknown_fields=True):
    base: BaseFile


class QuantizedBy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The quantiser that made a file's integers, as its registry knows it."""

    name: str
    revision: int
    settings: dict[str, Any]


class _MetadataEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: int
    contents: str  # base64 of zlib of the JSON of Contents


class _TensorScale(msgspec.Struct, frozen=True, array_like=True, tag=1):
    step: float


class _ChannelScales(msgspec.Struct, frozen=True, array_like=True, tag=2):
    dtype: Literal["<f2", "<f4"]
    shape: list[Natural]
    data: bytes


class _Codebook(msgspec.Struct, frozen=True, array_like=True, tag=3):
    data: bytes  # float32


class _RowsAndColumns(msgspec.Struct, frozen=True, array_like=True, tag=4):
    dtype: Literal["<f2", "<f4"]
    rows: bytes
    columns: bytes


_StoredGrid = _TensorScale | _ChannelScales | _Codebook | _RowsAndColumns


class _Tail(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The end of a tensor's bytes, which says what the rest is."""

    unit: Annotated[int, msgspec.Meta(ge=1)]
    segments: list[tuple[int, Natural, Word]]  # codec or STORED, bytes, CRC-32 if stored
    grid: _StoredGrid | None = None


class _BaseTensor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    name: str
    hash: Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]


class _DeltaTail(_Tail, frozen=True, array_like=True, forbid_unknown_fields=True):
    base: _BaseTensor | None = None


@dataclass(frozen=True, slots=True)
class BaseTensor:
    """The tensor of the base that one is kept as a difference from."""

    name: str
    hash: bytes  # of its bytes (codecs/families/delta_codec.py)


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of a tensor, coded or stored for itself: bytes `begin` to `end` of the file."""

    codec: int  # its place in `Index.codecs`, or STORED, or SAME
    begin: int
    end: int
    checksum: int = 0  # CRC-32 of a stored one, and of what is rebuilt with a base but by a codec
    seed: int = 0  # what the CRC-32 starts from


@dataclass(frozen=True, slots=True)
class Blob:
    """How one tensor is kept. Segment i is values, or bytes, from i * unit on.

    unit: values where there is a grid, bytes of the plain tensor where there is none.
    """

    unit: int
    segments: list[Segment]
    grid: Grid | None = None
    base: BaseTensor | None = None  # what decoding needs; a grid's weights are added to it


@dataclass(frozen=True, slots=True)
class Index:
    """Where to find what in a compressed checkpoint, whatever its version."""

    version: int
    header: Header  # of the plain file that it stands for
    codecs: list[Codec]
    tied: Mapping[str, str]
    copies: Mapping[str, str]
    sizes: Mapping[str, int]  # bytes of each tensor by name; tied ones and copies have none
    blob: Callable[[str], Blob]  # of a name in `sizes`. Raises CorruptFile.
    quantized_by: QuantizedBy | None = None  # None: nothing is quantized, or the file doesn't say
    base: BaseFile | None = None  # of a delta


def version_of(outer: Header) -> tuple[int, bytes]:
    """Return (version, the JSON entry) of a file's metadata. Raises CorruptFile."""
    entry = outer.metadata.get(METADATA_KEY)
    if entry is None:
        raise CorruptFile("this safetensors file was not written by slashbench")
    text = _checked(entry)
    try:
        version = msgspec.json.decode(text).get("format")
    except (msgspec.DecodeError, AttributeError, RecursionError) as error:
        raise CorruptFile(f"the file's contents are damaged: {error}") from error
    if not isinstance(version, int) or not 1 <= version <= FORMAT:
        raise CorruptFile(
            f"file format {version}; this slashbench reads up to {FORMAT}: upgrade slashbench"
        )
    return version, text


def metadata(
    contents: Contents, quantized_by: QuantizedBy | None = None, base: BaseFile | None = None
) -> dict[str, str]:
    """Return the safetensors metadata that describes a file."""
    if base is not None:
        contents = _DeltaContents(**msgspec.structs.asdict(contents), base=base)
    inner = msgspec.json.encode(contents)
    packed = zlib.compress(inner, 9)
    if len(inner) > _ROOM + _RATIO * len(packed):  # more than a reader will unpack
        packed = zlib.compress(inner, 0)
    entry = _MetadataEntry(
        format=ALONE if base is None else ON_BASE, contents=base64.b64encode(packed).decode()
    )
    found = {METADATA_KEY: _with_checksum(msgspec.json.encode(entry))}
    if quantized_by is not None:
        found[QUANTIZER_KEY] = _with_checksum(msgspec.json.encode(quantized_by))
    return found


def _with_checksum(text: bytes) -> str:
    return f"{zlib.crc32(text):08x}{text.decode()}"


def _checked(entry: str) -> bytes:
    """Return the text of a metadata entry. Raise CorruptFile where its checksum is wrong."""
    checksum, text = entry[:8], entry[8:].encode()
    if checksum != f"{zlib.crc32(text):08x}":
        raise CorruptFile("the checksum of the file's contents does not match: it is damaged")
    return text


def index(data: Bytes, outer: Header, start: int, text: bytes) -> Index:
    """Return the index of a file of version 2 or 3. start: where its tensors' bytes begin.

    Raises CorruptFile.
    """
    version, contents = _unpacked(text)
    delta = version == ON_BASE
    header = plain_header.parse(contents.header.encode())
    aliases = {**contents.tied, **contents.copies}
    if len(aliases) < len(contents.tied) + len(contents.copies):
        raise CorruptFile("a name is both tied and a copy")
    for name, other in aliases.items():
        same = header.tensors.get(name), header.tensors.get(other)
        if other not in outer.tensors or name in outer.tensors or None in same:
            raise CorruptFile(f"the tied name {name!r} leads nowhere")
        if (same[0].dtype, same[0].shape) != (same[1].dtype, same[1].shape):  # type: ignore[union-attr]
            raise CorruptFile(f"{name!r} is no tensor of the kind of {other!r}")
    if header.tensors.keys() != outer.tensors.keys() | aliases.keys():
        raise CorruptFile("its tensors are not those that its contents list")
    for name, tensor in outer.tensors.items():
        if tensor.dtype != "U8" or len(tensor.shape) != 1:
            raise CorruptFile(f"{name!r} should be bytes")

    def blob(name: str) -> Blob:
        tensor = outer.tensors[name]
        begin, end = start + tensor.begin, start + tensor.end
        return _blob(name, data, begin, end, header.tensors[name], delta)

    sizes = {name: tensor.nbytes for name, tensor in outer.tensors.items()}
    return Index(
        version, header, contents.codecs, contents.tied, contents.copies, sizes, blob,
        _quantized_by(outer), getattr(contents, "base", None),
    )  # fmt: skip


def _quantized_by(outer: Header) -> QuantizedBy | None:
    entry = outer.metadata.get(QUANTIZER_KEY)
    if entry is None:
        _refuse_a_damaged_name(outer)
        return None
    try:
        return msgspec.json.decode(_checked(entry), type=QuantizedBy)
    except (msgspec.DecodeError, RecursionError) as error:
        raise CorruptFile(f"what the file says of its quantiser is damaged: {error}") from error


def _refuse_a_damaged_name(outer: Header) -> None:
    """Raise CorruptFile if an entry of another name says what a quantiser's does."""
    for name in outer.metadata.keys() - {METADATA_KEY}:
        try:
            msgspec.json.decode(_checked(outer.metadata[name]), type=QuantizedBy)
        except (CorruptFile, msgspec.DecodeError, RecursionError):
            continue
        raise CorruptFile(f"the metadata {name!r} should be {QUANTIZER_KEY!r}: the file is damaged")


def tail(
    name: str,
    unit: int,
    segments: list[tuple[int, int, int]],
    grid: Grid | None,
    base: BaseTensor | None = None,
    *,
    delta: bool = False,
) -> bytes:
    """Return what follows a tensor's segments, each (codec, STORED or SAME, bytes, CRC-32).

    delta: whether the file has a base, even if this tensor makes no use of it.
    """
    found = _Tail(unit, segments, _grid_out(grid))
    if delta:
        on = None if base is None else _BaseTensor(base.name, base.hash)
        found = _DeltaTail(found.unit, found.segments, found.grid, on)
    body = msgspec.msgpack.encode(found)
    return body + len(body).to_bytes(4, "little") + _tail_checksum(name, body)


def _tail_checksum(name: str, body: bytes) -> bytes:
    """Return the checksum of a tail and of its name, so that no tensors change places."""
    return zlib.crc32(body, zlib.crc32(name.encode())).to_bytes(4, "little")


def _blob(
    name: str, data: Bytes, begin: int, end: int, tensor: plain_header.Tensor, delta: bool
) -> Blob:
    length = int.from_bytes(data[max(begin, end - 8) : end - 4].tobytes(), "little")
    if length > end - begin - 8:
        raise CorruptFile(f"{name!r} is too short for what its end says")
    body = data[end - 8 - length : end - 8].tobytes()
    if _tail_checksum(name, body) != data[end - 4 : end].tobytes():
        raise CorruptFile(f"{name!r}: checksum mismatch, the file is damaged")
    try:
        found: _Tail = msgspec.msgpack.decode(body, type=_DeltaTail if delta else _Tail)
        grid, on = _grid_in(found.grid), getattr(found, "base", None)
    except (msgspec.DecodeError, ValueError) as error:
        raise CorruptFile(f"{name!r} is damaged: {error}") from error
    segments = []
    for codec, size, checksum in found.segments:
        if codec == SAME and (size or on is None or grid is not None):
            raise CorruptFile(f"{name!r} has a segment like that of a base it doesn't have")
        segments.append(Segment(codec, begin, begin + size, checksum))
        begin += size
    total = tensor.nbytes if grid is None else tensor.count
    if begin != end - 8 - length or len(segments) != -(-total // found.unit):
        raise CorruptFile(f"{name!r} has segments that do not make up its {tensor.nbytes} bytes")
    return Blob(found.unit, segments, grid, on and BaseTensor(on.name, on.hash))


def _unpacked(text: bytes) -> tuple[int, Contents]:
    """Return the version, 2 or 3, and the contents of that version."""
    try:
        entry = msgspec.json.decode(text, type=_MetadataEntry)
        packed = base64.b64decode(entry.contents, validate=True)
        unpacker = zlib.decompressobj()
        inner = unpacker.decompress(packed, _ROOM + _RATIO * len(packed))
        if not unpacker.eof or unpacker.unused_data:
            raise CorruptFile("the file's contents are cut off, or far too long")
        delta = entry.format == ON_BASE
        return entry.format, msgspec.json.decode(inner, type=_DeltaContents if delta else Contents)
    except (msgspec.DecodeError, ValueError, zlib.error, RecursionError) as error:
        if isinstance(error, CorruptFile):
            raise
        raise CorruptFile(f"the file's contents are damaged: {error}") from error


def _grid_out(grid: Grid | None) -> _StoredGrid | None:
    match grid:
        case TensorScale(step):
            return _TensorScale(step)
        case ChannelScales(steps, None):
            kept = np.asarray(steps, f"<f{steps.itemsize}", order="C")
            return _ChannelScales(kept.dtype.str, list(kept.shape), kept.tobytes())  # type: ignore[arg-type]
        case ChannelScales(rows, columns):
            dtype: Literal["<f2", "<f4"] = "<f2" if rows.itemsize == 2 else "<f4"
            both = (np.asarray(part, dtype).tobytes() for part in (rows, columns))
            return _RowsAndColumns(dtype, *both)
        case Codebook(levels):
            return _Codebook(np.asarray(levels, "<f4").tobytes())
    return None


def _grid_in(found: _StoredGrid | None) -> Grid | None:
    """Return the grid. Raise ValueError where bytes and shape do not go together."""
    match found:
        case _TensorScale(step):
            return TensorScale(step)
        case _ChannelScales(dtype, shape, data):
            return ChannelScales(np.frombuffer(data, dtype).reshape(shape))
        case _RowsAndColumns(dtype, rows, columns):
            return ChannelScales(np.frombuffer(rows, dtype), np.frombuffer(columns, dtype))
        case _Codebook(data):
            return Codebook(np.frombuffer(data, "<f4"))
    return None
