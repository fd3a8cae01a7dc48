"""The sparse codec against NumPy's own flags, and streams whose flags are forged."""

import struct

import numpy as np
import pytest

from slashbench.codecs.rans import Rans
from slashbench.codecs.sparse import Sparse
from slashbench.codecs.stream import frame
from slashbench.codecs.stream.table_bytes import Reader
from slashbench.errors import CorruptStream


def sparse(count, share, dtype=np.int8, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.integers(-9, 10, count)
    return np.where(rng.random(count) < share, values, 0).astype(dtype)


def taken_apart(stream, index, values_dtype):
    """(flags, values) of one chunk, found as FORMAT.md tells."""
    parts = frame.unpack(stream)
    payload = parts.payload(index).tobytes()
    n_flags, n_tables = struct.unpack_from("<II", payload)
    begin = int(parts.begins[index]) + 8
    n_symbols = parts.values_in(index, index + 1)
    flags = np.empty(-(-n_symbols // 8), np.int8)
    tables = Reader(parts.tables[1:])
    edges = np.array([begin]), np.array([begin + n_flags])
    Rans().decode_chunks(tables, parts.within(b"", *edges, flags.size), 0, 1, flags)
    significant = np.unpackbits(flags.view(np.uint8), count=n_symbols, bitorder="little")
    values = np.empty(int(significant.sum()), values_dtype)
    if values.size:
        tables = Reader(payload[8 + n_flags : 8 + n_flags + n_tables])
        edges = np.array([begin + n_flags + n_tables]), parts.ends[index : index + 1]
        Rans().decode_chunks(tables, parts.within(b"", *edges, values.size), 0, 1, values)
    return significant.astype(bool), values


@pytest.mark.parametrize("share", [0.0, 0.003, 0.2, 1.0])
def test_flags_and_values_are_where_the_format_says(share):
    symbols = sparse(2_500_003, share)
    stream = Sparse().encode(symbols)
    parts = frame.unpack(stream)
    assert parts.chunks == 2
    for index in range(parts.chunks):
        part = symbols[index * parts.chunk : (index + 1) * parts.chunk]
        significant, values = taken_apart(stream, index, np.int8)
        assert np.array_equal(significant, part != 0)
        assert np.array_equal(values, part[part != 0])
        assert np.array_equal(Sparse().decode_chunk(stream, index), part)
    assert np.array_equal(Sparse().decode(stream), symbols)


@pytest.mark.parametrize("dtype", [np.int16, np.uint32, np.int32])
def test_values_of_any_width(dtype):
    limits = np.iinfo(dtype)
    symbols = sparse(5_000, 0.05).astype(np.int64)
    symbols[symbols == 9] = limits.max
    symbols[symbols == -9] = limits.min
    symbols = symbols.astype(dtype)
    assert np.array_equal(Sparse().decode(Sparse().encode(symbols)), symbols)


def test_zeros_that_come_together_cost_less_than_their_entropy():
    rows = np.random.default_rng(0).random(500) < 0.05
    together = np.repeat(rows, 800).astype(np.int8)
    scattered = np.random.default_rng(0).permutation(together)
    assert len(Sparse().encode(together)) < len(Sparse().encode(scattered)) / 4


def test_flags_that_are_not_those_of_the_values_are_refused():
    symbols = sparse(1_000, 0.3)
    parts = frame.unpack(Sparse().encode(symbols))
    other = frame.unpack(Sparse().encode(np.roll(sparse(1_000, 0.3, seed=1), 1)))
    mine, yours = (p.payload(0).tobytes() for p in (parts, other))
    n_mine = struct.unpack_from("<I", mine)[0]
    n_yours = struct.unpack_from("<I", yours)[0]
    forged = yours[:4] + mine[4:8] + yours[8 : 8 + n_yours] + mine[8 + n_mine :]
    coded = frame.CodedArray(other.tables, [(forged,)], other.chunk)
    with pytest.raises(CorruptStream):
        Sparse().decode(frame.pack(parts.dtype, parts.shape, coded))
    odd = frame.CodedArray(parts.tables, [(mine,)], 1_001)
    with pytest.raises(CorruptStream, match="whole bytes"):
        Sparse().decode(frame.pack(parts.dtype, parts.shape, odd))
