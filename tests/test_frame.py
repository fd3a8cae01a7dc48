"""The frame by hand: its bytes, its limits."""

import numpy as np
import pytest

from slashbench.codecs import frame
from slashbench.errors import CorruptStream


def test_bytes_of_a_frame():
    stream = frame.pack(np.dtype("i2"), (3, 300), b"TT", b"PPP")
    assert stream[:3] == bytes([1, 1, 2])  # version, int16, two dimensions
    assert stream[3:6] == bytes([3, 0xAC, 0x02])  # 300 = 0b10_0101100
    assert stream[6:8] == bytes([2, 3])  # lengths
    assert stream[12:] == b"TTPPP"  # after the checksum
    parts = frame.unpack(stream)
    assert parts == frame.Frame(np.dtype("i2"), (3, 300), b"TT", b"PPP")
    assert parts.count == 900


def test_byte_order_does_not_count():
    assert frame.pack(np.dtype(">f4"), (), b"", b"") == frame.pack(np.dtype("<f4"), (), b"", b"")


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
        frame.unpack(frame.pack(np.dtype("i1"), (0, 2**62, 2), b"", b""))
