"""Compressed checkpoints that look right and are not: real ones, bent where checksums don't tell.

A file is taken apart into what it says and what it holds; one of these is bent, and the file put
together again with checksums that match. `Files` is what a campaign needs to know of them.
"""

from __future__ import annotations

import base64
import copy
import io
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from slashbench.bench.checkpoint import (
    convert,
    encoder,
    file_format,
    plain_header,
)
from slashbench.bench.checkpoint.base import Base
from slashbench.bench.checkpoint.encoder import Coding
from slashbench.bench.checkpoint.file_format import METADATA_KEY, QUANTIZER_KEY
from slashbench.bench.checkpoint.reader import Checkpoint
from slashbench.bench.checkpoint.sources import Source
from slashbench.bench.checkpoint.writer import CodedSegment, Piece, write
from slashbench.codecs.catalog import CODECS
from slashbench.errors import CorruptFile, UsageError
from slashbench.grid import ChannelScales, Codebook, Grid, TensorScale
from slashbench.link import only
from slashbench.trainers.catalog import QUANTISERS
from tests.helpers import stream_mutator as streams

GOLDEN = Path(__file__).parents[1] / "golden" / "files"
EXTREMES = [0, 1, 2, 3, 7, 8, 255, 4096, 1 << 20, (1 << 31) - 1, 1 << 32, (1 << 63) - 1, 1 << 64]
NAMES = ["", ".", "../../x", "/etc/passwd", "a/b", "w\0", "grid:w", "__metadata__", "ü" * 50]
CODEC_NAMES = ["huffman", "rans", "rans-classes", "max", "float-rans", "pack", "zipnn", "entropy",
               "numcodecs.zlib", "numcodecs.pickle", "no such"]  # fmt: skip


@dataclass
class Parts:
    """A file in pieces. Version 1 keeps what it says in `entry`; later ones in `contents`."""

    version: int
    entry: dict[str, Any]  # of the metadata, without the contents of version 2
    contents: dict[str, Any]
    outer: dict[str, dict[str, Any]]  # the header, without offsets
    bodies: dict[str, bytes]  # of each tensor; in version 2 without the tail
    tails: dict[str, list[Any]] = field(default_factory=dict)
    offsets: dict[str, list[int]] = field(default_factory=dict)  # that lie
    quantized_by: Any = None  # what a quantized file says of its quantiser

    @classmethod
    def of(cls, data: bytes) -> Parts:
        """Take a real file apart."""
        header, start = plain_header.read(np.frombuffer(data, np.uint8))
        entry = json.loads(header.metadata[METADATA_KEY][8:])
        outer = {n: {"dtype": t.dtype, "shape": list(t.shape)} for n, t in header.tensors.items()}
        bodies = {n: data[start + t.begin : start + t.end] for n, t in header.tensors.items()}
        if entry["format"] == 1:
            return cls(1, entry, {}, outer, bodies)
        contents = json.loads(zlib.decompress(base64.b64decode(entry.pop("contents"))))
        tails = {}
        for name, body in bodies.items():
            length = int.from_bytes(body[-8:-4], "little")
            tails[name] = msgspec.msgpack.decode(body[-8 - length : -8])
            bodies[name] = body[: -8 - length]
        said = header.metadata.get(QUANTIZER_KEY)
        quantized_by = None if said is None else json.loads(said[8:])
        version = entry["format"]
        return cls(version, entry, contents, outer, bodies, tails, quantized_by=quantized_by)

    def built(self) -> bytes:
        """The file, with checksums that match."""
        entry = dict(self.entry)
        bodies = dict(self.bodies)
        if self.version >= 2:
            inner = json.dumps(self.contents).encode()
            entry["contents"] = base64.b64encode(zlib.compress(inner, 1)).decode()
            for name, tail in self.tails.items():
                end = msgspec.msgpack.encode(tail)
                sums = zlib.crc32(end, zlib.crc32(name.encode("utf-8", "replace")))
                bodies[name] += end + struct.pack("<II", len(end), sums)
        told = {METADATA_KEY: entry}
        if self.quantized_by is not None:
            told[QUANTIZER_KEY] = self.quantized_by
        texts = {key: json.dumps(entry) for key, entry in told.items()}
        metadata = {key: f"{zlib.crc32(t.encode()):08x}{t}" for key, t in texts.items()}
        header: dict[str, Any] = {plain_header.METADATA: metadata}
        at = 0
        for name, body in bodies.items():
            told = self.outer.get(name, {"dtype": "U8", "shape": [len(body)]})
            shape = [len(body)] if self.version >= 2 and len(told["shape"]) == 1 else told["shape"]
            offsets = self.offsets.get(name, [at, at + len(body)])
            header[name] = {"dtype": told["dtype"], "shape": shape, "data_offsets": offsets}
            at += len(body)
        spelled = json.dumps(header).encode()
        return struct.pack("<Q", len(spelled)) + spelled + b"".join(bodies.values())


def originals() -> list[Parts]:
    """Real files, small: each way a tensor is kept, several segments, both versions."""
    bell = streams.bell
    kept = {
        "w": (bell(600).reshape(30, 20) / 7).astype(np.float32),
        "b": (bell(64) / 7).astype(np.float16),
        "i": np.arange(200),
    }
    same = {"x": bell(400).astype(np.int8), "y": bell(400).astype(np.int8), "z": bell(90) > 0}
    files = [
        _file(tensors, None)
        for tensors in (kept, same, {"w": kept["w"], "none": np.zeros((0, 3), "f4")})
    ]
    files.append(_file({"w": kept["w"], "b": kept["b"]}, "quantize:step=0.25:unit=std"))
    ramp = np.linspace(0.5, 3, 60, dtype=np.float32)
    by_group = ChannelScales(ramp.reshape(30, 2).astype("f2"))
    by_both = ChannelScales(ramp[:30], ramp[:20])
    grids = (ChannelScales(ramp[:30]), by_group, by_both, Codebook(ramp[:16]), TensorScale(0.5))
    files += [_gridded(grid) for grid in grids]
    files += [path.read_bytes() for path in sorted(GOLDEN.glob("format1-*"))]
    return [Parts.of(file) for file in files]


def _file(tensors: dict[str, Any], quantiser: str | None) -> bytes:
    """What `bench compress` makes, were segments short and small tensors worth coding."""
    header = plain_header.compose(
        {n: (plain_header.NAMES[a.dtype], a.shape) for n, a in tensors.items()}, {"k": "v"}
    )
    source = Source(header, lambda name: tensors[name].reshape(-1).view(np.uint8))
    usual = encoder.SEGMENT, encoder.SMALL
    encoder.SEGMENT, encoder.SMALL = 700, 100
    file = io.BytesIO()
    try:
        convert.compress(file, source, Coding.of(None, quantiser and only(QUANTISERS, quantiser)))
    finally:
        encoder.SEGMENT, encoder.SMALL = usual
    return file.getvalue()


def _gridded(grid: Grid) -> bytes:
    """A tensor in two segments, and one that is tied to it."""
    values = np.abs(streams.bell(600).reshape(30, 20)) % 16
    parts = [values[:20], values[20:]]
    codec = CODECS.get("huffman")()
    piece = Piece("q", 400, [CodedSegment(0, codec.pieces(part)) for part in parts], grid)
    kind = "BF16", values.shape
    file = io.BytesIO()
    header = plain_header.compose({"q": kind, "tied": kind}, {})
    write(file, header, [file_format.Codec("huffman", {"max_length": 12})], [piece], {"tied": "q"})
    return file.getvalue()


Rng = np.random.Generator


def _one(rng: Rng, things: Any) -> Any:
    return things[int(rng.integers(len(things)))]


def _number(rng: Rng, value: Any) -> Any:
    """Another number, or what is none."""
    near = value if isinstance(value, int) and abs(value) < 1 << 40 else 5
    return _one(rng, [near + 1, near - 1, near * 2, near // 2, -1, 1.5, None, "1", [], *EXTREMES])


def _bent_json(rng: Rng, value: Any) -> Any:
    """A JSON value with one thing in it changed."""
    if isinstance(value, dict) and value:
        key = _one(rng, list(value))
        match int(rng.integers(8)):
            case 0:
                return {k: v for k, v in value.items() if k != key}
            case 1:
                return {(_one(rng, NAMES) if k == key else k): v for k, v in value.items()}
            case 2:
                return {**value, _one(rng, NAMES): value[key]}
            case 3:
                return {**value, key: value[_one(rng, list(value))]}
            case _:
                return {**value, key: _bent_json(rng, value[key])}
    if isinstance(value, list) and value:
        place = int(rng.integers(len(value)))
        match int(rng.integers(8)):
            case 0:
                return value[:place] + value[place + 1 :]
            case 1:
                return [*value[:place], value[place], *value[place:]]
            case _:
                return [*value[:place], _bent_json(rng, value[place]), *value[place + 1 :]]
    if isinstance(value, str):
        return _one(rng, [*NAMES, *plain_header.DTYPES, *CODEC_NAMES, value + "x", 7, None])
    if isinstance(value, bytes):
        return streams.bent(rng, value)
    return _number(rng, value)


def _bend_header(rng: Rng, parts: Parts) -> None:
    """What the plain file's header says."""
    if parts.version == 1:
        parts.entry = _bent_json(rng, parts.entry)
        return
    text = parts.contents["header"]
    if rng.random() < 0.15:
        bent = streams.bent(rng, text.encode()).decode(errors="replace")
    else:
        told = json.loads(text)
        name = _one(rng, list(told))
        if rng.random() < 0.6:  # another kind of tensor; else anything
            told[name] = _bent_json(rng, told[name])
        else:
            told = _bent_json(rng, told)
        bent = json.dumps(_consistent(told) if rng.random() < 0.7 else told)
    parts.contents = {**parts.contents, "header": bent}


def _consistent(told: Any) -> Any:
    """The header with offsets that go with its dtypes and shapes, where they have any."""
    at = 0
    try:
        for name, entry in told.items():
            if name != plain_header.METADATA:
                size = (
                    int(np.prod([float(n) for n in entry["shape"]]))
                    * plain_header.DTYPES[entry["dtype"]].bits
                    // 8
                )
                entry["data_offsets"] = [at, at + size]
                at += size
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        pass
    return told


def _bend_contents(rng: Rng, parts: Parts) -> None:
    if parts.version == 1:
        parts.entry = _bent_json(rng, parts.entry)
        return
    key = _one(rng, ["codecs", "tied", "copies"])
    if key == "codecs" or rng.random() < 0.2:
        parts.contents = {**parts.contents, "codecs": _bent_json(rng, parts.contents["codecs"])}
        return
    names = [*json.loads(parts.contents["header"]), *NAMES]
    ties = {**parts.contents.get(key, {}), _one(rng, names): _one(rng, names)}
    parts.contents = {**parts.contents, key: ties}
    if rng.random() < 0.5:
        parts.bodies = {name: body for name, body in parts.bodies.items() if name not in ties}
        parts.tails = {name: tail for name, tail in parts.tails.items() if name not in ties}


def _bend_quantized_by(rng: Rng, parts: Parts) -> None:
    if parts.quantized_by is None:
        return _bend_contents(rng, parts)
    parts.quantized_by = _bent_json(rng, parts.quantized_by)
    return None


def _bend_tail(rng: Rng, parts: Parts) -> None:
    if not parts.tails:
        return _bend_outer(rng, parts)
    name = _one(rng, list(parts.tails))
    parts.tails = {**parts.tails, name: _bent_json(rng, parts.tails[name])}
    return None


def _bend_outer(rng: Rng, parts: Parts) -> None:
    name = _one(rng, list(parts.bodies))
    match int(rng.integers(4)):
        case 0:
            parts.offsets = {name: [int(n) for n in rng.choice([0, 1, 8, 100, 1 << 40], 2)]}
        case 1:
            parts.outer = {**parts.outer, name: _bent_json(rng, parts.outer[name])}
            parts.outer[name] = {"dtype": "U8", "shape": [0], **parts.outer[name]}
            if not isinstance(parts.outer[name]["shape"], list):
                parts.outer[name]["shape"] = [0]
        case 2:
            parts.bodies = {
                (_one(rng, NAMES) if n == name else n): b for n, b in parts.bodies.items()
            }
        case _:
            other = _one(rng, list(parts.bodies))
            swapped = parts.bodies[other], parts.bodies[name]
            parts.bodies = {**parts.bodies, name: swapped[0], other: swapped[1]}


def _bend_a_stream(rng: Rng, parts: Parts) -> None:
    """A stream, its own checksums made anew, and sizes that go with it."""
    name = _one(rng, list(parts.bodies))
    body = parts.bodies[name]
    if not parts.tails:
        parts.bodies = {**parts.bodies, name: _bent_stream(rng, body)}
        return
    unit, segments, *grid = parts.tails[name]
    if not segments:
        return
    place = int(rng.integers(len(segments)))
    begin = sum(size for _, size, _ in segments[:place])
    codec, size, checksum = segments[place]
    piece = body[begin : begin + size]
    if codec in (file_format.STORED, file_format.SAME):
        piece = streams.bent(rng, piece)
        checksum = zlib.crc32(piece)
    else:
        piece = _bent_stream(rng, piece)
    parts.bodies = {**parts.bodies, name: body[:begin] + piece + body[begin + size :]}
    kept = [*segments[:place], [codec, len(piece), checksum], *segments[place + 1 :]]
    parts.tails = {**parts.tails, name: [unit, kept, *grid]}


def _bent_stream(rng: Rng, data: bytes) -> bytes:
    try:
        stream = streams.Stream.of(data)
    except ValueError:
        return streams.bent(rng, data)
    if not stream.chunks:
        return streams.bent(rng, data)
    return streams.bent_once(rng, stream, stream).framed()


_BENDS: list[tuple[float, Callable[[Rng, Parts], None]]] = [
    (0.50, _bend_a_stream),
    (0.22, _bend_tail),
    (0.12, _bend_header),
    (0.07, _bend_contents),
    (0.01, _bend_quantized_by),
    (0.08, _bend_outer),
]
_ODDS = np.cumsum([odds for odds, _ in _BENDS])


class Misbehaviour(AssertionError):
    """A reader gave neither CorruptFile nor what the file says."""


class Files:
    """Compressed checkpoints, as a campaign throws them at their reader."""

    limit = 1 << 20  # bytes that a mutant may decode to
    _base: Base | None = None

    def __init__(self) -> None:
        self._originals = originals()
        self._built = [parts.built() for parts in self._originals]

    def warm_up(self) -> None:
        """Compile, import: every original must be read."""
        for data in self._built:
            assert isinstance(self._read(data, 0), dict), "an original is refused"

    def mutant(self, rng: Rng) -> bytes:
        """One file that nobody wrote, or nearly so."""
        place = int(rng.integers(len(self._originals)))
        if rng.random() < 0.05:
            return streams.bent(rng, self._built[place])  # what the checksums are for
        parts = copy.copy(self._originals[place])
        for _ in range(1 if rng.random() < 0.8 else 2):
            _, bend = _BENDS[int(np.searchsorted(_ODDS, rng.random() * _ODDS[-1]))]
            try:
                bend(rng, parts)
            except (KeyError, TypeError, ValueError, AttributeError, IndexError):
                break  # bent beyond what a second bend understands
        try:
            return parts.built()
        except (TypeError, ValueError, OverflowError, KeyError, AttributeError):
            return streams.bent(rng, self._built[place])  # no JSON or MessagePack holds that

    def judge(self, data: bytes) -> bool:
        """Read a file between two kinds of rubbish. True for tensors, False for a refusal."""
        first, second = self._read(data, 0xA5), self._read(data, 0x5A, as_file=False)
        if isinstance(first, dict) != isinstance(second, dict):
            raise Misbehaviour(f"what surrounds the file decides: {first!r} or {second!r}")
        if not isinstance(first, dict):
            return False
        if first != second:
            raise Misbehaviour("what surrounds the file or was in memory before shows")
        return True

    def _read(self, data: bytes, rubbish: int, as_file: bool = True) -> Any:
        around = bytes([rubbish]) * 64
        view = np.frombuffer(around + data + around, np.uint8)[64:-64]
        stale = [np.full(size, rubbish, np.uint8) for size in (64, 640, 2560, 18_000)]
        del stale  # so that np.empty finds it
        try:
            checkpoint = Checkpoint(view, max_bytes=self.limit, base=self._base)
            found = {name: raw.tobytes() for name, raw in checkpoint.all().items()}
            out = io.BytesIO()
            if as_file:
                convert.decompress(out, checkpoint)
        except (CorruptFile, UsageError) as refusal:
            return refusal
        for name, tensor in checkpoint.header.tensors.items():
            if len(found[name]) != tensor.nbytes:
                raise Misbehaviour(f"{name!r} has {len(found[name])} bytes, not {tensor.nbytes}")
            if tensor.shape and tensor.shape[0] > 2:
                row = tensor.nbytes // tensor.shape[0]
                if checkpoint.rows(name, 1, 2).tobytes() != found[name][row : 2 * row]:
                    raise Misbehaviour(f"a row of {name!r} is another one when it is read alone")
        if as_file and out.getvalue() != checkpoint.header.front + b"".join(
            found[n] for n in checkpoint.header.tensors
        ):
            raise Misbehaviour("the plain file has other bytes than its tensors")
        return found
