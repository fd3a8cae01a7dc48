"""Floats of few values: about what their integers take; other floats as `float-rans`."""

import ml_dtypes
import numpy as np
import pytest

from slashbench.bench.checkpoint import encoder
from slashbench.bench.checkpoint.encoder import Coding
from slashbench.codecs.entropy import order0_bits
from slashbench.codecs.floats import FloatRans
from slashbench.codecs.kernels import affine
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


ROWS, COLUMNS = 96, 384


def grouped(group, bits=4, kind=np.float32, rule=affine.PRODUCT, dtype=np.float32):
    """Weights rounded within groups by one of the rules, and bits of their integers."""
    weights = np.random.default_rng(bits).normal(0, 0.03, (ROWS * COLUMNS // group, group))
    weights = weights.astype(np.float32)
    low = weights.min(1, keepdims=True)
    scale = (weights.max(1, keepdims=True) - low) / np.float32(2**bits - 1)
    scale, low = scale.astype(kind).astype(np.float32), low.astype(kind).astype(np.float32)
    integers = np.rint((weights - low) / scale)
    if rule == affine.PRODUCT:
        integers = integers + np.rint(low / scale) + np.float32(0)
        values = integers * scale
    elif rule == affine.SUM:
        values = integers * scale + low
    else:
        values = (integers.astype(np.float64) * scale + low).astype(np.float32)
    values = values.astype(np.float32).reshape(ROWS, COLUMNS).astype(dtype)
    return values, order0_bits(integers.astype(np.int32).reshape(-1))


def checked(array):
    """The stream, which decodes to the same bits, whole and in chunks."""
    stream = Palette().encode(array)
    assert Palette().decode(stream).tobytes() == array.tobytes()
    parts = frame.unpack(stream)
    chunks = [Palette().decode_chunk(stream, i) for i in range(parts.chunks)]
    assert np.concatenate(chunks).tobytes() == array.tobytes()
    return stream


@pytest.mark.parametrize("rule", affine.RULES)
@pytest.mark.parametrize("group", [32, 128, COLUMNS])
@pytest.mark.parametrize("bits", [3, 4, 8])
def test_scales_and_offsets_of_groups_are_found(rule, group, bits):
    array, least = grouped(group, bits, rule=rule)
    stream = checked(array)
    sides = (1 + (rule != affine.PRODUCT)) * 33 * array.size / group
    assert len(stream) * 8 < 1.02 * least + sides + 4000


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_of_rounded_products_the_simplest_scale_is_found(dtype, kind):
    array, least = grouped(64, 3, kind, dtype=dtype)
    assert len(checked(array)) * 8 < 1.03 * least + 26 * array.size / 64 + 4000


def test_groups_across_chunks(monkeypatch):
    monkeypatch.setattr(frame, "CHUNK", 1000)
    array, _ = grouped(128, rule=affine.SUM)
    array[1, 5], array[80, 300] = np.nan, 1e30
    assert frame.unpack(checked(array)).chunks > 30


def test_what_fits_no_grid_is_kept_as_it_is():
    array, least = grouped(128)
    words = array.view(np.uint32).reshape(-1)
    words[::1000] = 0x7FC12345  # NaN that carry something
    words[1::1000] = 0x80000000
    words[2::1000] = np.arange(1, 1 + words[2::1000].size)  # subnormal
    words[3::1000] = 0x7F800000
    words[4::1000] = 0x3E2AAAAB
    assert len(checked(array)) < array.nbytes / 3
    assert least < 8 * len(checked(array))


def test_zeros_with_a_sign():
    array, least = grouped(128)
    array[array == 0] = -0.0
    array[::2] = -array[::2]  # so that there are both
    assert len(checked(array)) * 8 < 1.1 * least + 33 * array.size / 128 + 4000


@pytest.mark.parametrize("n", [127, 128, 129, 1000, 3333])
def test_groups_of_any_length(n):
    array, _ = grouped(32)
    checked(array.reshape(-1)[:n])


def test_weights_that_were_never_integers_cost_no_more_than_in_planes():
    weights = np.random.default_rng(0).normal(0, 0.03, (200, 300)).astype(np.float32)
    few = np.where(np.random.default_rng(1).random(weights.shape) < 0.1, weights, np.float32(0))
    for array in (weights, weights.astype(np.float16), weights.astype(ml_dtypes.bfloat16), few):
        assert array is few or not Palette.suits(array)
        assert len(checked(array)) == len(FloatRans().encode(array)) + 1


def test_a_checkpoint_takes_it_where_it_pays():
    array, least = grouped(128, rule=affine.SUM)
    assert Palette.suits(array)
    coded = encoder._shorter(array, Coding.of(None, None))
    assert coded.size * 8 < 1.02 * least + 66 * array.size / 128 + 4000


@pytest.mark.parametrize(
    ("place", "byte"),
    [(1, 3), (1, 7), (2, 0), (2, 65), (4, 0), (4, 3)],
    ids=["rule", "rule with exceptions", "no values", "another size", "no width", "a width of 3"],
)
def test_damaged_groups_are_refused(place, byte):
    array, _ = grouped(64)
    parts = frame.unpack(Palette().encode(array))
    assert parts.tables[:3] == bytes([2, 0, 64])
    tables = bytearray(parts.tables)
    tables[place] = byte
    chunks = [(parts.payload(i).tobytes(),) for i in range(parts.chunks)]
    coded = frame.CodedArray(bytes(tables), chunks, parts.chunk)
    with pytest.raises(CorruptStream):
        Palette().decode(frame.pack(parts.dtype, parts.shape, coded))
