"""The base classes of codecs, under the name that plug-ins import them by.

They are written in `slashbench.codecs.families.base`, below the codecs. Derive from one of these:

    SymbolCodec       two functions over int32 symbols, the whole tensor at once: the easy way in
    WholeTensorCodec  the same over any dtype
    ChunkedCodec      integers in chunks that decode apart and on all cores: the fast way
    WholeDeltaCodec   the whole tensor, given another that the decoder has too
"""

from __future__ import annotations

from slashbench.arrays import Integers, Symbols
from slashbench.codecs.families.base import (
    Bound,
    ChunkedCodec,
    OneChunkCodec,
    SymbolCodec,
    TensorCodec,
    WholeTensorCodec,
    as_int32,
    from_int32,
    narrowest,
)
from slashbench.codecs.families.delta_codec import DeltaCodec, WholeDeltaCodec, hash_of

__all__ = [
    "Bound",
    "ChunkedCodec",
    "DeltaCodec",
    "Integers",
    "OneChunkCodec",
    "SymbolCodec",
    "Symbols",
    "TensorCodec",
    "WholeDeltaCodec",
    "WholeTensorCodec",
    "as_int32",
    "from_int32",
    "hash_of",
    "narrowest",
]
