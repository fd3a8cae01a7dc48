"""Symbols of `huffman` and `rans` in the chunks of a stream, laid out on the host for the device.

Everything that says where something lies is checked here, before memory is taken for it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from slashbench.arrays import Bytes, Int64s
from slashbench.codecs.cuda.gpu import DeviceBytes, Gpu
from slashbench.codecs.families.table_codec import Decoder
from slashbench.codecs.kernels.prefix import FEW, STREAMS
from slashbench.codecs.kernels.rans import LANES
from slashbench.codecs.stream import exceptions
from slashbench.errors import CorruptStream

_SIZES = 4 * (STREAMS - 1)  # bytes before the streams of a chunk
_STATES = 8 * LANES
_DAMAGED = "the codewords are cut off or damaged"


@dataclass(frozen=True, slots=True)
class Chunks:
    """Where the chunks of a run of symbols lie in the bytes of a stream."""

    data: Bytes
    begins: Int64s
    ends: Int64s
    chunk: int  # symbols in each but the last one
    count: int  # of all of them

    @property
    def sizes(self) -> Int64s:
        """Symbols of each chunk."""
        firsts = self.chunk * np.arange(self.begins.size, dtype=np.int64)
        return np.minimum(self.count - firsts, self.chunk)

    def after_exceptions(self, width: int) -> Chunks:
        """The chunks without the exceptions that come first. Raises CorruptStream."""
        begins = exceptions.skip(self.data, self.begins, self.ends, width)
        return Chunks(self.data, begins, self.ends, self.chunk, self.count)


class CodedSymbols(ABC):
    """Symbols on their way: `into` decodes them on the device."""

    def __init__(self, gpu: Gpu, chunks: Chunks, decoder: Decoder, width: int) -> None:
        self._gpu, self._width = gpu, width
        self._chunk, self._count = chunks.chunk, chunks.count
        self._patches = Patches(gpu, chunks, width) if decoder.patched else None
        coded = chunks.after_exceptions(width) if decoder.patched else chunks
        self._fill: int | None = None
        if decoder.values.size == 1:
            if np.any(coded.begins != coded.ends):
                raise CorruptStream("a tensor of one symbol has codewords")
            self._fill = int(decoder.values[0])
        else:
            self._prepare(coded, decoder)

    @abstractmethod
    def _prepare(self, coded: Chunks, decoder: Decoder) -> None:
        """Check the layout and upload it. Raises CorruptStream."""

    @abstractmethod
    def _launch(self, data: DeviceBytes, out: torch.Tensor, damaged: Any) -> None:
        """Run the kernel."""

    def into(self, data: DeviceBytes, out: torch.Tensor, damaged: Any) -> None:
        """Write the symbols to `out`, bytes on the device at a multiple of 8."""
        if self._fill is not None:
            signed = {1: torch.int8, 2: torch.int16, 4: torch.int32}[self._width]
            out.view(signed).fill_(self._fill)
        else:
            self._launch(data, out, damaged)
        if self._patches is not None:
            self._patches.put(data, out, damaged)


class PrefixSymbols(CodedSymbols):
    """Symbols of `huffman`."""

    def _prepare(self, coded: Chunks, decoder: Decoder) -> None:
        spans = _spans(coded)
        spans[:, 2:] *= self._width
        self._n_streams, self._bits = len(spans), decoder.bits
        self._spans = self._gpu.upload(spans)
        self._table = self._gpu.upload(decoder.table)

    def _launch(self, data: DeviceBytes, out: torch.Tensor, damaged: Any) -> None:
        from slashbench.codecs.cuda import device_loops

        self._gpu.threads(
            device_loops.prefix_runs,
            self._n_streams,
            data.words,
            self._spans,
            self._table,
            self._bits,
            self._gpu.seen(out, np.uint8),
            self._gpu.seen(out, np.uint32),
            damaged,
        )


class GolombSymbols:
    """Symbols of more values than a table holds, by exp-Golomb codewords of one order."""

    def __init__(self, gpu: Gpu, chunks: Chunks, order: int, width: int) -> None:
        self._gpu, self._order, self._width = gpu, order, width
        spans = _spans(chunks)
        self._n_streams = len(spans)
        self._spans = gpu.upload(spans)

    def into(self, data: DeviceBytes, out: torch.Tensor, damaged: Any) -> None:
        """Write the symbols to `out`, bytes on the device at a multiple of 8."""
        from slashbench.codecs.cuda import device_loops

        self._gpu.threads(
            device_loops.golomb_runs,
            self._n_streams,
            data.words,
            self._spans,
            self._order,
            self._gpu.seen(out, f"u{self._width}"),
            damaged,
        )


class RansSymbols(CodedSymbols):
    """Symbols of `rans`."""

    def _prepare(self, coded: Chunks, decoder: Decoder) -> None:
        lengths = coded.ends - coded.begins
        if np.any(lengths < _STATES) or np.any(coded.sizes > lengths * _most_a_byte(decoder)):
            raise CorruptStream("the words are cut off or damaged")
        self._n_chunks, self._bits = lengths.size, decoder.bits
        self._begins = self._gpu.upload(coded.begins)
        self._ends = self._gpu.upload(coded.ends)
        self._table = self._gpu.upload(decoder.table)
        # Patterns of bytes are the symbols, and those of wider ones lead to them.
        values = np.arange(256, dtype=np.uint8) if self._width == 1 else decoder.values
        self._values = self._gpu.upload(values.view(f"u{self._width}"))

    def _launch(self, data: DeviceBytes, out: torch.Tensor, damaged: Any) -> None:
        from slashbench.codecs.cuda import device_loops

        self._gpu.blocks(
            device_loops.rans_lanes,
            self._n_chunks,
            LANES,
            data.words,
            self._begins,
            self._ends,
            self._chunk,
            self._count,
            self._table,
            self._bits,
            self._values,
            self._gpu.seen(out, f"u{self._width}"),
            damaged,
        )


class Patches:
    """The exceptions at the front of chunks, which `Chunks.after_exceptions` has passed."""

    def __init__(self, gpu: Gpu, chunks: Chunks, width: int) -> None:
        self._gpu, self._width = gpu, width
        self._chunk, self._count = chunks.chunk, chunks.count
        self._n_chunks = chunks.begins.size
        self._begins, self._ends = gpu.upload(chunks.begins), gpu.upload(chunks.ends)

    def put(self, data: DeviceBytes, out: torch.Tensor, damaged: Any) -> None:
        """Write them over the symbols."""
        from slashbench.codecs.cuda import device_loops

        self._gpu.threads(
            device_loops.put_exceptions,
            self._n_chunks,
            data.single,
            self._begins,
            self._ends,
            self._chunk,
            self._count,
            self._width,
            self._gpu.seen(out, np.uint8),
            damaged,
        )


def _spans(coded: Chunks) -> Int64s:
    """(begin, end) of each stream in the bytes, (first, last) of its run among the symbols.

    A chunk of few symbols has one stream, and three empty runs. Raises CorruptStream unless the
    streams fill their chunks, with a bit for each symbol at least.
    """
    sizes = coded.sizes
    firsts = coded.chunk * np.arange(sizes.size, dtype=np.int64)
    runs = np.where(sizes < FEW, sizes, -(-sizes // STREAMS))
    edges = np.repeat(coded.ends[:, None], STREAMS + 1, axis=1)
    edges[:, 0] = coded.begins
    many = np.flatnonzero(sizes >= FEW)
    if np.any(coded.ends[many] - coded.begins[many] < _SIZES):
        raise CorruptStream(_DAMAGED)
    heads = coded.data[coded.begins[many, None] + np.arange(_SIZES)]
    lengths = heads.reshape(-1).view("<u4").reshape(-1, STREAMS - 1).astype(np.int64)
    edges[many, 0] += _SIZES
    edges[many, 1:STREAMS] = edges[many, :1] + lengths.cumsum(1)
    last = (firsts + sizes)[:, None]
    places = np.minimum(firsts[:, None] + runs[:, None] * np.arange(STREAMS + 1), last)
    spans = np.stack([edges[:, :-1], edges[:, 1:], places[:, :-1], places[:, 1:]], axis=2)
    spans = spans.reshape(-1, 4)
    room = spans[:, 1] - spans[:, 0]
    if np.any(room < 0) or np.any(spans[:, 3] - spans[:, 2] > 8 * room):
        raise CorruptStream(_DAMAGED)
    return spans


def _most_a_byte(decoder: Decoder) -> float:
    """How many symbols a byte can stand for, at most; so that no forged stream takes for ever.

    A symbol of share p takes -log2 p bits from a state, but for what rounding gives back: less than
    half of them while the state is above 2^31, and a state that falls below takes in a word.
    """
    share = int((decoder.table >> np.uint64(16) & np.uint64(0xFFFF)).max()) / (1 << decoder.bits)
    return 20 / min(1.0, -np.log2(share)) if share < 1 else np.inf
