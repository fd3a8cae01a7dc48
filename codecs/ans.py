"""Asymmetric numeral systems."""

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


class Ans(ModelledCodec):
    """Asymmetric numeral systems over an order-0 frequency table (Duda 2009; constriction).

    The coder is constriction's `stream.stack`: the last symbol in is the first out, so it encodes
    from the back.

    References
    ----------
    J. Duda, "Asymmetric numeral systems", arXiv:0902.0271, 2009; the streaming form is rANS,
    arXiv:1311.2540, 2013. constriction: arXiv:2201.01741, 2022.
    """

    codec_id: ClassVar[str] = "slashbench.ans"

    def encode_with(self, places: Symbols, frequencies: Int64s) -> bytes:
        """Return the payload of places under a model with an entry for each."""
        coder = constriction.stream.stack.AnsCoder()
        coder.encode_reverse(places, categorical(frequencies))
        return to_bytes(coder.get_compressed())

    def decode_with(self, payload: bytes, frequencies: Int64s, count: int) -> Symbols:
        """Return the `count` places."""
        words = to_words(payload)
        with refusals():
            coder = constriction.stream.stack.AnsCoder(words)
            places: Symbols = coder.decode(categorical(frequencies), count)
        if not coder.is_empty():
            raise CorruptStream("there are words after the last symbol")
        return places
