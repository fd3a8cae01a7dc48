"""Lengths at which other codecs have failed: all short ones, and more values than 32 bits count."""

import numpy as np
import pytest

from slashbench.codecs.base import Bound
from slashbench.codecs.catalog import CODECS
from slashbench.codecs.stream import frame
from slashbench.codecs.stream.frame import CodedArray
from slashbench.errors import CorruptStream

NAMES = [name for name in CODECS.available() if not issubclass(CODECS.get(name), Bound)]
CHUNK = 1 << 20


def values_for(codec, n):
    """So many values of the first domain that the codec takes, with a rare outlier."""
    rng = np.random.default_rng(n)
    if "integers" in codec.domains:
        symbols = np.rint(rng.laplace(0, 3, n)).astype(np.int16)
        symbols[n // 2 :: 97] = 3000
        return symbols
    return rng.normal(0, 0.02, n).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_length_to_1024(name):
    codec = CODECS.get(name)()
    whole = values_for(codec, 1024)
    for n in range(1, 1025):
        for part in (whole[:n], whole[-n:].reshape(1, n), whole[:n].reshape(n, 1)):
            assert codec.decode(codec.encode(part)).tobytes() == part.tobytes(), (n, part.shape)


@pytest.mark.parametrize("count", [2**31 - 1, 2**31 + 5, 2**32, 2**32 + 5])
@pytest.mark.parametrize("name", ["huffman", "rans", "rans-ggd"])
def test_chunks_beyond_the_counts_of_32_bits(name, count):
    """A real stream of one value, whose header says that there are more: its last chunk decodes."""
    codec = CODECS.get(name)()
    parts = frame.unpack(codec.encode(np.full(CHUNK, 7, np.int8)))
    chunk = (parts.payload(0).tobytes(),)
    n_chunks = -(-count // parts.chunk)
    last = codec.encode(np.full(count - (n_chunks - 1) * parts.chunk, 7, np.int8))
    end = tuple(frame.unpack(last).payload(i).tobytes() for i in range(frame.unpack(last).chunks))
    if len(end) > 1:
        pytest.skip("the last chunk would be cut differently")
    coded = CodedArray(parts.tables, [chunk] * (n_chunks - 1) + [end], parts.chunk)
    stream = frame.pack(np.dtype(np.int8), (count,), coded)
    found = frame.unpack(stream)
    assert (found.count, found.chunks) == (count, n_chunks)
    values = codec.decode_chunk(found, n_chunks - 1)
    assert values.size == count - (n_chunks - 1) * parts.chunk
    assert (values == 7).all()


def test_more_values_than_the_limit_are_refused_before_anything_is_allocated():
    stream = frame.pack(np.dtype(np.int32), (2**34, 3), CodedArray(b"", [()], 2**40))
    with pytest.raises(CorruptStream, match="over the limit"):
        frame.unpack(stream)
