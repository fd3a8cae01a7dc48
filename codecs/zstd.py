"""Zstandard over a choice of byte layouts."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import zstandard

from slashbench.codecs import frame, pack
from slashbench.codecs.base import WholeTensorCodec, as_int32, from_int32
from slashbench.codecs.tables import Reader
from slashbench.errors import CorruptStream

# Low nibble of the tables' first byte; the type of the numbers that the bytes are.
_NUMBERS = tuple(np.dtype(name) for name in ("i1", "u1", "<i2", "<u2", "<i4", "<f2", "<f4", "<f8"))
# High nibble.
_PLAIN, _PLANES, _PACKED = 0x00, 0x10, 0x20


class Zstd(WholeTensorCodec):
    """Zstandard of the smallest of a few byte layouts (RFC 8878): the general-purpose yardstick.

    Integers are laid out in the narrowest type that holds them, as the byte planes of that type
    (shuffle) and as fixed-length bits; floats as they are and as byte planes, and come back bit for
    bit. The tables' first byte says which layout and type; fixed-length bits add the tables of
    `Pack`. level: 1 (fast) to 22 (small).
    """

    codec_id: ClassVar[str] = "slashbench.zstd"
    domains: ClassVar[frozenset[str]] = frozenset({"integers", "floats"})

    def __init__(self, level: int = 9) -> None:
        if isinstance(level, bool) or not isinstance(level, int):
            raise ValueError(f"level must be a whole number, not {level!r}")
        if not 1 <= level <= zstandard.MAX_COMPRESSION_LEVEL:
            raise ValueError(f"level must be 1 to {zstandard.MAX_COMPRESSION_LEVEL}, not {level}")
        self.level = level

    def _encode_whole(self, flat: npt.NDArray[Any]) -> tuple[bytes, bytes]:
        compressor = zstandard.ZstdCompressor(level=self.level, write_content_size=True)
        tried = ((tables, compressor.compress(raw)) for tables, raw in _layouts(flat))
        return min(tried, key=lambda parts: len(parts[0]) + len(parts[1]))

    def _decode_whole(
        self, tables: bytes, payload: bytes, count: int, dtype: np.dtype[Any]
    ) -> npt.NDArray[Any]:
        if not tables or tables[0] & 0xF >= len(_NUMBERS):
            raise CorruptStream("the byte layout is unknown")
        layout, numbers = tables[0] & 0xF0, _NUMBERS[tables[0] & 0xF]
        floats = frame.domain_of(dtype) == "floats"
        if (numbers.kind == "f") != floats or (floats and numbers.itemsize != dtype.itemsize):
            raise CorruptStream(f"{numbers} can't stand for {dtype}")
        if layout == _PACKED and not floats:
            reader = Reader(tables[1:])
            low, width = pack.read_table(reader)
            reader.end()
            if width > 32:
                raise CorruptStream(f"symbols of {width} bits")
            raw = _decompress(payload, (count * width + 7) // 8)
            return from_int32(pack.unpack(raw, count, low, width), dtype)
        if layout not in (_PLAIN, _PLANES) or len(tables) != 1:
            raise CorruptStream("the byte layout is unknown")
        raw = _decompress(payload, count * numbers.itemsize)
        data = np.frombuffer(raw, np.uint8)
        if layout == _PLANES:
            data = np.ascontiguousarray(data.reshape(numbers.itemsize, count).T).reshape(-1)
        values = data.view(numbers)
        if floats:  # bfloat16 in the place of float16: bits are bits
            return values.view(f"<u{dtype.itemsize}").astype(f"u{dtype.itemsize}").view(dtype)
        return from_int32(values.astype(np.int32), dtype)


def _layouts(flat: npt.NDArray[Any]) -> list[tuple[bytes, bytes]]:
    """(tables, bytes) of each layout."""
    layouts = []
    if frame.domain_of(flat.dtype) == "floats":
        bits = flat.view(f"u{flat.itemsize}").astype(f"<u{flat.itemsize}", copy=False)
        numbers = bits.view(f"<f{flat.itemsize}")
    else:
        symbols = as_int32(flat)
        low, width = pack.range_of(symbols)
        tables, payload = pack.table(low, width), pack.pack(symbols, low, width)
        kind = _NUMBERS.index(np.dtype("<i4"))
        layouts.append((bytes([_PACKED | kind]) + tables, payload))
        numbers = symbols.astype(_narrowest(int(symbols.min()), int(symbols.max())))
    kind = _NUMBERS.index(numbers.dtype)
    layouts.append((bytes([_PLAIN | kind]), numbers.tobytes()))
    if numbers.itemsize > 1:
        planes = numbers.view(np.uint8).reshape(-1, numbers.itemsize).T
        layouts.append((bytes([_PLANES | kind]), planes.tobytes()))
    return layouts


def _narrowest(low: int, high: int) -> np.dtype[Any]:
    """The first integer type that holds both."""
    for dtype in _NUMBERS:
        limits = np.iinfo(dtype)
        if limits.min <= low and high <= limits.max:
            return dtype
    raise ValueError(f"no type holds {low} and {high}")


def _decompress(payload: bytes, size: int) -> bytes:
    """The `size` bytes. A frame that says it holds another number is refused unopened."""
    try:
        declared = zstandard.get_frame_parameters(payload).content_size
        if declared != size:
            raise CorruptStream(f"the zstd frame declares {declared} bytes, the tensor has {size}")
        raw: bytes = zstandard.ZstdDecompressor().decompress(
            payload, max_output_size=size, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        raise CorruptStream(f"the zstd frame is damaged ({error})") from error
    return raw
