"""Length-limited canonical Huffman coding."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from slashbench.codecs.alphabet import MAX_VALUES, Counts
from slashbench.codecs.base import Symbols
from slashbench.codecs.indexed import IndexedCodec
from slashbench.codecs.kernels import prefix
from slashbench.codecs.mapping import unzigzag, zigzag
from slashbench.codecs.prefix_code import canonical, package_merge
from slashbench.codecs.tables import Reader, integer_list


class Huffman(IndexedCodec):
    """Canonical Huffman code of at most `max_length` bits a symbol (Huffman 1952, package-merge).

    D. A. Huffman, "A method for the construction of minimum-redundancy codes", Proc. IRE 40(9);
    the limit by Larmore and Hirschberg, JACM 37(3), 1990. A short limit leaves places for few
    values, 2^max_length - 1: the others are escaped. The table is the list of codeword lengths,
    as zig-zagged steps from one to the next.
    """

    codec_id: ClassVar[str] = "slashbench.huffman"

    def __init__(self, max_length: int = 15) -> None:
        if isinstance(max_length, bool) or not isinstance(max_length, int):
            raise ValueError(f"max_length must be a whole number, not {max_length!r}")
        if not 1 <= max_length <= prefix.MAX_LENGTH:
            raise ValueError(f"max_length must be 1 to {prefix.MAX_LENGTH}, not {max_length}")
        self.max_length = max_length

    def encode_places(self, places: Symbols, counts: Counts) -> tuple[bytes, bytes]:
        """(table, payload) of places."""
        lengths = package_merge(counts, self.max_length)
        steps = np.diff(lengths.astype(np.int64), prepend=0).astype(np.int32)
        bits = int((counts * lengths).sum())
        codes = canonical(lengths.astype(np.int64))
        return integer_list(zigzag(steps)), prefix.encode(places, lengths, codes, bits)

    def decode_places(self, reader: Reader, payload: bytes, count: int, size: int) -> Symbols:
        """The `count` places."""
        steps = unzigzag(reader.integers(size))
        lengths = np.cumsum(steps, dtype=np.int64)
        canonical(lengths)  # refuses lengths that make no code
        return prefix.decode(payload, count, lengths.astype(np.uint8))

    def _most_values(self) -> int:
        return min(MAX_VALUES, (1 << self.max_length) - 1)
