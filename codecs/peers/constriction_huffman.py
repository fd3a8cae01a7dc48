"""Constriction's Huffman code."""

from __future__ import annotations

from typing import ClassVar

import constriction
import numpy as np

from slashbench.arrays import Int64s, Symbols
from slashbench.codecs.families.constriction_adapter import refusals, to_bytes, to_words
from slashbench.codecs.families.frequency_codec import ModelledCodec
from slashbench.errors import CorruptStream


class ConstrictionHuffman(ModelledCodec):
    """Huffman code of the library constriction, symbol by symbol: the plain implementation.

    The last word has a one after the last codeword, then zeros.
    """

    codec_id: ClassVar[str] = "slashbench.constriction-huffman"

    def encode_with(self, places: Symbols, frequencies: Int64s) -> bytes:
        """Return the payload of places under a model with an entry for each."""
        tree = constriction.symbol.huffman.EncoderHuffmanTree(frequencies.astype(np.float64))
        coder = constriction.symbol.QueueEncoder()
        for place in places.tolist():
            coder.encode_symbol(place, tree)
        words, _ = coder.get_compressed()
        return to_bytes(words)

    def decode_with(self, payload: bytes, frequencies: Int64s, count: int) -> Symbols:
        """Return the `count` places."""
        if count > 8 * len(payload):
            raise CorruptStream(f"{len(payload)} bytes can't hold {count} codewords")
        words = to_words(payload)
        with refusals():
            tree = constriction.symbol.huffman.DecoderHuffmanTree(frequencies.astype(np.float64))
            coder = constriction.symbol.QueueDecoder(words)
            return np.fromiter((coder.decode_symbol(tree) for _ in range(count)), np.int32, count)
