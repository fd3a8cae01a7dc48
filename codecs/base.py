"""What every codec of ours shares: the numcodecs interface over one small framed stream.

A codec turns a tensor into bytes that hold all a decoder needs, and back, bit for bit. The frame
(`slashbench.codecs.frame`) carries dtype, shape, the tables and the payload, with a checksum, so a
subclass only writes what is peculiar to its code: two functions over a flat array.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from numcodecs.abc import Codec
from numcodecs.compat import ensure_bytes, ndarray_copy

from slashbench.codecs import frame
from slashbench.errors import CorruptStream, Unencodable

Symbols = npt.NDArray[np.int32]


class TensorCodec(Codec):  # type: ignore[misc]  # numcodecs ships no types
    """Tensor in, self-contained bytes out. A subclass codes a flat array of any dtype it accepts.

    Public attributes set by the constructor are the configuration (numcodecs' convention): they
    make up `get_config()`, equality and the cache key. Derived ones start with an underscore.
    """

    codec_id: ClassVar[str]
    domains: ClassVar[frozenset[str]] = frozenset({"integers"})  # also "floats"
    revision: ClassVar[int] = 1  # of the bytes written: raise it when they change

    def encode(self, buf: Any) -> bytes:
        """Encode an array of any shape and memory order.

        Raises Unencodable, before anything is written, for a dtype outside `domains`.
        """
        array = np.asarray(buf)
        if frame.domain_of(array.dtype) not in self.domains:
            raise Unencodable(
                f"{self.codec_id} takes {' or '.join(sorted(self.domains))}, not {array.dtype}; "
                f"integers are int8 to int32 and uint8 to uint32, floats float16 to float64"
            )
        native = array.dtype.newbyteorder("=")
        flat = np.ascontiguousarray(array, native).reshape(-1)
        tables, payload = self._encode(flat) if flat.size else (b"", b"")
        return frame.pack(array.dtype, array.shape, tables, payload)

    def decode(self, buf: Any, out: Any = None) -> Any:
        """The array that was encoded, with its dtype and shape, or a copy of it in `out`.

        Raises CorruptStream for bytes that `encode` did not write.
        """
        tensor = self._decode_frame(frame.unpack(ensure_bytes(buf)))
        if (
            isinstance(out, np.ndarray)
            and out.shape == tensor.shape
            and np.can_cast(tensor.dtype, out.dtype, "equiv")
        ):
            np.copyto(out, tensor)  # by index: numcodecs' copy goes by memory order
            return out
        return ndarray_copy(tensor, out)

    def ledger(self, buf: bytes) -> dict[str, int]:
        """Where the bytes of one stream go: header, tables, payload. They sum to `len(buf)`."""
        parts = frame.unpack(buf)
        tables, payload = len(parts.tables), len(parts.payload)
        return {"header": len(buf) - tables - payload, "tables": tables, "payload": payload}

    def _decode_frame(self, parts: frame.Frame) -> npt.NDArray[Any]:
        if frame.domain_of(parts.dtype) not in self.domains:
            raise CorruptStream(f"{self.codec_id} never writes {parts.dtype}")
        if parts.count == 0:
            if parts.tables or parts.payload:
                raise CorruptStream(f"{self.codec_id}: an empty tensor with tables or payload")
            return np.zeros(parts.shape, parts.dtype)
        try:
            flat = self._decode(parts.tables, parts.payload, parts.count, parts.dtype)
        except CorruptStream:
            raise
        except (ValueError, IndexError, OverflowError, KeyError, RuntimeError) as error:
            raise CorruptStream(f"{self.codec_id}: damaged stream ({error})") from error
        if flat.size != parts.count or flat.dtype != parts.dtype:
            raise CorruptStream(f"{self.codec_id}: {flat.size} values for {parts.count} declared")
        return flat.reshape(parts.shape)

    @abstractmethod
    def _encode(self, flat: npt.NDArray[Any]) -> tuple[bytes, bytes]:
        """(tables, payload) of a flat, contiguous array in native byte order, never empty."""

    @abstractmethod
    def _decode(
        self, tables: bytes, payload: bytes, count: int, dtype: np.dtype[Any]
    ) -> npt.NDArray[Any]:
        """The flat array of `count` values of `dtype`; `count` is at least 1."""


class SymbolCodec(TensorCodec):
    """A codec of integer symbols. Subclasses see int32, whatever integer dtype was given.

    uint32 is reinterpreted as int32, a bijection, so one symbol type serves every integer dtype.
    """

    def _encode(self, flat: npt.NDArray[Any]) -> tuple[bytes, bytes]:
        return self.encode_symbols(as_int32(flat))

    def _decode(
        self, tables: bytes, payload: bytes, count: int, dtype: np.dtype[Any]
    ) -> npt.NDArray[Any]:
        return from_int32(self.decode_symbols(tables, payload, count), dtype)

    @abstractmethod
    def encode_symbols(self, symbols: Symbols) -> tuple[bytes, bytes]:
        """(tables, payload) of symbols, shape (n,), n at least 1."""

    @abstractmethod
    def decode_symbols(self, tables: bytes, payload: bytes, count: int) -> Symbols:
        """The `count` symbols, at least 1."""


class Bound:
    """Not a codec but a yardstick: a length in bits that nothing is written at."""

    revision: ClassVar[int] = 1
    domains: ClassVar[frozenset[str]] = frozenset({"integers"})

    @abstractmethod
    def bits(self, array: npt.NDArray[Any]) -> float:
        """The bound for one tensor, in bits."""


def as_int32(flat: npt.NDArray[Any]) -> Symbols:
    """The symbols of an integer array: uint32 reinterpreted, anything narrower widened."""
    if flat.dtype == np.uint32:
        return flat.view(np.int32)
    return flat.astype(np.int32, copy=False)


def from_int32(symbols: Symbols, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """The inverse of `as_int32`. Raises CorruptStream for a symbol that `dtype` can't hold."""
    if dtype == np.uint32:
        return symbols.view(np.uint32)
    if dtype != np.int32 and symbols.size:
        limits = np.iinfo(dtype)
        if symbols.min() < limits.min or symbols.max() > limits.max:
            raise CorruptStream(f"a value does not fit the declared {dtype}")
    return symbols.astype(dtype, copy=False)
