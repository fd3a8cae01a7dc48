"""Rows and columns in scale classes: smaller than the order-0 entropy where scales differ."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from slashbench import parallel
from slashbench.codecs.entropy import order0_bits
from slashbench.codecs.rans import Rans
from slashbench.codecs.rans_classes import CLASSES, RansClasses
from slashbench.codecs.rans_ggd import RansGgd
from slashbench.codecs.stream import frame
from slashbench.errors import CorruptStream, Unencodable
from tests.helpers.integer_samples import trellis_rows


def weights(shape, axis, dtype=np.int8, seed=0):
    """A matrix whose rows (axis 0) or columns (axis 1) differ in scale by up to 8."""
    rng = np.random.default_rng(seed)
    scales = np.exp2(rng.uniform(0, 3, shape[axis]))
    scales = np.expand_dims(scales, 1 - axis)
    return np.rint(rng.normal(0, 1, shape) * scales).astype(dtype)


def form(stream):
    return frame.unpack(stream).tables[1]


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4"])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("shape", [(1000, 300), (301, 997)])
def test_below_order_0(dtype, axis, shape):
    matrix = weights(shape, axis, dtype)
    stream = RansClasses().encode(matrix)
    assert form(stream) & ~2 == CLASSES
    assert len(stream) * 8 < 0.95 * order0_bits(matrix)
    np.testing.assert_array_equal(RansClasses().decode(stream), matrix)


def test_scales_of_rows_and_columns_multiply():
    rng = np.random.default_rng(1)
    scales = np.exp2(rng.uniform(0, 1.5, (400, 1)) + rng.uniform(0, 1.5, (1, 300)))
    matrix = np.rint(rng.normal(0, 1, (400, 300)) * scales).astype(np.int8)
    stream = RansClasses().encode(matrix)
    ideal = float(np.log2(scales * np.sqrt(2 * np.pi * np.e)).sum())  # of the exact normals
    assert len(stream) * 8 < 1.02 * ideal < 0.98 * order0_bits(matrix)
    np.testing.assert_array_equal(RansClasses().decode(stream), matrix)


@pytest.mark.parametrize("states", [4, 8])
@pytest.mark.parametrize("dtype", ["i1", "i2", "i4"])
def test_a_trellis_is_found(states, dtype):
    rng = np.random.default_rng(2)
    indices = np.rint(rng.normal(0, 1.2, (301, 203))).astype(np.int64)
    matrix = trellis_rows(states, indices).astype(dtype)
    matrix[3, 0], matrix[4, 0] = 0, 0
    matrix[3:5] = 0
    matrix[3, 0] = np.iinfo(dtype).min  # an exception, in a state that allows it
    stream = RansClasses().encode(matrix)
    assert frame.unpack(stream).tables[3] == states
    assert len(stream) * 8 < 1.02 * order0_bits(indices.astype(np.int8))
    np.testing.assert_array_equal(RansClasses().decode(stream), matrix)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("dtype", ["i1", "i4"])
def test_chunks_decode_apart_and_on_two_threads(axis, dtype):
    matrix = weights((1303, 500), axis, dtype)
    matrix[::17, 5] = np.iinfo(dtype).min  # exceptions
    matrix[-1, -1] = np.iinfo(dtype).max
    codec = RansClasses()
    stream = codec.encode(matrix)
    parts = frame.unpack(stream)
    assert parts.chunks == 2
    assert parts.tables[1] & 2
    for index in range(2):
        part = matrix.reshape(-1)[index * parts.chunk : (index + 1) * parts.chunk]
        np.testing.assert_array_equal(codec.decode_chunk(stream, index), part)
    token = parallel.threads.set(2)
    try:
        np.testing.assert_array_equal(codec.decode(stream), matrix)
    finally:
        parallel.threads.reset(token)


def test_alike_lines_and_vectors_are_coded_as_one():
    rng = np.random.default_rng(3)
    matrix = np.rint(rng.normal(0, 2, (400, 500))).astype(np.int8)
    for array in (matrix, matrix.reshape(-1), matrix[:1], matrix[:, :1], matrix[:3, :3]):
        stream = RansClasses().encode(array)
        assert form(stream) < 4
        assert len(stream) == len(RansGgd().encode(array))
        np.testing.assert_array_equal(RansClasses().decode(stream), array)


def test_hardly_longer_than_with_a_table():
    rng = np.random.default_rng(4)
    for array in (
        rng.integers(-128, 128, (200, 300)).astype(np.int8),
        rng.integers(0, 2, (200, 300)).astype(np.uint8) * 7,
        np.full((50, 50), 9, np.int16),
        np.rint(rng.standard_cauchy((300, 300)) * 5).clip(-(2**31), 2**31 - 1).astype(np.int32),
    ):
        stream = RansClasses().encode(array)
        assert len(stream) <= len(Rans().encode(array)) * 65 / 64 + 64
        np.testing.assert_array_equal(RansClasses().decode(stream), array)


@settings(max_examples=40, deadline=None)
@given(
    arrays.arrays(
        st.sampled_from([np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32]),
        arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=12),
    )
)
def test_any_array_comes_back(array):
    for codec in (RansClasses(), RansClasses(bits=8), RansGgd(bits=9)):
        back = codec.decode(codec.encode(array))
        assert back.dtype == array.dtype
        np.testing.assert_array_equal(back, array)


def test_memory_order_and_dimensions_are_no_matter():
    matrix = weights((60, 40), 0).repeat(8, 1)
    for array in (matrix.T, np.asfortranarray(matrix), matrix.reshape(60, 8, 5, 8), matrix[::-2]):
        np.testing.assert_array_equal(RansClasses().decode(RansClasses().encode(array)), array)


def test_floats_are_refused():
    with pytest.raises(Unencodable):
        RansClasses().encode(np.ones((3, 3), np.float32))


FORGED = {
    "rows": RansClasses().encode(weights((150, 160), 0)),
    "trellis": RansClasses().encode(trellis_rows(8, weights((150, 160), 1))),
    "revision 1": (Path(__file__).parents[2] / "golden/streams/max.columns.bin").read_bytes(),
}


@pytest.mark.parametrize("kind", FORGED)
def test_forged_tables_are_refused_or_decode(kind):
    """Any byte of the tables, any value: CorruptStream, or an array of the declared size."""
    parts = frame.unpack(FORGED[kind])
    payload = parts.payload(0).tobytes()
    refused = 0
    places = range(min(60, len(parts.tables)))
    for place in places:
        for flip in (1, 2, 128, 255):
            tables = bytearray(parts.tables)
            tables[place] ^= flip
            coded = frame.CodedArray(bytes(tables), [(payload,)], parts.chunk)
            try:
                found = RansClasses().decode(frame.pack(parts.dtype, parts.shape, coded))
            except CorruptStream:
                refused += 1
            else:
                assert found.shape == parts.shape
    assert refused > 3.6 * len(places)


@pytest.mark.parametrize(("shape", "chunk"), [((150, 160), 1000), ((24_000,), 24_000)])
def test_chunks_that_are_not_rows_are_refused(shape, chunk):
    parts = frame.unpack(RansClasses().encode(weights((150, 160), 0)))
    chunks = [(parts.payload(0).tobytes(),)] + [()] * (24_000 // chunk - 1)
    stream = frame.pack(parts.dtype, shape, frame.CodedArray(parts.tables, chunks, chunk))
    with pytest.raises(CorruptStream, match="whole rows"):
        RansClasses().decode(stream)
