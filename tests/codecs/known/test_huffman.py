"""Huffman against the plain Python of slashbench.codecs.reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slashbench.codecs.huffman import Huffman
from slashbench.codecs.reference import huffman as reference
from slashbench.codecs.stream import frame
from slashbench.codecs.stream.mapping import unzigzag_of
from slashbench.codecs.stream.table_bytes import Reader
from slashbench.errors import CorruptStream


def read(stream):
    """(places of the values, codeword lengths, chunk) of a stream of one chunk of bytes."""
    parts = frame.unpack(stream)
    reader = Reader(parts.tables)
    assert (reader.byte(), reader.byte()) == (1, 0)  # symbols of a byte, not listed, no exceptions
    low, size = unzigzag_of(reader.varint(1000)), reader.varint(1000)
    lengths = reader.nibbles(size).tolist()
    reader.end()
    return low, lengths, parts.payload(0).tobytes()


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(st.integers(2, 60), st.integers(1000, 1100), st.integers(4000, 4100)),
    st.sampled_from([0.4, 1, 8, 60]),
    st.sampled_from([-1, 8, 10, 14]),
    st.integers(0, 2**32),
)
def test_chunks_against_plain_python(count, scale, max_length, seed):
    """Around the sizes at which a chunk has one stream or four, and the decoder other loops."""
    rng = np.random.default_rng(seed)
    symbols = np.clip(np.rint(rng.laplace(0, scale, count)), -128, 127).astype(np.int8)
    symbols[:2] = 0, 1  # else there might be no codewords
    stream = Huffman(max_length).encode(symbols)
    assert np.array_equal(Huffman().decode(stream), symbols)
    low, lengths, chunk = read(stream)
    places = (symbols.astype(np.int64) - low).tolist()
    assert reference.encode(places, lengths) == chunk
    assert reference.decode(chunk, len(places), lengths) == places


@pytest.mark.parametrize("count", [40, 5000])
def test_both_refuse_what_is_cut_off_or_goes_on(count):
    symbols = np.rint(np.random.default_rng(0).laplace(0, 3, count)).astype(np.int8)
    stream = Huffman().encode(symbols)
    _, lengths, chunk = read(stream)
    for damaged in (chunk[:-1], chunk + b"\0"):
        with pytest.raises(ValueError, match=r"cut off|does not end"):
            reference.decode(damaged, count, lengths)
        coded = frame.CodedArray(frame.unpack(stream).tables, [(damaged,)], count)
        with pytest.raises(CorruptStream, match="codewords are cut off or damaged"):
            Huffman().decode(frame.pack(symbols.dtype, symbols.shape, coded))
