"""Floats of few values: about what their integers take; other floats as `float-rans`."""

import ml_dtypes
import numpy as np
import pytest

from slashbench.codecs.entropy import order0_bits
from slashbench.codecs.floats import FloatRans
from slashbench.codecs.palette import Palette
from slashbench.codecs.stream import frame
from slashbench.errors import CorruptStream


def integers(n, spread, seed=0):
    return np.rint(np.random.default_rng(seed).normal(0, spread, n)).astype(np.int32)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
@pytest.mark.parametrize("spread", [2, 25])
def test_as_long_as_the_integers_were(dtype, spread):
    levels = integers(200_000, spread)
    array = (levels * 0.0371).astype(dtype)
    stream = Palette().encode(array)
    assert len(stream) * 8 < 1.01 * order0_bits(levels) + 64 * 256
    assert Palette().decode(stream).tobytes() == array.tobytes()


def test_every_pattern_is_a_value_of_its_own():
    bits = np.array([0, 1 << 31, 0x7FC00000, 0x7FC00001, 0x7F800000, 1], np.uint32)
    array = np.resize(bits, 3000).view(np.float32)
    stream = Palette().encode(array)
    assert frame.unpack(stream).tables[0] == 1
    assert Palette().decode(stream).tobytes() == array.tobytes()


def test_others_are_coded_in_planes():
    array = np.random.default_rng(0).normal(size=200_000).astype(np.float32)
    stream = Palette().encode(array)
    assert len(stream) == len(FloatRans().encode(array)) + 1
    assert Palette().decode(stream).tobytes() == array.tobytes()


def test_a_place_beyond_the_list_is_refused():
    parts = frame.unpack(Palette().encode((integers(3000, 2) / 3).astype(np.float32)))
    n = parts.tables[1]
    tables = parts.tables[:1] + bytes([n - 1]) + parts.tables[2 : 2 + 4 * (n - 1)]
    coded = frame.CodedArray(
        tables + parts.tables[2 + 4 * n :], [(parts.payload(0).tobytes(),)], parts.chunk
    )
    with pytest.raises(CorruptStream):
        Palette().decode(frame.pack(parts.dtype, parts.shape, coded))
