"""DeepCABAC, as in the standard ISO/IEC 15938-17."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import numpy as np

from slashbench.arrays import Symbols
from slashbench.codecs.families.base import SymbolCodec
from slashbench.codecs.stream import packing
from slashbench.codecs.stream.table_bytes import Reader
from slashbench.errors import CorruptStream, MissingDependency

_CODED, _PACKED = 0, 1
_LARGEST = 1 << 20  # magnitudes beyond it have codewords longer than the library's integers
_UNARY = 11  # flags of a magnitude before exp-Golomb takes over
_NO_HISTORY = np.zeros(0, np.int8)


class DeepCabac(SymbolCodec):
    """DeepCABAC of nncodec (arXiv:1905.08318; ISO/IEC 15938-17). Decode trusted streams only.

    Context-adaptive binary arithmetic coding without dependent quantization, one stream a tensor. A
    tensor with a magnitude over 2^20 is packed. The tables are one byte: 0 coded, 1 packed, and
    then those of `pack`.

    Parameters
    ----------
    optimise : int
        1: search the adaptation of the contexts, as the standard's encoder does. 0: don't.
    """

    codec_id: ClassVar[str] = "slashbench.deepcabac"
    trusts_input: ClassVar[bool] = True

    def __init__(self, optimise: int = 1) -> None:
        if optimise not in (0, 1):
            raise ValueError(f"optimise must be 0 or 1, not {optimise!r}")
        self.optimise = optimise

    def encode_symbols(self, symbols: Symbols) -> tuple[bytes, bytes]:
        """Return (tables, payload) of symbols, shape (n,)."""
        if int(symbols.max()) > _LARGEST or int(symbols.min()) < -_LARGEST:
            low, width = packing.range_of(symbols)
            return bytes([_PACKED]) + packing.table(low, width), packing.pack(symbols, low, width)
        library = _library()
        encoder = library.Encoder()
        encoder.initCtxModels(_UNARY, self.optimise)
        off, skipped = library.HdspMode.AlwaysOff, np.zeros(symbols.size, np.int32)
        encoder.encodeLayer(symbols.copy(), 0, 0, 0, 0, 0, skipped, off, _NO_HISTORY, 0, 0)
        return bytes([_CODED]), encoder.finish().tobytes()

    def decode_symbols(self, tables: bytes, payload: bytes, count: int) -> Symbols:
        """Return the `count` symbols."""
        reader = Reader(tables)
        form = reader.byte()
        if form == _PACKED:
            low, width = packing.read_table(reader)
            reader.end()
            return packing.unpack(payload, count, low, width)
        reader.end()
        if form != _CODED:
            raise CorruptStream(f"the form {form} is unknown")
        library = _library()
        decoder, symbols = library.Decoder(), np.zeros(count, np.int32)
        decoder.setStream(np.frombuffer(payload, np.uint8).copy())
        decoder.initCtxModels(_UNARY)
        off = library.HdspMode.AlwaysOff
        decoder.decodeLayer(symbols, 0, 0, 0, 0, off, _NO_HISTORY, 0, 0)
        decoder.finish()
        return symbols


def _library() -> ModuleType:
    """The compiled extension alone: importing nncodec itself brings torchvision and more."""
    if _LOADED:
        return _LOADED[0]
    package = importlib.util.find_spec("nncodec")
    for folder in (package.submodule_search_locations or []) if package else []:
        for path in sorted(Path(folder, "extensions").glob("deepCABAC.*")):
            spec = importlib.util.spec_from_file_location("deepCABAC", path)
            if spec is not None and spec.loader is not None:
                module = importlib.util.module_from_spec(spec)
                spec.loader.exec_module(module)
                _LOADED.append(module)
                return module
    raise MissingDependency("deepcabac needs nncodec: pip install --no-deps nncodec")


_LOADED: list[ModuleType] = []
