"""rANS against the plain Python of slashbench.codecs.reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slashbench.codecs.entropy import order0_bits
from slashbench.codecs.kernels import rans as kernels
from slashbench.codecs.rans import Rans
from slashbench.codecs.reference import rans as reference
from slashbench.codecs.stream import frame
from slashbench.codecs.stream.mapping import unzigzag_of
from slashbench.codecs.stream.table_bytes import Reader
from slashbench.errors import CorruptStream


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
    chunk, runs = parts.payload(0).tobytes(), [(count, frequencies)]
    places = (symbols - low).tolist()
    assert reference.decode(chunk, count, runs, bits) == places
    assert reference.encode(places, runs, bits) == chunk


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_runs_against_plain_python(data):
    """Chunks of several runs, some of them empty, each with a table of its own."""
    bits = data.draw(st.sampled_from([8, 11, 15]))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    n_runs, n_chunks = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    ends = np.sort(rng.integers(0, 6, (n_chunks, n_runs)) * 16, 1)
    ends[:, -1] = 90
    ends[-1, -1] = 80 + data.draw(st.integers(1, 20))
    edges = ends + 90 * np.arange(n_chunks)[:, None]
    size = 5
    tables = []
    for _ in range(n_runs):
        frequencies = np.empty(size, np.int64)
        kernels.normalise(rng.integers(1, 1000, size) ** 2, bits, frequencies)
        tables.append(frequencies)
    dtype = data.draw(st.sampled_from([np.uint8, np.uint16]))
    places = rng.integers(0, size, edges[-1, -1]).astype(dtype)
    rows = np.empty((n_runs, size, 4), np.uint64)
    slots = np.empty((n_runs, 1 << bits), np.uint64)
    for run, frequencies in enumerate(tables):
        kernels.encoding_table(frequencies, bits, rows[run])
        assert kernels.decoding_table(
            np.arange(size, dtype=np.uint64), frequencies, bits, slots[run]
        )
    out, sizes = np.empty(2 * places.size + 96 * n_chunks, np.uint8), np.empty(n_chunks, np.int64)
    assert kernels.encode(places, edges, rows.reshape(-1, 4), bits, out, sizes)
    stream = out[out.size - sizes.sum() :]
    bounds = np.concatenate([[0], np.cumsum(sizes)])
    for c in range(n_chunks):
        symbols = places[90 * c : edges[c, -1]].tolist()
        runs = [(end, table.tolist()) for end, table in zip(ends[c], tables, strict=True)]
        chunk = stream[bounds[c] : bounds[c + 1]].tobytes()
        assert reference.encode(symbols, runs, bits) == chunk
        assert reference.decode(chunk, len(symbols), runs, bits) == symbols
    found = np.empty_like(places)
    assert kernels.decode(stream, bounds[:-1], bounds[1:], edges, slots.reshape(-1), bits, found)
    np.testing.assert_array_equal(found, places)


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
    forged = frame.pack(parts.dtype, (4,), frame.CodedArray(tables, [(payload,)], 4))
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
