"""What codecs of bytes take in memory, beside the tensor and its stream."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from slashbench.codecs.catalog import CODECS
from slashbench.codecs.families.byte_codec import ByteCodec
from slashbench.errors import Unencodable

SLOW = ("lzma", "bz2")  # which share their code with zlib
NAMES = [
    name
    for name in CODECS.available()
    if issubclass(CODECS.get(name), ByteCodec) and name not in SLOW
]


def peak_of(work, size):
    """(what it returns, the most memory it held, in units of `size` bytes).

    What is reserved counts, though the pages that a library never touches take no memory.
    """
    tracemalloc.start()
    try:
        made = work()
        return made, tracemalloc.get_traced_memory()[1] / size
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["int8", "uint32", "float32"])
def test_byte_codecs_take_few_times_the_tensor(name, dtype):
    codec = CODECS.get(name)()
    size = (1 << 23) // np.dtype(dtype).itemsize
    values = np.random.default_rng(0).normal(0, 3, size).round()
    array = (values - values.min()).astype(dtype)
    codec.decode(codec.encode(array[:999]))  # which loads what it needs
    stream, encoding = peak_of(lambda: codec.encode(array), array.nbytes)
    decoded, decoding = peak_of(lambda: codec.decode(stream), array.nbytes)
    assert np.array_equal(decoded, array)
    assert max(encoding, decoding) <= 3.5, (encoding, decoding)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lz4", "blosc2"])
def test_more_than_a_library_takes_is_an_error_of_ours(name):
    with pytest.raises(Unencodable, match=f"{name} takes at most .* split the tensor"):
        CODECS.get(name)().encode(np.zeros((1 << 31) + 1, np.int8))
