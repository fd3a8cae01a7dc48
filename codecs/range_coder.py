"""Range coding."""

from __future__ import annotations

from typing import ClassVar

import constriction

from slashbench.arrays import Int64s, Symbols
from slashbench.codecs.families.constriction_adapter import (
    categorical,
    refusals,
    to_bytes,
    to_words,
)
from slashbench.codecs.families.frequency_codec import ModelledCodec
from slashbench.errors import CorruptStream


class RangeCoder(ModelledCodec):
    """Range coder over an order-0 frequency table, first symbol first (Martin 1979; constriction).

    The coder is constriction's `stream.queue`, which adds whole 32-bit words.

    References
    ----------
    G. N. N. Martin, "Range encoding: an algorithm for removing redundancy from a digitised
    message", 1979. constriction: arXiv:2201.01741, 2022.
    """

    codec_id: ClassVar[str] = "slashbench.range"

    def encode_with(self, places: Symbols, frequencies: Int64s) -> bytes:
        """Return the payload of places under a model with an entry for each."""
        coder = constriction.stream.queue.RangeEncoder()
        coder.encode(places, categorical(frequencies))
        return to_bytes(coder.get_compressed())

    def decode_with(self, payload: bytes, frequencies: Int64s, count: int) -> Symbols:
        """Return the `count` places."""
        words = to_words(payload)
        with refusals():
            coder = constriction.stream.queue.RangeDecoder(words)
            places: Symbols = coder.decode(categorical(frequencies), count)
        if not coder.maybe_exhausted():
            raise CorruptStream("there are words after the last symbol")
        return places
