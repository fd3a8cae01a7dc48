"""Canonical Huffman codes with Python's strings of bits. See `codecs/FORMAT.md` for the format.

A symbol is its place in a list of codeword lengths; a length of 0 is a symbol that does not occur.
"""

from __future__ import annotations

import struct

STREAMS = 4
FEW = 1024  # symbols below which a chunk is one stream


def codewords(lengths: list[int]) -> list[str]:
    """Return the codeword of each symbol: they count up, shortest first, then by symbol.

    >>> codewords([2, 1, 0, 3, 3])
    ['10', '0', '', '110', '111']
    """
    words, number, before = [""] * len(lengths), -1, 0
    for length, symbol in sorted((n, symbol) for symbol, n in enumerate(lengths) if n):
        number = number + 1 << length - before
        before = length
        words[symbol] = f"{number:0{length}b}"
    return words


def encode(symbols: list[int], lengths: list[int]) -> bytes:
    """Return one chunk: sizes of the first three streams, and the streams."""
    words = codewords(lengths)
    streams = [_to_bytes("".join(words[symbol] for symbol in run)) for run in _runs(symbols)]
    return _sizes(streams) + b"".join(streams)


def decode(chunk: bytes, count: int, lengths: list[int]) -> list[int]:
    """Return the `count` symbols of a chunk. Raises ValueError unless they fill it."""
    symbol_of = {word: symbol for symbol, word in enumerate(codewords(lengths)) if word}
    symbols: list[int] = []
    runs = _runs([0] * count)
    head = 4 * (len(runs) - 1)
    sizes = struct.unpack_from(f"<{len(runs) - 1}I", chunk)
    at = head
    for run, size in zip(runs, (*sizes, len(chunk) - head - sum(sizes)), strict=True):
        bits, place = _to_bits(chunk[at : at + size]), 0
        for _ in run:
            word = ""
            while word not in symbol_of:
                if place == len(bits):
                    raise ValueError("the codewords are cut off")
                word += bits[place]
                place += 1
            symbols.append(symbol_of[word])
        if len(bits) - place >= 8 or "1" in bits[place:]:
            raise ValueError("the stream does not end with its run")
        at += size
    return symbols


def _runs(symbols: list[int]) -> list[list[int]]:
    """Cut the symbols of a chunk into four runs, the last one the shortest; few stay one."""
    if len(symbols) < FEW:
        return [symbols]
    run = -(-len(symbols) // STREAMS)
    return [symbols[s * run : (s + 1) * run] for s in range(STREAMS)]


def _sizes(streams: list[bytes]) -> bytes:
    return struct.pack(f"<{len(streams) - 1}I", *map(len, streams[:-1]))


def _to_bytes(bits: str) -> bytes:
    """Pack bits, the first one lowest, padded to a byte with zeros."""
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[i : i + 8][::-1], 2) for i in range(0, len(bits), 8))


def _to_bits(data: bytes) -> str:
    return "".join(f"{byte:08b}"[::-1] for byte in data)
