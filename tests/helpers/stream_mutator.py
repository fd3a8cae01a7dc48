"""Streams that look right and are not: real ones, bent where checksums no longer tell.

Most mutants keep an intact frame (its checksums are made anew), so that tables, chunk sizes and
payloads reach the decoders; a few are damaged outside it. `decode_twice` is the judge.
"""

from __future__ import annotations

import contextlib
import itertools
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from slashbench.codecs import float_classes, rans_classes
from slashbench.codecs.stream import frame
from slashbench.codecs.stream.frame import CodedArray
from slashbench.errors import CorruptStream
from tests.helpers.integer_samples import trellis_rows

DTYPES = [
    *map(np.dtype, ("i1", "i2", "i4", "u1", "u2", "u4", "f2", "f4", "f8")),
    np.dtype(ml_dtypes.bfloat16),
]
EXTREMES = [0, 1, 2, 127, 128, 255, 256] + [
    (1 << n) + d for n in (15, 16, 31, 32, 62) for d in (-1, 0)
]
VERSION_1 = Path(__file__).parents[1] / "golden" / "version1"  # streams that must still decode
MOST_VALUES = 200_000  # that a mutant declares, mostly: what decodes takes time


@dataclass(frozen=True)
class Stream:
    """The parts of a stream, before they are framed."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    chunk: int
    tables: bytes
    chunks: list[bytes] = field(default_factory=list)
    version: int = frame.VERSION
    order: frame.MemoryOrder = field(default_factory=frame.MemoryOrder)

    @classmethod
    def of(cls, data: bytes) -> Stream:
        """Take a real stream apart."""
        parts = frame.unpack(data)
        chunks = [parts.payload(i).tobytes() for i in range(parts.chunks)]
        return cls(parts.dtype, parts.shape, parts.chunk, parts.tables, chunks, parts.version)

    def framed(self) -> bytes:
        """The stream, with checksums that match."""
        if self.version == 1:
            payload = b"".join(self.chunks)
            head = bytes([1, DTYPES.index(self.dtype), len(self.shape)])
            head += b"".join(map(frame.varint, (*self.shape, len(self.tables), len(payload))))
            body = self.tables + payload
            return head + struct.pack("<I", zlib.crc32(body, zlib.crc32(head))) + body
        chunks = [(chunk,) for chunk in self.chunks]
        coded = CodedArray(self.tables, chunks, self.chunk)
        return b"".join(frame.pieces(self.dtype, self.shape, coded, self.order))


def bell(n: int, seed: int = 0) -> Any:
    """Bell-shaped int32."""
    return np.rint(np.random.default_rng(seed).laplace(0, 3, n)).astype(np.int32)


def uneven_rows() -> Any:
    """A matrix of int8 whose rows differ in scale, with an outlier."""
    rng = np.random.default_rng(0)
    matrix = np.rint(rng.laplace(0, 1.5, (256, 96)) * np.geomspace(0.2, 2, 256)[:, None])
    matrix[5, 7] = 100
    return matrix.astype(np.int8)


def records() -> Any:
    """Blocks as GGUF has them: a scale and 32 integers."""
    found = bell(300 * 34).reshape(300, 34) * 5
    found[:, 0], found[:, 1] = bell(300, 1), 28
    return found.astype(np.int8).view(np.uint8)


def group_scales() -> Iterator[Any]:
    """Floats that were integers with a scale, and an offset, a group; with exceptions, or none."""
    integers = np.clip(bell(1280), -7, 7).reshape(20, 64).astype(np.float32)
    scaled = integers * np.linspace(0.01, 0.02, 20, dtype=np.float32)[:, None]
    yield scaled
    yield (scaled + scaled.min(1, keepdims=True)).astype(np.float32)
    scaled[3, 5:8] = np.nan, -0.0, 0.3
    yield scaled
    yield scaled.astype(ml_dtypes.bfloat16)


def tensors(domains: frozenset[str]) -> Iterator[Any]:
    """One tensor for each path a codec has."""
    outliers = bell(500)
    outliers[[3, 99]] = 2**31 - 1, -(2**31)
    if "integers" in domains:
        yield bell(640).reshape(16, 40).astype(np.int8)
        yield bell(640)
        yield bell(4500).astype(np.int8)  # enough for the large decoding table
        yield bell(4500)
        yield outliers
        # codewords beyond the first table
        yield np.repeat(np.arange(24), 2 ** np.minimum(np.arange(24), 9)).astype(np.int16)
        yield (np.arange(4500) * 1009).astype(np.int32)  # over 4096 values: some escape
        yield np.full((2, 3), 7, np.int8)
        yield np.array([5, -5], np.int16)
        yield bell(100).astype(np.int16) * np.int16(300)
        yield bell(300).astype(np.int8).view(np.uint8)
        yield uneven_rows()
        yield np.ascontiguousarray(uneven_rows().T).astype(np.int16)  # uneven columns
        yield records()
        yield trellis_rows(8, bell(4000).reshape(40, 100) // 4).astype(np.int8)
        yield trellis_rows(4, bell(315).reshape(9, 35))
    if "floats" in domains:
        yield bell(9000).astype(np.float32) / 3  # few values
        yield (bell(70_000) // 2 * 3).astype(ml_dtypes.bfloat16)
        yield bell(300).astype(np.float32) / 7
        yield bell(300).astype(np.float16) / 7
        yield np.array([np.nan, -0.0, np.inf, 5e-324], np.float64)
        weights = np.random.default_rng(0).normal(size=4501).astype(np.float32)  # pairs, odd
        yield weights
        yield weights.astype(ml_dtypes.bfloat16)
        weights[::900] = 1e30  # beyond the window: exceptions
        yield weights.astype(ml_dtypes.bfloat16)
        rows = np.random.default_rng(0).normal(size=(64, 97)) * np.geomspace(0.01, 0.2, 64)[:, None]
        for dtype in (np.float16, np.float32, ml_dtypes.bfloat16):
            yield rows.astype(dtype)
        rows[5, 7] = rows[60] = 0  # exceptions among classes; a plane of the rest that is coded
        yield np.abs(rows).astype(ml_dtypes.bfloat16).astype(np.float32)
        yield from group_scales()


def seeds(codec: Any) -> list[Stream]:
    """Real streams of a codec, taken apart: of one chunk, of several short ones, of version 1."""
    found = []
    usual = frame.CHUNK, rans_classes.CHUNK, float_classes.CHUNK, float_classes.CLASS_OF_VALUES
    try:
        for chunk in (None, 150, 9000):
            if chunk is not None:
                frame.CHUNK = rans_classes.CHUNK = float_classes.CHUNK = chunk
                float_classes.CLASS_OF_VALUES = 1000
            most = 10_000 if chunk == 150 else np.inf  # else hundreds of chunks
            found += [codec.encode(a) for a in tensors(codec.domains) if a.size < most]
    finally:
        frame.CHUNK, rans_classes.CHUNK, float_classes.CHUNK, float_classes.CLASS_OF_VALUES = usual
    name = codec.codec_id.removeprefix("slashbench.").removeprefix("constriction-")
    old = [Stream.of(path.read_bytes()) for path in sorted(VERSION_1.glob(f"{name}.*.bin"))]
    if name == "rans-classes":  # what it wrote as revision 1
        paths = sorted((VERSION_1.parent / "streams").glob("max.*s.bin"))
        old += [Stream.of(path.read_bytes()) for path in paths]
    made = [Stream.of(data) for data in dict.fromkeys(found)]
    return made + [stream for stream in old if stream.chunks]


def bent(rng: np.random.Generator, data: bytes) -> bytes:
    """The bytes with a few flips, cuts, insertions or lies."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        # the first bytes hold sizes and parameters: aim at them half the time
        reach = min(len(out), 16) if rng.random() < 0.5 else len(out)
        place = int(rng.integers(0, reach + 1))
        match int(rng.integers(0, 9)):
            case 0 | 1 if out:
                out[place % len(out)] ^= 1 << int(rng.integers(0, 8))
            case 2 if out:
                out[place % len(out)] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.integers(256)]))
            case 3:
                del out[place : place + int(rng.integers(1, 9))]
            case 4:
                out[place:place] = rng.bytes(int(rng.integers(1, 9)))
            case 5:
                out[place:] = bytes([int(rng.choice([0, 0xFF]))]) * (len(out) - place)
            case 6:
                out[place:] = rng.bytes(len(out) - place)
            case 7:
                out[place : place + int(rng.integers(0, 3))] = frame.varint(_extreme(rng))
            case 8:
                word = (_extreme(rng) & 0xFFFFFFFF).to_bytes(4, "little")
                out[place // 4 * 4 : place // 4 * 4 + 4] = word
    return bytes(out)


def _extreme(rng: np.random.Generator) -> int:
    return EXTREMES[int(rng.integers(len(EXTREMES)))]


def _bend_tables(rng: np.random.Generator, stream: Stream, _other: Stream) -> Stream:
    return replace(stream, tables=bent(rng, stream.tables))


def _bend_a_chunk(rng: np.random.Generator, stream: Stream, _other: Stream) -> Stream:
    chunks = list(stream.chunks)
    place = int(rng.integers(len(chunks)))
    chunks[place] = bent(rng, chunks[place])
    return replace(stream, chunks=chunks)


def _bend_both(rng: np.random.Generator, stream: Stream, other: Stream) -> Stream:
    return _bend_tables(rng, _bend_a_chunk(rng, stream, other), other)


def _move_an_edge(rng: np.random.Generator, stream: Stream, _other: Stream) -> Stream:
    """Chunks of other lengths over the same payload."""
    payload = b"".join(stream.chunks)
    cuts = sorted(rng.integers(0, len(payload) + 1, len(stream.chunks) - 1).tolist())
    edges = [0, *cuts, len(payload)]
    return replace(stream, chunks=[payload[a:b] for a, b in itertools.pairwise(edges)])


def _other_shape(rng: np.random.Generator, stream: Stream, _other: Stream) -> Stream:
    """Another number of values, in the same number of chunks."""
    count = int(np.prod(stream.shape))
    more = [count + int(rng.integers(-3, 4)), int(rng.integers(1, MOST_VALUES)), 1 << 40]
    wanted = max(1, more[int(rng.choice(3, p=[0.6, 0.35, 0.05]))])
    chunk = -(-wanted // len(stream.chunks))
    return replace(stream, shape=(wanted,), chunk=max(1, chunk))


def _other_chunk(rng: np.random.Generator, stream: Stream, _other: Stream) -> Stream:
    """Another number of values per chunk; chunks are added or dropped to fit."""
    chunk = max(1, int(rng.choice([1, 3, stream.chunk - 1, stream.chunk + 1, stream.chunk * 2])))
    wanted = -(-int(np.prod(stream.shape)) // chunk)
    if wanted > 1000:
        return replace(stream, chunk=chunk)  # refused by the frame
    chunks = (stream.chunks * wanted)[:wanted]
    return replace(stream, chunk=chunk, chunks=chunks)


def _other_dtype(rng: np.random.Generator, stream: Stream, _other: Stream) -> Stream:
    return replace(stream, dtype=DTYPES[int(rng.integers(len(DTYPES)))])


def _other_order(rng: np.random.Generator, stream: Stream, _other: Stream) -> Stream:
    return replace(stream, order=frame.MemoryOrder(*(rng.random(2) < 0.5).tolist()))


def _splice(rng: np.random.Generator, stream: Stream, other: Stream) -> Stream:
    """Tables of one, chunks of another, or the halves of both."""
    match int(rng.integers(3)):
        case 0:
            return replace(stream, tables=other.tables)
        case 1:
            cut = int(rng.integers(0, len(stream.tables) + 1))
            return replace(stream, tables=stream.tables[:cut] + other.tables[cut:])
        case _:
            mixed = [*stream.chunks]
            mixed[int(rng.integers(len(mixed)))] = other.chunks[-1]
            return replace(stream, chunks=mixed)


_BENDS: list[tuple[float, Callable[[np.random.Generator, Stream, Stream], Stream]]] = [
    (0.34, _bend_tables),
    (0.30, _bend_a_chunk),
    (0.10, _bend_both),
    (0.05, _move_an_edge),
    (0.07, _other_shape),
    (0.04, _other_chunk),
    (0.04, _other_dtype),
    (0.04, _splice),
    (0.02, _other_order),
]
_ODDS = np.cumsum([odds for odds, _ in _BENDS])


def mutant(rng: np.random.Generator, originals: list[Stream]) -> bytes:
    """One stream that no encoder wrote, or nearly so."""
    stream, other = (originals[int(i)] for i in rng.integers(0, len(originals), 2))
    for _ in range(1 if rng.random() < 0.8 else 2):
        stream = bent_once(rng, stream, other)
    framed = stream.framed()
    if rng.random() < 0.04:
        return bent(rng, framed)  # what the checksums are for
    return framed


def bent_once(rng: np.random.Generator, stream: Stream, other: Stream) -> Stream:
    """The stream with one of its parts bent."""
    _, bend = _BENDS[int(np.searchsorted(_ODDS, rng.random() * _ODDS[-1]))]
    return bend(rng, stream, other)


# The judge

_STALE = 64, 640, 2560, 18_000, 100_000  # bytes of memory that a decoder may find used
_RUBBISH = [bytes([byte]) * max(_STALE) for byte in (0xA5, 0x5A, 0xC3)]


class Misbehaviour(AssertionError):
    """A decoder gave neither CorruptStream nor what the stream declares."""


def decode_twice(codec: Any, data: bytes) -> bool:
    """Decode a stream between two kinds of rubbish. True for a tensor, False for a refusal.

    What lies around the stream, and what was in memory before, must make no difference: where it
    does, a decoder reads out of bounds or leaves part of its output unwritten. The same holds of
    one chunk read alone, which must be that part of the tensor.
    """
    tensor = _twice(codec.decode, data)
    try:
        declared = frame.unpack(data)
    except CorruptStream:
        if isinstance(tensor, np.ndarray):
            raise Misbehaviour("a tensor from a stream whose frame is damaged") from None
        return False
    wanted = declared.order.applied(np.empty(0, declared.dtype)).dtype
    if isinstance(tensor, np.ndarray):
        if (tensor.dtype, tensor.shape) != (wanted, declared.shape):
            raise Misbehaviour(
                f"{tensor.dtype} of shape {tensor.shape}; the stream declares {wanted} of "
                f"shape {declared.shape}"
            )
        tensor = tensor.astype(declared.dtype)  # as chunks are
    # The only chunk of a refused tensor was decoded already: it is the same call.
    if declared.chunks > 1 or (declared.chunks and isinstance(tensor, np.ndarray)):
        index = len(data) % declared.chunks
        _judge_chunk(codec, data, declared, index, tensor)
    return isinstance(tensor, np.ndarray)


def _judge_chunk(codec: Any, data: bytes, declared: frame.Frame, index: int, tensor: Any) -> None:
    """Decode one chunk alone, twice unless it is what the tensor has, or refused as that was."""

    def decode(view: memoryview) -> Any:
        return codec.decode_chunk(view, index)

    chunk = _decoded(decode, data, _RUBBISH[2])
    if isinstance(tensor, np.ndarray):
        start = index * declared.chunk
        part = tensor.reshape(-1)[start : start + declared.chunk]
        if not isinstance(chunk, np.ndarray) or chunk.tobytes() != part.tobytes():
            raise Misbehaviour(f"chunk {index} alone is another one than in the tensor")
    elif isinstance(chunk, np.ndarray):
        _same(chunk, _decoded(decode, data, _RUBBISH[0]))


def _twice(decode: Callable[[memoryview], Any], data: bytes) -> Any:
    """The array, or the CorruptStream, that both kinds of rubbish lead to."""
    first = _decoded(decode, data, _RUBBISH[0])
    _same(first, _decoded(decode, data, _RUBBISH[1]))
    return first


def _same(first: Any, second: Any) -> None:
    if isinstance(first, np.ndarray) != isinstance(second, np.ndarray):
        raise Misbehaviour(f"what surrounds the stream decides: {first!r} or {second!r}")
    if isinstance(first, np.ndarray) and first.tobytes() != second.tobytes():
        raise Misbehaviour("what surrounds the stream or was in memory before shows in the tensor")


def _decoded(decode: Callable[[memoryview], Any], data: bytes, rubbish: bytes) -> Any:
    around = rubbish[:64]
    view = memoryview(bytearray(b"".join((around, data, around))))[64:-64]
    stale = [bytearray(rubbish[:size]) for size in _STALE]
    del stale  # so that np.empty finds it
    try:
        return decode(view)
    except CorruptStream as refusal:
        return refusal


class Streams:
    """The streams of one codec, as a campaign throws them at its decoder."""

    limit = 4 << 20  # bytes that a mutant's tensor may take (frame.decode_limit)

    def __init__(self, codec: Any) -> None:
        self._codec, self._originals = codec, seeds(codec)

    def warm_up(self) -> None:
        """Compile and import what any of them needs, as whatever type."""
        frame.decode_limit.set(self.limit)
        for stream in self._originals:
            for dtype in DTYPES:
                with contextlib.suppress(Exception):
                    decode_twice(self._codec, replace(stream, dtype=dtype).framed())

    def mutant(self, rng: np.random.Generator) -> bytes:
        """One stream that no encoder wrote, or nearly so."""
        return mutant(rng, self._originals)

    def judge(self, data: bytes) -> bool:
        """True for a tensor, False for a refusal; whatever else is a finding."""
        return decode_twice(self._codec, data)
