"""rANS read by the book: codecs/FORMAT.md, in plain Python."""

import struct

import numpy as np
import pytest

from slashbench.codecs import frame
from slashbench.codecs.entropy import order0_bits
from slashbench.codecs.mapping import unzigzag_of
from slashbench.codecs.rans import Rans
from slashbench.codecs.tables import Reader
from slashbench.errors import CorruptStream


def plain_decode(chunk, values, frequencies, bits, count):
    """The symbols of one chunk, in arbitrary precision."""
    slots = [
        (value, frequency, offset)
        for value, frequency in zip(values, frequencies, strict=True)
        for offset in range(frequency)
    ]
    assert len(slots) == 2**bits
    states = list(struct.unpack_from("<8Q", chunk))
    words = list(struct.unpack(f"<{(len(chunk) - 64) // 4}I", chunk[64:]))
    symbols = [None] * count
    for start in range(0, count, 16):
        for lane in range(8):
            places = [i for i in (start + lane, start + lane + 8) if i < count]
            for i in places:
                symbols[i], frequency, bias = slots[states[lane] % 2**bits]
                states[lane] = frequency * (states[lane] >> bits) + bias
            if places and states[lane] < 2**31:
                states[lane] = states[lane] << 32 | words.pop(0)
    assert not words
    assert states == [2**31] * 8
    return symbols


@pytest.mark.parametrize("count", [1, 7, 8, 15, 16, 17, 1000])
@pytest.mark.parametrize("bits", [8, 12, 15])
def test_streams_against_plain_python(count, bits):
    symbols = np.rint(np.random.default_rng(count).laplace(0, 2, count)).astype(np.int8)
    symbols[: count // 8] = 5
    parts = frame.unpack(Rans(bits=bits).encode(symbols))
    reader = Reader(parts.tables)
    assert (reader.byte(), reader.byte()) == (1, 0)  # symbols of a byte, not listed, no exceptions
    low, size = unzigzag_of(reader.varint(1000)), reader.varint(1000)
    if size == 1:
        assert parts.payload(0).size == 0
        return
    assert reader.byte() == bits
    frequencies = reader.integers(size).tolist()
    found = plain_decode(
        parts.payload(0).tobytes(), range(low, low + size), frequencies, bits, count
    )
    assert found == symbols.tolist()


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32])
def test_within_half_a_percent_of_the_entropy(dtype):
    symbols = np.rint(np.random.default_rng(1).laplace(0, 2, 300_000)).astype(dtype)
    assert len(Rans().encode(symbols)) * 8 < 1.005 * order0_bits(symbols)


@pytest.mark.parametrize("scale", [500, 5000])  # exceptions, and too many of them
def test_a_wide_alphabet_comes_back(scale):
    rng = np.random.default_rng(2)
    symbols = np.rint(rng.normal(0, scale, 200_000)).astype(np.int32)
    symbols[::50_000] = np.iinfo(np.int32).max
    codec = Rans()
    stream = codec.encode(symbols)
    np.testing.assert_array_equal(codec.decode(stream), symbols)
    assert len(stream) * 8 < 1.08 * order0_bits(symbols)


@pytest.mark.parametrize("bits", [7, 16, 12.0, True])
def test_bits_out_of_range_are_refused(bits):
    with pytest.raises(ValueError, match="bits must be"):
        Rans(bits=bits)


def test_frequencies_with_another_sum_are_refused():
    symbols = np.array([0, 1, 0, 0], np.int8)
    parts = frame.unpack(Rans(bits=8).encode(symbols))
    tables = parts.tables[:4] + bytes([9]) + parts.tables[5:]
    payload = parts.payload(0).tobytes()
    forged = frame.pack(parts.dtype, (4,), frame.Coded(tables, payload, (len(payload),), 4))
    with pytest.raises(CorruptStream, match=r"don't sum to 2\^9"):
        Rans().decode(forged)


def test_one_chunk_decodes_alone():
    symbols = np.rint(np.random.default_rng(3).laplace(0, 2, 400_000)).astype(np.int16)
    stream = bytearray(Rans().encode(symbols))
    chunk = frame.unpack(bytes(stream)).chunk
    stream[-1] ^= 1  # damage in the last chunk is nothing to the others
    assert chunk < 200_000
    for index in (0, 1):
        part = symbols[index * chunk : (index + 1) * chunk]
        np.testing.assert_array_equal(Rans().decode_chunk(bytes(stream), index), part)
    with pytest.raises(CorruptStream, match="chunk 2"):
        Rans().decode_chunk(bytes(stream), 2)
    with pytest.raises(IndexError):
        Rans().decode_chunk(bytes(stream), 3)
