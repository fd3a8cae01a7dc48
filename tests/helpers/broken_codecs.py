"""Codecs with one fault each, named for the check that must find it."""

from __future__ import annotations

import time
import zlib

import numpy as np
from numcodecs.abc import Codec
from numcodecs.compat import ensure_contiguous_ndarray

from slashbench.codecs.base import SymbolCodec


class Sound(SymbolCodec):
    """No fault: what the others are made from."""

    codec_id = "broken.sound"
    max_expansion = 4.0

    def encode_symbols(self, symbols):
        return b"", symbols.astype("<i4").tobytes()

    def decode_symbols(self, tables, payload, count):
        return np.frombuffer(payload, "<i4", count).astype(np.int32)


def given(data, out):
    """The bytes, in `out` where there is one."""
    if out is None:
        return data
    out.view(np.uint8).reshape(-1)[:] = np.frombuffer(data, np.uint8)
    return out


class Foreign(Codec):
    """No fault either, and nothing of ours: a numcodecs codec of bytes with a checksum."""

    codec_id = "broken.foreign"

    def encode(self, buf):
        return zlib.compress(ensure_contiguous_ndarray(buf).tobytes())

    def decode(self, buf, out=None):
        return given(zlib.decompress(buf), out)


class NoChecksum(Foreign):
    """Bytes as they are: damage goes unnoticed, which is remarked and no fault."""

    codec_id = "broken.no-checksum"

    def encode(self, buf):
        return ensure_contiguous_ndarray(buf).tobytes()

    def decode(self, buf, out=None):
        return given(bytes(buf), out)


class ForgetsDtype(Sound):
    faults = "shapes values layouts large"

    def decode(self, buf, out=None):
        return super().decode(buf, out).astype(np.int32)


class ForgetsShape(Sound):
    faults = "shapes layouts"

    def decode(self, buf, out=None):
        decoded = super().decode(buf, out)
        return decoded.reshape(-1) if out is None else decoded


class LosesExtremes(Sound):
    faults = "values"

    def encode_symbols(self, symbols):
        return b"", np.clip(symbols, -(2**30), 2**30).astype("<i4").tobytes()


class ByMemoryOrder(Sound):
    faults = "layouts"

    def encode(self, buf):
        array = np.asarray(buf)
        return super().encode(array.ravel("K").reshape(array.shape))


class ForgetsOrder(Sound):
    faults = "memory-order"

    def encode(self, buf):
        return b"".join(super().pieces(buf))


class OneChunkOnly(Sound):
    faults = "large"

    def encode_symbols(self, symbols):
        return b"", symbols[: 1 << 18].astype("<i4").tobytes()


class IgnoresOut(Sound):
    faults = "decode-into"

    def decode(self, buf, out=None):
        return super().decode(buf)


class WantsBytes(Sound):
    faults = "buffers"

    def decode(self, buf, out=None):
        if not isinstance(buf, bytes):
            raise TypeError("bytes, please")
        return super().decode(buf, out)


class HidesASetting(Sound):
    faults = "configuration"

    def __init__(self, level: int = 3) -> None:
        self._level = level


class ConfigurationNoJsonHolds(Sound):
    faults = "configuration"

    def __init__(self, dtype: str = "i4") -> None:
        self.dtype = np.dtype(dtype)


class KeepsItsSettingForItself(Sound):
    faults = "self-contained"

    def __init__(self, shift: int = 0) -> None:
        self.shift = shift

    def encode_symbols(self, symbols):
        return b"", (symbols ^ self.shift).astype("<i4").tobytes()

    def decode_symbols(self, tables, payload, count):
        return super().decode_symbols(tables, payload, count) ^ self.shift


class Stamps(Sound):
    faults = "deterministic threads configuration"

    def encode_symbols(self, symbols):
        return time.perf_counter_ns().to_bytes(8), symbols.astype("<i4").tobytes()


class ModifiesItsInput(Sound):
    faults = "leaves-input-alone"

    def encode(self, buf):
        if isinstance(buf, np.ndarray) and buf.size and buf.flags.writeable:
            buf.reshape(-1)[0] ^= 1
            buf.reshape(-1)[-1] = 0
        return super().encode(buf)


class GivesReadOnlyArrays(Sound):
    faults = "leaves-input-alone"

    def decode(self, buf, out=None):
        decoded = super().decode(buf, out)
        if out is None:
            decoded.flags.writeable = False
        return decoded


class KeepsStateInItself(Sound):
    faults = "threads"

    def encode_symbols(self, symbols):
        self._pending = symbols.astype("<i4")
        time.sleep(0.001)
        return b"", self._pending.tobytes()


class Expands(Sound):
    faults = "expansion"

    def encode_symbols(self, symbols):
        return b"", np.repeat(symbols, 2).astype("<i4").tobytes()

    def decode_symbols(self, tables, payload, count):
        return np.frombuffer(payload, "<i4", 2 * count)[::2].astype(np.int32)


class CooksItsBooks(Sound):
    faults = "ledger"

    def ledger(self, buf):
        return super().ledger(buf) | {"header": 0}


_seen = {}


class RemembersInTheProcess(Sound):
    faults = "fresh-process"

    def encode_symbols(self, symbols):
        key = zlib.crc32(symbols).to_bytes(4, "big")
        _seen[key] = symbols
        return key, symbols.astype("<i4").tobytes()

    def decode_symbols(self, tables, payload, count):
        return _seen[tables]


class BelievesAnything(Sound):
    """Decodes past a wrong checksum."""

    faults = "damage truncation"

    def decode(self, buf, out=None):
        try:
            return super().decode(buf, out)
        except ValueError:
            return np.zeros(3, np.int32)


class DiesOfDamage(Sound):
    faults = "damage truncation"

    def decode(self, buf, out=None):
        try:
            return super().decode(buf, out)
        except ValueError:
            raise SystemExit(7) from None


class RaisesWhatItLikes(Sound):
    faults = "damage truncation bounded"

    def decode(self, buf, out=None):
        try:
            return super().decode(buf, out)
        except ValueError as error:
            raise KeyError("oops") from error


class BendsFloats(Sound):
    faults = "refusals"

    def encode(self, buf):
        array = np.asarray(buf)
        return super().encode(array.astype(np.int32) if array.dtype.kind == "f" else array)


class KnowsNoLimit(Sound):
    faults = "bounded"

    def decode(self, buf, out=None):
        room = np.empty(1 << 26, np.uint8)  # takes what it likes before it looks
        decoded = super().decode(buf, out)
        return decoded if room.size else room
