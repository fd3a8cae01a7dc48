"""Kernels for a CUDA device in Numba's simulator; test_cuda.py runs this file in a process of it.

Every answer is that of the codec itself: the same values, or CorruptStream.
"""

import ml_dtypes
import numpy as np
import pytest
from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray

from slashbench.codecs import cuda
from slashbench.codecs.catalog import CODECS
from slashbench.codecs.stream import frame
from slashbench.errors import CorruptStream
from tests.helpers.decoder_answers import (
    OF_FLOATS,
    OF_INTEGERS,
    forged,
    golden,
    integers,
    of_length,
    same,
    weights,
)

GOLDEN = {
    name: (codec, data) for codec in cuda.DECODED_HERE for name, data in golden(codec).items()
}
# The simulator takes most of a millisecond for a symbol of `rans`.
MOST = {name: 300 if "rans" in name else 3000 for name in cuda.DECODED_HERE}  # values, if damaged
SMALL = [
    name for name, (codec, data) in GOLDEN.items() if len(data) < (400 if "rans" in codec else 1200)
]


@pytest.fixture(autouse=True)
def every_index_is_checked(monkeypatch):
    """NumPy counts negative indices from the end; a device reads what lies before the array."""

    def checked(method):
        def call(self, index, *value):
            places = index if isinstance(index, tuple) else (index,)
            for place, size in zip(places, self._ary.shape, strict=False):
                assert 0 <= place < size, f"place {place} of {size}"
            return method(self, index, *value)

        return call

    for name in ("__getitem__", "__setitem__"):
        monkeypatch.setattr(FakeCUDAArray, name, checked(getattr(FakeCUDAArray, name)))


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "u1", "u2", "u4"])
@pytest.mark.parametrize("name", OF_INTEGERS)
def test_every_dtype_of_integers(name, dtype):
    values = np.abs(integers(75)).astype(dtype) if dtype[0] == "u" else integers(75).astype(dtype)
    assert same(name, CODECS.get(name)().encode(values.reshape(5, 15)))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
@pytest.mark.parametrize("name", OF_FLOATS)
def test_every_dtype_of_floats(name, dtype):
    assert same(name, CODECS.get(name)().encode(weights(75, dtype).reshape(5, 15)))


@pytest.mark.parametrize("n", [0, 1, 2, 7, 8, 9, 16, 17])
@pytest.mark.parametrize("name", cuda.DECODED_HERE)
def test_lengths_around_the_lanes(name, n):
    assert same(name, of_length(name, n))


@pytest.mark.parametrize("width", [1, 2, 4])
@pytest.mark.parametrize("n", [1023, 1024, 1025, 1029, 3071])
def test_streams_of_codewords_at_every_place_in_a_word(monkeypatch, n, width):
    """Four streams from 1024 symbols on; of 3071 in three chunks, the last one has one less."""
    monkeypatch.setattr(frame, "CHUNK", 1000)
    values = integers(n).astype(f"i{width}")
    values[n // 2 :: 400] *= np.array(30 ** (width - 1), values.dtype)
    assert same("huffman", CODECS.get("huffman")().encode(values))


@pytest.mark.parametrize("n", [99, 100])
@pytest.mark.parametrize("name", cuda.DECODED_HERE)
def test_several_chunks_with_exceptions(monkeypatch, name, n):
    monkeypatch.setattr(frame, "CHUNK", 50)
    values = weights(n, ml_dtypes.bfloat16)
    if name in OF_INTEGERS:
        values = integers(n).astype(np.int32)
        values[[3, n // 2, n - 1]] = 2**31 - 1, -(2**31), 123_456
    assert same(name, CODECS.get(name)().encode(values))


@pytest.mark.parametrize("name", OF_INTEGERS)
def test_one_value_and_more_than_a_table_holds(name):
    codec = CODECS.get(name)()
    assert same(name, codec.encode(np.full((3, 4), -7, np.int16)))
    assert same(name, codec.encode((np.arange(4500) * 1009 - 2**21).astype(np.int32)))


@pytest.mark.parametrize("name", cuda.DECODED_HERE)
def test_an_array_in_another_order_comes_as_its_values(name):
    values = integers(60) if name in OF_INTEGERS else weights(60, np.float64)
    dtype = ">i4" if name in OF_INTEGERS else ">f4"
    stream = CODECS.get(name)().encode(np.asfortranarray(values.reshape(6, 10).astype(dtype)))
    assert same(name, stream)


@pytest.mark.parametrize("name", SMALL)
def test_golden_streams(name):
    assert same(*GOLDEN[name])


@pytest.mark.parametrize("name", cuda.DECODED_HERE)
def test_damaged_streams(name):
    assert not all(forged(name, 20, 1, min(MOST[name], 1200) // 3))


@pytest.mark.parametrize("name", OF_INTEGERS)
def test_more_symbols_than_the_bytes_can_hold_take_no_memory(name):
    parts = frame.unpack(CODECS.get(name)().encode(integers(640).astype(np.int8)))
    chunk = [(parts.payload(0).tobytes(),)]
    stream = frame.pack(np.dtype(np.int8), (2**34,), frame.CodedArray(parts.tables, chunk, 2**34))
    with pytest.raises(CorruptStream, match="cut off or damaged"):
        cuda.upload(stream, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", cuda.DECODED_HERE)
def test_many_damaged_streams(name):
    found = forged(name, 300, 2, MOST[name])
    assert 0 < sum(found) < 150


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(GOLDEN.keys() - {*SMALL, "rans.chunks"}))
def test_large_golden_streams(name):
    """All but one that would take minutes here; tests/gpu decodes it on a GPU."""
    assert same(*GOLDEN[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", cuda.DECODED_HERE)
def test_every_length_to_150(name):
    for n in range(1, 151):
        assert same(name, of_length(name, n)), n
