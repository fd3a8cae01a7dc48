"""Differences from a base, in groups by the base's exponent: one form of a chunk of `delta`.

The zig-zag difference of each value becomes a symbol and some raw bits (kernels/deltas.py). A
symbol goes to the group of its base's exponent. All groups are coded by rANS in one stream, each
under a table of its own. Blocks of values that are all the base's, such as the rows of words that a
fine-tune never saw, are left out first where that pays.

    u8      1 if blocks are left out: varint bytes of tables, varint of the stream; both, of `rans`:
            a flag for each block of 128 values, 1 if it is coded, eight to a byte, the first in the
            highest bit. The values after the last whole block are coded.
    u8      number of groups; u8 each, the lowest key in it, descending; the last is 0
    varint  bits that are raw
    varint  bytes of tables, varint of the stream; and both, of rANS.
            tables: for each run that is not empty, u8 its highest symbol; integer list of the
            frequencies of the symbols up to it, which sum to 2^12. A run is a group without what
            completed the last round of 16 symbols of the one before, and with what completes its
            own
    ...     the raw bits, low bits first, padded with zeros

A key is the exponent: its highest eight bits, where it has more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from slashbench.arrays import Bytes, FloatBits, Int64s
from slashbench.codecs.kernels import deltas, rans, tally
from slashbench.codecs.rans import Rans
from slashbench.codecs.stream import frame
from slashbench.codecs.stream.frame import Frame
from slashbench.codecs.stream.table_bytes import Reader, integer_list
from slashbench.errors import CorruptStream

BLOCK = 128  # values that are left out together
MOST = 16  # groups

_SAMPLE = 16, 4096  # blocks and their length, by which groups are chosen

#: (shift, mask) of the key in a value's bits; other types have one group.
_KEYS = {
    np.dtype(ml_dtypes.bfloat16): (7, 255),
    np.dtype(np.float16): (10, 31),
    np.dtype(np.float32): (23, 255),
}
_BITS = 12  # of the sum of frequencies


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """How a chunk will be coded: which blocks, in which groups, in about how many bits."""

    live: Any  # a flag for each block; None: no blocks are left out
    lows: list[int]
    bits: float


def plan(words: FloatBits, old: FloatBits, dtype: np.dtype[Any]) -> GroupPlan:
    """Look at a sample of a chunk. words, old: bit patterns, at most four bytes each."""
    live = _live(words, old)
    if live is not None:
        words, old = _coded_part(words, live), _coded_part(old, live)
    scale = float(words.size)
    words, old = sampled(words, old, *_SAMPLE)
    scale /= words.size
    coded, counts = np.empty_like(words), np.zeros((256, deltas.SYMBOLS), np.int64)
    deltas.subtract(words, old, coded)
    shift, mask = _KEYS.get(dtype, (0, 0))
    raw = deltas.tally(coded, words, old, shift, mask, counts)
    lows = np.full(257, -1, np.int64)
    bits = deltas.merge(counts, scale, MOST, lows)
    return GroupPlan(live, lows[lows >= 0].tolist(), bits + scale * raw)


def sampled(words: FloatBits, old: FloatBits, blocks: int, length: int) -> tuple[FloatBits, ...]:
    """Return some blocks of both, spread over all of them; all where that is not much more."""
    if words.size <= 2 * blocks * length:
        return words, old
    step = words.size // blocks
    starts = range(0, blocks * step, step)
    return tuple(np.concatenate([each[i : i + length] for i in starts]) for each in (words, old))


def encode(words: FloatBits, old: FloatBits, dtype: np.dtype[Any], found: GroupPlan) -> list[Any]:
    """Return the pieces of a chunk."""
    live, lows = found.live, found.lows
    head = [b"\0"]
    if live is not None:
        flags = np.packbits(live)
        tables, (pieces,) = Rans().encode_chunks(flags.view(np.int8), flags.size)
        sizes = frame.varint(len(tables)) + frame.varint(sum(map(len, pieces)))
        head = [b"\1" + sizes, tables, *map(bytes, pieces)]
        words, old = _coded_part(words, live), _coded_part(old, live)
    key = np.array(_KEYS.get(dtype, (0, 0)))
    counts = np.zeros(256, np.int64)
    deltas.count_keys(old, key[0], key[1], counts)
    groups, starts = _groups(lows, counts)
    coded, symbols = np.empty_like(words), np.empty(words.size, np.uint8)
    raw = np.empty(4 * words.size + 8, np.uint8)
    deltas.subtract(words, old, coded)
    bits = deltas.split(coded, words, old, groups, key, starts[:-1].copy(), symbols, raw)
    if bits < 0:
        raise ValueError("the values changed while they were encoded")
    tables, stream = _encode_runs(symbols, starts)
    front = bytes([len(lows), *lows]) + frame.varint(bits)
    front += frame.varint(len(tables)) + frame.varint(len(stream))
    return [*head, front, tables, stream, raw[: (bits + 7) // 8].data]


def decode(
    parts: Frame, begin: int, end: int, old: FloatBits, dtype: np.dtype[Any], words: FloatBits
) -> None:
    """Fill `words` from bytes `begin` to `end` of a stream. Raises CorruptStream."""
    reader = _Spans(parts, begin, end)
    kind = reader.byte()
    if kind > 1 or (kind and words.size < BLOCK):
        raise CorruptStream(f"blocks of the unknown kind {kind}, or none to leave out")
    live = None
    if kind:
        span = reader.take()
        flags = np.empty(-(-(words.size // BLOCK) // 8), np.uint8)
        reader.decode(span, flags.view(np.int8))
        live = np.unpackbits(flags)[: words.size // BLOCK].astype(bool)
    base = old if live is None else _coded_part(old, live)
    lows = [reader.byte() for _ in range(reader.byte())]
    if not 1 <= len(lows) <= MOST or lows[-1] or sorted(set(lows), reverse=True) != lows:
        raise CorruptStream("the groups of a chunk are damaged")
    bits = reader.varint()
    key = np.array(_KEYS.get(dtype, (0, 0)))
    counts = np.zeros(256, np.int64)
    deltas.count_keys(base, key[0], key[1], counts)
    groups, starts = _groups(lows, counts)
    symbols = np.empty(base.size, np.uint8)
    reader.decode_runs(reader.take(), starts, symbols)
    raw = reader.rest()
    if raw.size != (bits + 7) // 8:
        raise CorruptStream("the raw bits of a chunk are cut off")
    target = words if live is None else np.empty_like(base)
    padded = np.concatenate([raw, np.zeros(8, np.uint8)])
    if deltas.unite(symbols, base, groups, key, starts[:-1].copy(), padded, target) != bits:
        raise CorruptStream("the raw bits of a chunk are damaged")
    if live is not None:
        _put_back(words, old, live, target)


class _Spans:
    """Reads a chunk from front to back: numbers, and then the streams that they measure."""

    def __init__(self, parts: Frame, begin: int, end: int) -> None:
        self._parts, self._at, self._end = parts, begin, end

    def byte(self) -> int:
        """Return the next byte."""
        if self._at >= self._end:
            raise CorruptStream("a chunk is cut off")
        self._at += 1
        return int(self._parts.data[self._at - 1])

    def varint(self) -> int:
        """Return the next varint."""
        head = self._parts.data[self._at : min(self._at + 10, self._end)].tobytes()
        value, used = frame.read_varint(head, 0)
        self._at += used
        return value

    def take(self) -> tuple[int, int, int]:
        """Return where tables begin, where they end, and where the stream after them ends."""
        n_tables, n_stream = self.varint(), self.varint()
        begin, middle = self._at, self._at + n_tables
        self._at = middle + n_stream
        if self._at > self._end:
            raise CorruptStream("the groups of a chunk are longer than the chunk")
        return begin, middle, self._at

    def rest(self) -> Bytes:
        """Return the bytes that are left."""
        return self._parts.data[self._at : self._end]

    def decode(self, span: tuple[int, int, int], symbols: Any) -> None:
        """Fill int8 symbols from a stream of `rans` and its tables."""
        begin, middle, end = span
        tables = Reader(self._parts.data[begin:middle].tobytes())
        inner = self._parts.within(b"", np.array([middle]), np.array([end]), symbols.size)
        Rans().decode_chunks(tables, inner, 0, 1, symbols)

    def decode_runs(self, span: tuple[int, int, int], starts: Int64s, symbols: Bytes) -> None:
        """Fill the symbols of all groups."""
        begin, middle, end = span
        tables = Reader(self._parts.data[begin:middle].tobytes())
        edges = _edges(starts)
        table = np.empty((edges.shape[1], 1 << _BITS), np.uint64)
        for run in table:
            frequencies = tables.integers(tables.byte() + 1).astype(np.int64)
            patterns = np.arange(frequencies.size).astype(np.uint64)
            if not rans.decoding_table(patterns, frequencies, _BITS, run):
                raise CorruptStream(f"the frequencies don't sum to 2^{_BITS}")
        tables.end()
        begins, ends = np.array([middle]), np.array([end])
        data = self._parts.data
        if symbols.size and not rans.decode(
            data, begins, ends, edges, table.reshape(-1), _BITS, symbols
        ):
            raise CorruptStream("the words are cut off or damaged")


def _encode_runs(symbols: Bytes, starts: Int64s) -> tuple[bytes, bytes]:
    """Return tables and stream of symbols in groups."""
    edges = _edges(starts)
    tables, rows, begin = b"", np.zeros((edges.shape[1], deltas.SYMBOLS, 4), np.uint64), 0
    for run, last in enumerate(edges[0].tolist()):
        counts = np.zeros(deltas.SYMBOLS, np.int64)
        tally.count(symbols[begin:last], 0, counts)
        high = int(np.flatnonzero(counts)[-1])
        frequencies = np.empty(high + 1, np.int64)
        if not rans.normalise(counts[: high + 1], _BITS, frequencies):
            raise ValueError("there are more symbols than the frequencies sum to")
        rans.encoding_table(frequencies, _BITS, rows[run, : high + 1])
        tables += bytes([high]) + integer_list(frequencies.astype(np.uint32))
        begin = last
    if not symbols.size:
        return tables, b""
    out, sizes = np.empty(2 * symbols.size + 96, np.uint8), np.empty(1, np.int64)
    if not rans.encode(symbols, edges, rows.reshape(-1, 4), _BITS, out, sizes):
        raise ValueError("the symbols changed while they were encoded")
    return tables, out[out.size - int(sizes[0]) :].tobytes()


def _edges(starts: Int64s) -> Int64s:
    """Return where each run ends: after whole rounds, or with the last; shape (1, runs)."""
    ends = np.minimum(-(-starts[1:] // rans.ROUND) * rans.ROUND, starts[-1])
    edges: Int64s = ends[np.diff(ends, prepend=0) > 0][None, :]
    return edges


def _live(words: FloatBits, old: FloatBits) -> Any:
    """Return which blocks are not all the base's; None where leaving others out does not pay."""
    n = words.size // BLOCK
    if n < 8:
        return None
    other = (words[: n * BLOCK] != old[: n * BLOCK]).reshape(n, BLOCK)
    dead = 1 - other.any(axis=1).mean()
    by_chance = (1 - other.mean()) ** BLOCK  # if differences were independent
    if dead < by_chance + 0.02 or dead == 1:
        return None
    return other.any(axis=1)


def _coded_part(words: FloatBits, live: Any) -> FloatBits:
    n = live.size * BLOCK
    return np.concatenate([words[:n].reshape(-1, BLOCK)[live].reshape(-1), words[n:]])


def _put_back(words: FloatBits, old: FloatBits, live: Any, part: FloatBits) -> None:
    n, coded = live.size * BLOCK, int(live.sum()) * BLOCK
    words[:] = old
    words[:n].reshape(-1, BLOCK)[live] = part[:coded].reshape(-1, BLOCK)
    words[n:] = part[coded:]


def _groups(lows: list[int], counts: Int64s) -> tuple[Bytes, Int64s]:
    """Return the group of every key, and where each group begins, with the end of the last."""
    groups = np.searchsorted(-np.array(lows), -np.arange(256), side="left").astype(np.uint8)
    sizes = np.bincount(groups, counts, len(lows)).astype(np.int64)
    return groups, np.concatenate([[0], np.cumsum(sizes)])
