"""The frame by hand: its bytes, its limits."""

import zlib

import numpy as np
import pytest

from slashbench.codecs.stream import frame
from slashbench.errors import CorruptStream


def coded(tables=b"", *chunks, chunk=1):
    return frame.CodedArray(tables, [(piece,) for piece in chunks], chunk)


def test_bytes_of_a_frame():
    stream = frame.pack(np.dtype("i2"), (3, 300), coded(b"TT", b"PPP", b"Q", chunk=500))
    assert stream[:6] == b"\x93SB" + bytes([2, 1, 2])  # version, int16, two dimensions
    assert stream[6:9] == bytes([3, 0xAC, 0x02])  # 300 = 0b10_0101100
    assert stream[9:11] == bytes([0xF4, 0x03])  # 500 values a chunk
    assert stream[11:14] == bytes([2, 3, 1])  # lengths
    assert stream[14:18] == zlib.crc32(stream[:14] + b"TT").to_bytes(4, "little")
    assert stream[18:22] == zlib.crc32(b"PPP").to_bytes(4, "little")
    assert stream[22:26] == zlib.crc32(b"Q").to_bytes(4, "little")
    assert stream[26:] == b"TTPPPQ"
    parts = frame.unpack(stream)
    assert (parts.dtype, parts.shape, parts.tables) == (np.dtype("i2"), (3, 300), b"TT")
    assert (parts.count, parts.chunk, parts.chunks) == (900, 500, 2)
    assert bytes(parts.payload(1)) == b"Q"
    assert parts.values_in(1, 2) == 400


def test_a_chunk_is_checked_by_itself():
    stream = bytearray(frame.pack(np.dtype("i1"), (2,), coded(b"", b"A", b"B")))
    stream[-1] ^= 1
    parts = frame.unpack(bytes(stream))
    parts.verify(0, 1)
    with pytest.raises(CorruptStream, match="chunk 1"):
        parts.verify(0, 2)


@pytest.mark.parametrize(("count", "chunk"), [(1, 1), (131_073, 131_073), (262_144, 131_072)])
def test_chunks_are_equal_and_not_small(count, chunk):
    assert frame.chunk_for(count) == chunk


def test_byte_order_does_not_count():
    assert frame.pack(np.dtype(">f4"), (0,), None) == frame.pack(np.dtype("<f4"), (0,), None)


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**32 - 1, 2**63 - 1])
def test_varints_come_back(value):
    data = b"x" + frame.varint(value)
    assert frame.read_varint(data, 1) == (value, len(data))
    with pytest.raises(CorruptStream, match="cut off"):
        frame.read_varint(data[:-1], 1)


def test_a_varint_that_never_ends_is_refused():
    with pytest.raises(CorruptStream, match="too large"):
        frame.read_varint(b"\xff" * 1000, 0)


def test_an_array_numpy_could_not_shape_is_refused():
    with pytest.raises(CorruptStream, match="larger than any array"):
        frame.unpack(frame.pack(np.dtype("i1"), (0, 2**62, 2), None))
