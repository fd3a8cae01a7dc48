"""What every codec of ours shares: the numcodecs interface over one framed stream.

A codec turns a tensor into bytes that hold all a decoder needs, and back, bit for bit. The frame
(`slashbench.codecs.stream.frame`) carries dtype, shape, tables and chunks, with a checksum each, so
a subclass only writes what is peculiar to its code:

    SymbolCodec       two functions over int32 symbols, the whole tensor at once: the easy way in
    WholeTensorCodec  the same over any dtype
    ChunkedCodec      integers in chunks that decode apart and on all cores: the fast way
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, final

import numpy as np
from numcodecs.abc import Codec
from numcodecs.compat import ndarray_copy

from slashbench import parallel
from slashbench.arrays import Array, Bytes, Integers, Symbols
from slashbench.codecs.stream import frame
from slashbench.codecs.stream.frame import CodedArray, Frame, MemoryOrder, Pieces
from slashbench.codecs.stream.table_bytes import Reader
from slashbench.errors import CorruptStream, Unencodable


class TensorCodec(Codec):  # type: ignore[misc]  # numcodecs ships no types
    """Tensor in, self-contained bytes out. A subclass codes a flat array of any dtype it accepts.

    Public attributes set by the constructor are the configuration (numcodecs' convention): they
    make up `get_config()`, equality and the cache key. Derived ones start with an underscore.
    """

    codec_id: ClassVar[str]
    domains: ClassVar[frozenset[str]] = frozenset({"integers"})  # also "floats"
    revision: ClassVar[int] = 1  # of the bytes written: raise it when they change
    trusts_input: ClassVar[bool] = False  # a forged stream may crash it: a library believes it
    max_expansion: ClassVar[float] = 1.25  # noise grows to at most this many times its size

    @final
    def encode(self, buf: Any) -> bytes:
        """Encode an array of any shape, memory order and byte order.

        The stream says whether the array was in Fortran order or big-endian, since `decode` gives
        it back that way. Values are coded in C order whatever the array's own is.

        Parameters
        ----------
        buf : array_like
            Its dtype must be in one of the codec's `domains`.

        Returns
        -------
        bytes
            A stream that holds all that `decode` needs.

        Raises
        ------
        Unencodable
            If the codec does not take the dtype.
        """
        array = np.asarray(buf)
        return b"".join(self._stream(array, MemoryOrder.of(array)))

    @final
    def pieces(self, buf: Any) -> list[Any]:
        """Encode an array as `encode` does one in C order and native byte order.

        Returns
        -------
        list of buffers
            They follow one another in the stream; to write a file needs no copy of them. They
            depend on the array's values alone, not on how it lies in memory.
        """
        return self._stream(np.asarray(buf), MemoryOrder())

    def _stream(self, array: Array, order: MemoryOrder) -> list[Any]:
        if frame.domain_of(array.dtype) not in self.domains:
            raise Unencodable(
                f"{self.codec_id} takes {' or '.join(sorted(self.domains))}, not {array.dtype}; "
                f"integers are int8 to int32 and uint8 to uint32, floats bfloat16 and float16 to "
                f"float64"
            )
        native = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(array.shape)
        coded = self._encode_shaped(native) if native.size else None
        return frame.pieces(native.dtype, native.shape, coded, order)

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Decode a stream; `slashbench.parallel.threads` says how many cores share its chunks.

        Parameters
        ----------
        buf : buffer of bytes, or Frame
            The stream. A Frame of it saves parsing it again.
        out : buffer, optional
            Where to put the values. An array of the tensor's shape gets them by index. Any other
            buffer, such as Zarr's, gets the bytes of the array that was encoded, in its own
            memory order and byte order.

        Returns
        -------
        ndarray
            The array that was encoded, with its dtype, shape, memory order and byte order; or
            `out`.

        Raises
        ------
        CorruptStream
            If `encode` did not write these bytes.
        """
        parts = self._open(buf)
        direct = (
            isinstance(out, np.ndarray)
            and out.shape == parts.shape
            and out.dtype == parts.dtype
            and out.flags.c_contiguous
            and out.flags.writeable
            and out.flags.aligned
        )
        tensor = out.reshape(-1) if direct else np.empty(parts.count, parts.dtype)
        if parts.count:
            parallel.over_ranges(
                lambda first, last: self._decode_range(
                    parts, first, last, tensor[first * parts.chunk : last * parts.chunk]
                ),
                parts.chunks,
            )
        if direct:
            return out
        tensor = parts.order.applied(tensor.reshape(parts.shape))
        if (
            isinstance(out, np.ndarray)
            and out.shape == tensor.shape
            and out.dtype.itemsize == tensor.dtype.itemsize
            and not out.dtype.hasobject
        ):
            if not np.can_cast(tensor.dtype, out.dtype, "equiv"):
                tensor = tensor.view(out.dtype)  # bits are bits, as with numcodecs
            np.copyto(out, tensor)  # by index: numcodecs' copy goes by memory order
            return out
        return ndarray_copy(tensor, out)

    def decode_chunk(self, buf: Any, index: int) -> Array:
        """Decode one chunk alone to its flat values. buf: as `decode` takes it.

        Raises IndexError if there is no such chunk, CorruptStream as `decode` does.
        """
        parts = self._open(buf)
        if not 0 <= index < parts.chunks:
            raise IndexError(f"chunk {index} of {parts.chunks}")
        values = np.empty(parts.values_in(index, index + 1), parts.dtype)
        self._decode_range(parts, index, index + 1, values)
        return values

    def ledger(self, buf: bytes) -> dict[str, int]:
        """Count the bytes of a stream by part: header, tables, payload. They sum to `len(buf)`."""
        parts = frame.unpack(buf)
        tables, payload = len(parts.tables), int((parts.ends - parts.begins).sum())
        return {"header": len(buf) - tables - payload, "tables": tables, "payload": payload}

    def _open(self, buf: Any) -> Frame:
        parts = buf if isinstance(buf, Frame) else frame.unpack(buf)
        if frame.domain_of(parts.dtype) not in self.domains:
            raise CorruptStream(f"{self.codec_id} never writes {parts.dtype}")
        return parts

    def _decode_range(self, parts: Frame, first: int, last: int, flat: Array) -> None:
        parts.verify(first, last)
        try:
            self._decode(parts, first, last, flat)
        except CorruptStream:
            raise
        except (ValueError, IndexError, OverflowError, KeyError, RuntimeError) as error:
            raise CorruptStream(f"{self.codec_id}: damaged stream ({error})") from error

    def _encode_shaped(self, array: Array) -> CodedArray:
        """Encode a C array in native byte order, never empty; most codecs look at it flat."""
        return self._encode(array.reshape(-1))

    @abstractmethod
    def _encode(self, flat: Array) -> CodedArray:
        """Return tables and chunks of a flat C array in native byte order, never empty."""

    @abstractmethod
    def _decode(self, parts: Frame, first: int, last: int, flat: Array) -> None:
        """Write the values of chunks `first` to `last` - 1 to `flat`, which has their number."""


class OneChunkCodec(TensorCodec):
    """A codec whose streams have one chunk: the whole tensor, as most libraries take it."""

    def _encode(self, flat: Array) -> CodedArray:
        tables, payload = self._encode_whole(flat)
        return CodedArray(tables, [(payload,)], flat.size)

    def _decode(self, parts: Frame, first: int, last: int, flat: Array) -> None:
        if parts.chunks != 1:
            raise CorruptStream(f"{self.codec_id} never writes {parts.chunks} chunks")
        self._decode_into(parts.tables, parts.payload(0), flat)

    @abstractmethod
    def _encode_whole(self, flat: Array) -> tuple[bytes, bytes]:
        """Return (tables, payload) of a flat C array in native byte order, never empty."""

    @abstractmethod
    def _decode_into(self, tables: bytes, payload: Bytes, flat: Array) -> None:
        """Fill `flat`, which has at least one value."""


class WholeTensorCodec(OneChunkCodec):
    """A codec of two functions over a tensor in one piece."""

    def _decode_into(self, tables: bytes, payload: Bytes, flat: Array) -> None:
        values = self._decode_whole(tables, payload.tobytes(), flat.size, flat.dtype)
        if values.size != flat.size or values.dtype != flat.dtype:
            raise CorruptStream(f"{self.codec_id}: {values.size} values for {flat.size} declared")
        flat[:] = values

    @abstractmethod
    def _decode_whole(
        self, tables: bytes, payload: bytes, count: int, dtype: np.dtype[Any]
    ) -> Array:
        """Return the flat array of `count` values of `dtype`; `count` is at least 1."""


class SymbolCodec(WholeTensorCodec):
    """A codec of integer symbols. Subclasses see int32, whatever integer dtype was given.

    uint32 is reinterpreted as int32, a bijection, so one symbol type serves every integer dtype.
    """

    def _encode_whole(self, flat: Array) -> tuple[bytes, bytes]:
        return self.encode_symbols(as_int32(flat))

    def _decode_whole(
        self, tables: bytes, payload: bytes, count: int, dtype: np.dtype[Any]
    ) -> Array:
        return from_int32(self.decode_symbols(tables, payload, count), dtype)

    @abstractmethod
    def encode_symbols(self, symbols: Symbols) -> tuple[bytes, bytes]:
        """Return (tables, payload) of symbols, shape (n,), n at least 1."""

    @abstractmethod
    def decode_symbols(self, tables: bytes, payload: bytes, count: int) -> Symbols:
        """Return the `count` symbols, at least 1."""


class ChunkedCodec(TensorCodec):
    """A codec of integers in chunks. Subclasses see the narrowest of int8, int16 and int32.

    Unsigned dtypes are reinterpreted as signed ones of their width, a bijection; then the symbols
    are narrowed to the first type that holds them all. Its width in bytes is the first byte of the
    tables.
    """

    @classmethod
    def chunk_for(cls, count: int) -> int:
        """Return the symbols in a chunk of a tensor of so many."""
        return frame.chunk_for(count)

    def _encode(self, flat: Array) -> CodedArray:
        symbols = narrowest(flat.view(f"i{flat.itemsize}"))
        chunk = self.chunk_for(flat.size)
        tables, chunks = self.encode_chunks(symbols, chunk)
        return CodedArray(bytes([symbols.itemsize]) + tables, chunks, chunk)

    def _decode(self, parts: Frame, first: int, last: int, flat: Array) -> None:
        if parts.version == 1:
            whole = self.decode_version1(parts.tables, parts.payload(0).tobytes(), parts.count)
            flat[:] = from_int32(whole, parts.dtype)
            return
        tables = Reader(parts.tables)
        width = read_width(tables, parts.dtype)
        target = flat.view(f"i{flat.itemsize}")
        symbols = target if width == flat.itemsize else np.empty(flat.size, f"i{width}")
        self.decode_chunks(tables, parts, first, last, symbols)
        if symbols is not target:
            target[:] = symbols

    def decode_version1(self, tables: bytes, payload: bytes, count: int) -> Symbols:
        """Decode a stream of version 1; a codec that has been one then overrides this."""
        raise CorruptStream(f"{self.codec_id} never wrote streams of version 1")

    @abstractmethod
    def encode_chunks(self, symbols: Integers, chunk: int) -> tuple[bytes, list[Pieces]]:
        """Return (tables, pieces of each chunk) of symbols, shape (n,), n at least 1."""

    @abstractmethod
    def decode_chunks(
        self, tables: Reader, parts: Frame, first: int, last: int, symbols: Integers
    ) -> None:
        """Fill `symbols` with those of chunks `first` to `last` - 1, already verified.

        It must read `tables` to the end and leave no byte of a chunk unused.
        """


class Bound:
    """Not a codec but a yardstick: a length in bits that nothing is written at."""

    revision: ClassVar[int] = 1
    domains: ClassVar[frozenset[str]] = frozenset({"integers"})

    @abstractmethod
    def bits(self, array: Array) -> float:
        """Return the bound for one tensor, in bits."""


def read_width(tables: Reader, dtype: np.dtype[Any]) -> int:
    """Return the bytes of a symbol, the first of a `ChunkedCodec`'s tables."""
    width = tables.byte()
    if width not in (1, 2, 4) or width > dtype.itemsize:
        raise CorruptStream(f"symbols of {width} bytes in a tensor of {dtype}")
    return width


def as_int32(flat: Array) -> Symbols:
    """Return an integer array as int32: uint32 reinterpreted, anything narrower widened."""
    if flat.dtype == np.uint32:
        return flat.view(np.int32)
    return flat.astype(np.int32, copy=False)


def narrowest(symbols: Integers) -> Integers:
    """Return the symbols in the narrowest signed type that holds them."""
    if symbols.itemsize == 1:
        return symbols
    low, high = int(symbols.min()), int(symbols.max())
    for name in ("i1", "i2"):
        limits = np.iinfo(name)
        if limits.min <= low and high <= limits.max:
            return symbols.astype(name, copy=False)
    return symbols


def from_int32(symbols: Symbols, dtype: np.dtype[Any]) -> Array:
    """Undo `as_int32`. Raises CorruptStream for a symbol that `dtype` can't hold."""
    if dtype == np.uint32:
        return symbols.view(np.uint32)
    if dtype != np.int32 and symbols.size:
        limits = np.iinfo(dtype)
        if symbols.min() < limits.min or symbols.max() > limits.max:
            raise CorruptStream(f"a value does not fit the declared {dtype}")
    return symbols.astype(dtype, copy=False)
