"""Interleaved rANS with Python's integers. See `slashbench.codecs.kernels.rans` for the format.

A table is a list of frequencies that sum to 2^bits; a symbol is its place in the table. `runs`
lists (end, frequencies) for each run of the chunk.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from itertools import accumulate

LANES = 8
ROUND = 16
LOW = 1 << 31

Runs = list[tuple[int, list[int]]]


def encode(symbols: list[int], runs: Runs, bits: int) -> bytes:
    """One chunk: the eight states, 64 bits each, and the words."""
    states, words = [LOW] * LANES, []
    for start in reversed(range(0, len(symbols), ROUND)):
        frequencies = _of_run(runs, start)
        starts = [0, *accumulate(frequencies)]
        for lane in reversed(range(LANES)):
            coded = symbols[start + lane : start + ROUND : LANES]
            product = 1
            for symbol in coded:
                product *= frequencies[symbol]
            if coded and states[lane] >= product << 63 - bits * len(coded):
                words.append(states[lane] % 2**32)
                states[lane] >>= 32
            for symbol in reversed(coded):
                quotient, rest = divmod(states[lane], frequencies[symbol])
                states[lane] = (quotient << bits) + starts[symbol] + rest
    return struct.pack(f"<8Q{len(words)}I", *states, *reversed(words))


def decode(chunk: bytes, count: int, runs: Runs, bits: int) -> list[int]:
    """The `count` symbols of a chunk. Raises ValueError if words are missing or left over."""
    states = list(struct.unpack_from("<8Q", chunk))
    words = iter(struct.unpack(f"<{(len(chunk) - 64) // 4}I", chunk[64:]))
    symbols = [0] * count
    for start in range(0, count, ROUND):
        frequencies = _of_run(runs, start)
        starts = [0, *accumulate(frequencies)]
        for lane in range(LANES):
            places = range(start + lane, min(start + ROUND, count), LANES)
            for i in places:
                slot = states[lane] % 2**bits
                symbols[i] = bisect_right(starts, slot) - 1
                offset = slot - starts[symbols[i]]
                states[lane] = frequencies[symbols[i]] * (states[lane] >> bits) + offset
            if places and states[lane] < LOW:
                word = next(words, None)
                if word is None:
                    raise ValueError("the words are cut off")
                states[lane] = states[lane] << 32 | word
    if next(words, None) is not None or states != [LOW] * LANES:
        raise ValueError("the chunk does not end as it began")
    return symbols


def _of_run(runs: Runs, place: int) -> list[int]:
    return next(frequencies for end, frequencies in runs if place < end)
