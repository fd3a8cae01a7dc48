"""Read a compressed checkpoint: whole, tensor by tensor, or some rows of one.

Everything that the file says is checked before it is used, and nothing larger than the limit is
allocated. Tensors are returned as bytes: those of the plain safetensors file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from isal.isal_zlib import crc32

from slashbench import parallel, renamed, selector
from slashbench.arrays import Array, Bytes
from slashbench.bench.checkpoint import file_format, file_format1, plain_header
from slashbench.bench.checkpoint.base import Base
from slashbench.bench.checkpoint.buffers import Mapped, Room
from slashbench.bench.checkpoint.file_format import SAME, STORED, Blob, Segment
from slashbench.bench.checkpoint.plain_header import Tensor
from slashbench.codecs.base import Bound, DeltaCodec, TensorCodec
from slashbench.codecs.catalog import CODECS, DELTAS
from slashbench.codecs.stream import frame
from slashbench.errors import CorruptFile, CorruptStream, OtherBase, SlashbenchError, UsageError
from slashbench.grid import ChannelScales, Grid, fitted

#: A file may decode to this many bytes, and beyond that to this many times its own size.
ANY_FILE, TIMES = 1 << 30, 1000


@dataclass(frozen=True, slots=True)
class DecodedSegment:
    """One segment of a tensor, and which bytes of the plain tensor it stands for."""

    name: str
    blob: Blob
    segment: Segment
    begin: int
    end: int


def _nothing(*_: int) -> None:
    """Do nothing: the bytes are in memory."""


class Checkpoint:
    """A compressed checkpoint in memory or mapped into it.

    max_bytes: the most that it may decode to; by default 1 GiB or 1000 times its size, whichever is
    more. trusted: also decode with codecs that a forged stream may crash. fetch: called before all
    of `data` is read. release: called with which bytes of it are done with for now. where: what
    errors call it. base: what a delta was made from; decoding without it, or with another, raises
    OtherBase.

    Raises CorruptFile for what is no file of ours, or damaged, or too large.
    """

    def __init__(
        self,
        data: Bytes,
        *,
        max_bytes: int | None = None,
        trusted: bool = False,
        fetch: Callable[[], None] = _nothing,
        release: Callable[[int, int], None] = _nothing,
        where: str = "the file",
        base: Base | None = None,
    ) -> None:
        self.data, self.base = data, base
        self._fetch, self._release, self._where = fetch, release, where
        self._trusted = trusted
        self._codecs: dict[int, TensorCodec] = {}
        self.outer, self.start = plain_header.read(data)
        version, text = file_format.version_of(self.outer)
        make = file_format1.index if version == 1 else file_format.index
        limit = max(ANY_FILE, TIMES * data.size) if max_bytes is None else max_bytes
        token = frame.decode_limit.set(limit)
        try:
            self.index = make(data, self.outer, self.start, text)
        except CorruptStream as error:
            raise CorruptFile(str(error)) from error
        finally:
            frame.decode_limit.reset(token)
        self.header = self.index.header
        self.aliases = {**self.index.tied, **self.index.copies}
        if self.header.nbytes > limit:
            raise CorruptFile(
                f"it would decode to {self.header.nbytes} bytes, over the limit of {limit}; give a "
                "higher one (max_bytes, --max-bytes) if you trust it"
            )

    def blob(self, name: str) -> Blob:
        """Return how a tensor is kept. Raises CorruptFile."""
        found = self.index.blob(self.aliases.get(name, name))
        if found.grid is not None and self.header.tensors[name].dtype not in plain_header.FLOATS:
            raise CorruptFile(f"{name!r} can't be quantized: {self.header.tensors[name].dtype}")
        return found

    def runs(self, names: Iterable[str]) -> Iterator[DecodedSegment]:
        """Yield the segments of these tensors, one after the other."""
        for name in names:
            tensor, blob = self.header.tensors[name], self.blob(name)
            unit = blob.unit * self._value_bytes(tensor, blob)
            for i, segment in enumerate(blob.segments):
                yield DecodedSegment(
                    name, blob, segment, i * unit, min((i + 1) * unit, tensor.nbytes)
                )

    def check_structure(self, name: str) -> None:
        """Check one tensor without decoding it: its tail, the header and tables of each stream.

        Raises CorruptFile, also where a stream is not of the size that the plain tensor has there.
        """
        with self._explained(name):
            blob = self.blob(name)
            quantized = blob.grid is not None
            for run in self.runs([name]):
                if run.segment.codec == SAME:
                    continue
                size = run.segment.end - run.segment.begin
                if run.segment.codec != STORED:
                    self.codec(run.segment.codec)
                    parts = frame.unpack(self.data[run.segment.begin : run.segment.end])
                    if quantized and parts.dtype.kind not in "iu":
                        raise CorruptFile("a quantized tensor without integers")
                    width = self._value_bytes(self.header.tensors[name], blob)
                    size = parts.count * (width if quantized else parts.dtype.itemsize)
                if size != run.end - run.begin:
                    raise CorruptFile(f"{size} bytes in the place of {run.end - run.begin}")

    def fill(self, run: DecodedSegment, out: Bytes) -> None:
        """Decode one segment. out: as many bytes as it stands for, aligned to its values.

        Raises CorruptFile.
        """
        with self._explained(run.name):
            blob, old = run.blob, self._base_of(run.name, run.blob)
            if blob.grid is None:
                part = None if old is None else old[run.begin : run.end]
                self._decode(run.segment, out.size, 0, out, part)
                return
            tensor = self.header.tensors[run.name]
            size = self._value_bytes(tensor, blob)
            self._rebuild(tensor, blob, run.begin // size, run.end // size, out, old)
            if old is not None and crc32(out) != run.segment.checksum:
                raise CorruptFile("what was rebuilt with the base is not what was coded")

    def tensor(self, name: str) -> Bytes:
        """Return all bytes of one tensor, decoded on all cores. Raises CorruptFile."""
        room = self._room([name])
        self._decode_into(room.arrays)
        return room.arrays[name]

    def release(self, name: str) -> None:
        """Take no more memory for what the file has of a tensor, until it is read again."""
        stored = self.outer.tensors.get(self.aliases.get(name, name))
        if stored is not None:
            self._release(self.start + stored.begin, self.start + stored.end)

    def values(self, name: str) -> Array:
        """Return what the codec was given of a tensor: its integers, or its values as they are.

        Raises CorruptFile.
        """
        tensor, blob = self.header.tensors[name], self.blob(name)
        if blob.grid is None:
            whole = self.tensor(name).view(plain_header.numpy_dtype(tensor))
        else:
            with self._explained(name):
                whole = self._integers(tensor, blob, 0, tensor.count)
        return whole.reshape(tensor.shape)

    def rows(self, name: str, first: int, last: int) -> Bytes:
        """Return the bytes of rows `first` to `last` - 1; no other chunks are decoded.

        A row is all that shares the first index. Raises CorruptFile.
        """
        tensor, blob = self.header.tensors[name], self.blob(name)
        row = tensor.nbytes // max(1, tensor.shape[0])
        out = np.empty((last - first) * row, np.uint8)
        if not out.size:
            return out
        with self._explained(name):
            old = self._base_of(name, blob)
            if blob.grid is None:
                self._collect(blob, tensor.nbytes, first * row, out, old)
            else:
                size = tensor.count // tensor.shape[0]
                self._rebuild(tensor, blob, first * size, last * size, out, old)
        return out

    def stream(self) -> Iterator[tuple[DecodedSegment, Bytes]]:
        """Yield all bytes of the plain file's tensors, in their order, a segment at a time.

        All cores decode, each a few segments ahead. Raises CorruptFile.
        """

        def decoded(run: DecodedSegment) -> Bytes:
            out = np.empty(run.end - run.begin, np.uint8)
            self.fill(run, out)
            return out

        for run, raw in parallel.in_order(decoded, self.runs(self.header.tensors)):
            yield run, raw
            self._release(run.segment.begin, run.segment.end)

    def all(self) -> dict[str, Bytes]:
        """Return the bytes of every tensor, decoded on all cores; tied names share theirs.

        Raises CorruptFile.
        """
        room = self._room(n for n in self.header.tensors if n not in self.aliases)
        room.while_mapped(self._fetch)
        found = room.arrays
        self._decode_into(found)
        for name, other in self.index.copies.items():
            found[name] = found[other].copy()
        for name, other in self.index.tied.items():
            found[name] = found[other]
        return {name: found[name] for name in self.header.tensors}

    def _room(self, names: Iterable[str]) -> Room:
        return Room.of({name: self.header.tensors[name].nbytes for name in names})

    def _decode_into(self, arrays: Mapping[str, Bytes]) -> None:
        runs = sorted(self.runs(arrays), key=lambda run: run.begin - run.end)  # the largest first
        parallel.each(
            lambda run: self.fill(run, arrays[run.name][run.begin : run.end]),
            runs,
            min(len(parallel.cores()), len(runs)),
        )

    def codec(self, place: int) -> TensorCodec:
        """Return a codec of the file. Raises CorruptFile, or UsageError for one it may not use."""
        if place not in self._codecs:
            self._codecs[place] = self._made(place)
        return self._codecs[place]

    def _made(self, place: int) -> TensorCodec:
        if not 0 <= place < len(self.index.codecs):
            raise CorruptFile(f"the file has no codec {place}")
        use = self.index.codecs[place]
        try:
            name = renamed.current("codec", use.name)
            known = CODECS if self.index.base is None or name not in DELTAS.names() else DELTAS
            found: TensorCodec = selector.build(known.get(name), name, use.settings)
        except SlashbenchError as error:
            raise CorruptFile(f"the file's codec can't be used: {error}") from error
        if isinstance(found, Bound):
            raise CorruptFile(f"the file's codec can't be used: {use.name} is a bound")
        if found.trusts_input and not self._trusted:
            raise UsageError(
                f"the file uses {use.name}, which a forged file may crash; if you know where it is "
                "from, say so (trusted=True, --trusted)"
            )
        return found

    @contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        """Turn every error of decoding a tensor into CorruptFile."""
        try:
            yield
        except (CorruptFile, CorruptStream) as error:
            raise CorruptFile(f"{self._where}: {name!r}: {error}") from error
        except (ValueError, TypeError, IndexError) as error:
            raise CorruptFile(
                f"{self._where}: {name!r}: its grid does not fit its values: {error}"
            ) from error

    def _base_of(self, name: str, blob: Blob) -> Bytes | None:
        """Return the bytes of the base that a tensor's decoding needs, if any. Raises OtherBase."""
        if blob.base is None:
            return None
        if self.base is None:
            made_from = self.index.base
            said = f" {made_from.name} (hash {made_from.hash})" if made_from else ""
            raise OtherBase(
                f"{self._where} is a delta: say where the base{said} is, with --base, or base= in "
                "Python"
            )
        return self.base.named(blob.base.name, blob.base.hash, self.header.tensors[name])

    def _value_bytes(self, tensor: Tensor, blob: Blob) -> int:
        """Return the bytes of what a blob's unit counts."""
        return 1 if blob.grid is None else plain_header.DTYPES[tensor.dtype].bits // 8

    def _collect(
        self, blob: Blob, total: int, begin: int, out: Bytes, base: Bytes | None = None
    ) -> None:
        """Decode bytes from `begin` on, of the `total` that the segments decode to."""
        done = 0
        while done < out.size:
            i, offset = divmod(begin + done, blob.unit)
            size = min(blob.unit, total - i * blob.unit)
            part = out[done : done + size - offset]
            old = None if base is None else base[i * blob.unit : i * blob.unit + size]
            self._decode(blob.segments[i], size, offset, part, old)
            done += part.size

    def _decode(
        self, segment: Segment, total: int, begin: int, out: Bytes, base: Bytes | None = None
    ) -> None:
        """Decode bytes from `begin` on, of the `total` that a segment decodes to.

        base: those of the base, for the whole segment.
        """
        if segment.codec == SAME:
            if base is None or crc32(base) != segment.checksum:
                raise CorruptFile("what was rebuilt with the base is not what was coded")
            out[:] = base[begin : begin + out.size]
            return
        raw = self.data[segment.begin : segment.end]
        if segment.codec == STORED:
            if raw.size != total or crc32(raw, segment.seed) != segment.checksum:
                raise CorruptFile("checksum mismatch, the file is damaged")
            out[:] = raw[begin : begin + out.size]
            return
        codec, parts = self.codec(segment.codec), frame.unpack(raw)
        size = parts.dtype.itemsize
        if parts.count * size != total:
            raise CorruptFile(f"a stream of {parts.count * size} bytes in the place of {total}")
        if isinstance(codec, DeltaCodec):
            if base is None:
                raise CorruptFile("a stream that needs a base, in a tensor that names none")
            codec = codec.given(base.view(parts.dtype).reshape(parts.shape))
        if out.size == total:
            codec.decode(parts, out=out.view(parts.dtype).reshape(parts.shape))
            return
        chunk, end = parts.chunk * size, begin + out.size
        for c in range(begin // chunk, -(-end // chunk)):
            values = codec.decode_chunk(parts, c).view(np.uint8)
            first, last = max(begin, c * chunk), min(end, c * chunk + values.size)
            out[first - begin : last - begin] = values[first - c * chunk : last - c * chunk]

    def _rebuild(
        self, tensor: Tensor, blob: Blob, first: int, last: int, out: Bytes, base: Bytes | None
    ) -> None:
        """Decode weights `first` to `last` - 1 of a quantized tensor. base: of the whole tensor.

        They must be whole rows, or any range if the grid has one scale or levels for the tensor.
        """
        grid: Grid = blob.grid  # type: ignore[assignment]
        integers = self._integers(tensor, blob, first, last)
        if base is not None:
            size = self._value_bytes(tensor, blob)
            base = base[first * size : last * size]
        out[:] = rebuilt(grid, tensor, first, integers, base)

    def _integers(self, tensor: Tensor, blob: Blob, first: int, last: int) -> Array:
        """Decode the integers `first` to `last` - 1 of a quantized tensor."""
        dtype = self._integer_type(blob)
        integers = np.empty(last - first, dtype)
        self._collect(
            Blob(blob.unit * dtype.itemsize, blob.segments), tensor.count * dtype.itemsize,
            first * dtype.itemsize, integers.view(np.uint8),
        )  # fmt: skip
        return integers

    def _integer_type(self, blob: Blob) -> np.dtype[Any]:
        """Return the type of a quantized tensor's integers."""
        first = blob.segments[0]
        if first.codec != STORED:
            dtype = frame.unpack(self.data[first.begin : first.end]).dtype
            if dtype.kind in "iu":
                return dtype
        raise CorruptFile("a quantized tensor without integers")


def rebuilt(
    grid: Grid, tensor: Tensor, first: int, integers: Array, base: Bytes | None = None
) -> Bytes:
    """Return the bytes of the weights that these integers stand for.

    first: the place in the tensor of the first of them: of whole rows, if the grid has some. base:
    bytes of as many weights, to which these are added; a weight of 0 leaves the base's as it is.
    Raises ValueError where the grid does not fit the tensor.
    """
    part = grid_of(grid, tensor, first, first + integers.size)
    with np.errstate(invalid="ignore"):
        weights = part.rebuild(integers.reshape(in_rows(grid, tensor)))
    dtype = plain_header.numpy_dtype(tensor)
    if base is None:
        return fitted(weights, dtype).reshape(-1).view(np.uint8)
    old = base.view(dtype).reshape(weights.shape)
    wide = np.float64 if dtype.itemsize == 8 else np.float32
    with np.errstate(over="ignore", invalid="ignore"):
        new = fitted(old.astype(wide) + weights, dtype)
    return np.where(weights == 0, old, new).reshape(-1).view(np.uint8)


def in_rows(grid: Grid, tensor: Tensor) -> tuple[int, ...]:
    """Return the shape in which a grid takes some values of a tensor: rows, or all in one."""
    if not isinstance(grid, ChannelScales):
        return (-1,)
    return (-1, tensor.count // tensor.shape[0] if tensor.shape else 1)


def grid_of(grid: Grid, tensor: Tensor, first: int, last: int) -> Grid:
    """Return the grid of values `first` to `last` - 1. Raises ValueError where it has none."""
    if not isinstance(grid, ChannelScales):
        return grid
    row = tensor.count // tensor.shape[0] if tensor.shape else 1
    if not tensor.shape or first % row or len(grid.scales) != tensor.shape[0]:
        raise ValueError(f"scales of shape {grid.scales.shape} for {tensor.shape} values")
    return ChannelScales(grid.scales[first // row : last // row], grid.columns)


def opened(
    path: Path,
    *,
    max_bytes: int | None = None,
    trusted: bool = False,
    base: Base | None = None,
) -> Checkpoint:
    """Open the compressed checkpoint in a file. Raises CorruptFile, which names the file."""
    try:
        file = Mapped(path)
        return Checkpoint(
            file.data,
            max_bytes=max_bytes,
            trusted=trusted,
            fetch=file.fetch,
            release=file.release,
            where=str(path),
            base=base,
        )
    except CorruptFile as error:
        raise CorruptFile(f"{path}: {error}") from error
