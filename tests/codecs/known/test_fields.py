"""Bytes in records: smaller than under one table, whatever the bytes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slashbench.codecs.fields import LAYOUTS, Fields, layout_of
from slashbench.codecs.rans import Rans
from slashbench.codecs.stream import frame
from slashbench.errors import CorruptStream


def blocks(fields, n=4000, seed=0):
    """Fields whose fields have distributions of their own."""
    rng = np.random.default_rng(seed)
    parts = [
        np.rint(rng.normal(40 * i, 3 + i, (n, width))).astype(np.int64) & 0xFF
        for i, width in enumerate(fields)
    ]
    return np.concatenate(parts, 1).astype(np.uint8)


@pytest.mark.parametrize("fields", LAYOUTS, ids=str)
def test_a_layout_is_found_and_pays(fields):
    array = blocks(fields)
    assert sum(layout_of(array.reshape(-1).view(np.int8))) == array.shape[1]
    stream = Fields().encode(array)
    assert len(stream) < 0.95 * len(Rans().encode(array))
    np.testing.assert_array_equal(Fields().decode(stream), array)


def test_chunks_are_whole_records():
    array = blocks(LAYOUTS[0], 9000)
    stream = Fields().encode(array)
    parts = frame.unpack(stream)
    assert parts.chunks > 1
    assert parts.chunk % 34 == 0
    for i in range(parts.chunks):
        part = array.reshape(-1)[i * parts.chunk : (i + 1) * parts.chunk]
        np.testing.assert_array_equal(Fields().decode_chunk(stream, i), part)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(LAYOUTS), st.integers(1, 400), st.integers(0, 99))
def test_any_number_of_records_comes_back(fields, n, seed):
    for array in (blocks(fields, n, seed), blocks(fields, n, seed).reshape(-1)[:-1]):
        np.testing.assert_array_equal(Fields().decode(Fields().encode(array)), array)


def test_noise_is_left_in_one_piece():
    array = np.random.default_rng(0).integers(0, 256, 34 * 4000).astype(np.uint8)
    assert layout_of(array.view(np.int8)) == ()


def test_forged_fields_are_refused_or_decode():
    parts = frame.unpack(Fields().encode(blocks(LAYOUTS[1], 300)))
    payload = parts.payload(0).tobytes()
    for place in range(len(parts.tables)):
        for flip in (1, 2, 128, 255):
            tables = bytearray(parts.tables)
            tables[place] ^= flip
            coded = frame.CodedArray(bytes(tables), [(payload,)], parts.chunk)
            try:
                found = Fields().decode(frame.pack(parts.dtype, parts.shape, coded))
            except CorruptStream:
                continue
            assert found.shape == parts.shape
