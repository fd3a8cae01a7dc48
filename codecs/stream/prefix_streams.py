"""Where the streams of prefix codewords lie in a tensor's chunks (kernels/prefix.py).

u32 x 3  bytes of the first three streams; not there in a chunk of under FEW symbols
...      four streams, each padded to a byte with zeros; one in a chunk of under FEW symbols
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slashbench.arrays import Bytes, Int8s, Int64s, UInt32s, UInt64s
from slashbench.codecs.kernels import prefix
from slashbench.codecs.kernels.prefix import FEW, MAX_LENGTH, STREAMS

_HEADS = 4 * (STREAMS - 1)

TABLE_BITS = 12  # 4096 entries of 8 bytes stay in the first-level cache


@dataclass(frozen=True, slots=True)
class StreamLayout:
    """Places in the payload: streams of chunk c begin at begins[c]; stream s ends at ends[c, s]."""

    begins: Int64s
    ends: Int64s

    @classmethod
    def of(cls, bits: Int64s, count: int, chunk: int) -> StreamLayout:
        """From the bits of each stream, shape (chunks, STREAMS)."""
        sizes = (bits + 7) // 8
        n_last = count - chunk * (len(sizes) - 1)
        if chunk >= FEW:
            sizes[:, 0] += _HEADS
        if chunk >= FEW > n_last:
            sizes[-1, 0] -= _HEADS
        ends = np.cumsum(sizes.reshape(-1)).reshape(sizes.shape)
        return cls(np.append(0, ends[:-1, -1]), ends)

    @property
    def chunk_sizes(self) -> tuple[int, ...]:
        """Bytes of each chunk."""
        return tuple((self.ends[:, -1] - self.begins).tolist())

    def room(self) -> Bytes:
        """Return an array for the whole payload."""
        return np.empty(int(self.ends[-1, -1]), np.uint8)


def tally(symbols: Int8s, chunk: int) -> UInt32s:
    """Count how often each byte occurs in each stream; shape (chunks, STREAMS, 256)."""
    counts = np.zeros((-(-symbols.size // chunk), STREAMS, 256), np.uint32)
    prefix.tally(symbols.view(np.uint8), chunk, counts)
    return counts


def entry_of(codes: UInt64s, lengths: Int64s) -> UInt64s:
    """Return what the encoder looks up: codeword << 8 | length."""
    entries: UInt64s = codes << np.uint64(8) | lengths.astype(np.uint64)
    return entries


def decoding_table(
    symbols: UInt64s, codes: UInt64s, lengths: Int64s, width: int, count: int
) -> tuple[UInt64s, int]:
    """(table, bits looked at) for `count` symbols of `width` bytes; few don't earn a big table."""
    longest = min(int(lengths.max()), MAX_LENGTH)
    bits = max(longest, TABLE_BITS) if count >= 1 << TABLE_BITS else longest
    table = np.empty(2 << bits, np.uint64)
    prefix.build(symbols, codes, lengths, width, bits, table)
    return table, bits
