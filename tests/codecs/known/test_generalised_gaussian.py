"""The parametric tables, against scipy.stats.gennorm and against a tensor's entropy."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import gennorm

from slashbench.codecs.entropy import order0_bits
from slashbench.codecs.kernels import generalised_gaussian as kernels
from slashbench.codecs.modelling import generalised_gaussian as ggd
from slashbench.codecs.modelling.generalised_gaussian import GeneralisedGaussian
from slashbench.codecs.rans_ggd import RansGgd
from slashbench.codecs.stream import frame
from slashbench.errors import CorruptStream


def indices(shape, scale):
    return round(32 * np.log2(shape)) + 128, round(64 * np.log2(scale)) + 512


def drawn(shape, scale, n, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return np.rint(gennorm.rvs(shape, scale=scale, size=n, random_state=rng)).astype(dtype)


@given(st.floats(2.0**-300, 2.0**300))
def test_log2(x):
    assert kernels.log2(x) == pytest.approx(np.log2(x), rel=1e-13, abs=1e-13)


@given(st.floats(-990, 990))
def test_exp2(x):
    assert kernels.exp2(x) == pytest.approx(2.0**x, rel=1e-12)


@pytest.mark.parametrize("shape", [0.5, 1, 1.5, 2, 4])
@pytest.mark.parametrize("scale", [0.1, 0.5, 2, 16])
def test_cells_are_scipys(shape, scale):
    a, b = indices(shape, scale)
    masses = np.empty(400)
    kernels.cells(a, b, masses)
    exact = gennorm(2 ** (a / 32 - 4), scale=2 ** (b / 64 - 8))
    v = np.arange(400)
    expected = 2 * (exact.sf(v - 0.5) - exact.sf(v + 0.5))
    expected[0] = 1 - 2 * exact.sf(0.5)
    np.testing.assert_allclose(
        masses / masses.sum(), expected / expected.sum(), rtol=2e-4, atol=1e-4 * expected[0]
    )


@settings(deadline=None)
@given(st.integers(8, 15), st.integers(0, 224), st.integers(0, 1984), st.integers(0, 4096))
def test_frequencies_are_a_table_wherever_the_parameters_lie(bits, shape, scale, reach):
    reach = min(reach, ggd.max_reach(bits))
    frequencies = GeneralisedGaussian(shape, scale, reach).frequencies(bits)
    assert frequencies.shape == (2 * reach + 1,)
    assert frequencies.sum() == 1 << bits
    assert frequencies.min() >= 1
    np.testing.assert_array_equal(frequencies, frequencies[::-1])


KNOWN = "8b7d945bac479c5057ddb13bef5349db58da0aa8e5ce05c00cb1e2e8445d6a7f"
DIGEST = """
import hashlib
from slashbench.codecs.modelling.generalised_gaussian import GeneralisedGaussian
digest = hashlib.sha256()
for bits in (8, 12, 15):
    for shape in range(0, 225, 32):
        for scale in range(0, 1985, 128):
            for reach in (0, 3, 31):
                model = GeneralisedGaussian(shape, scale, reach)
                digest.update(model.frequencies(bits).astype("<i8").tobytes())
print(digest.hexdigest())
"""


@pytest.mark.parametrize("interpreted", ["0", "1"])
def test_frequencies_never_change_compiled_or_not(interpreted):
    """Streams out there were written with these; a change here is a new format.

    Python's floats are IEEE 754 and nothing else: the compiler must not have fused or reordered.
    """
    found = subprocess.run(
        [sys.executable, "-c", DIGEST],
        env={**os.environ, "NUMBA_DISABLE_JIT": interpreted},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (
        found.stdout.strip() == "8b7d945bac479c5057ddb13bef5349db58da0aa8e5ce05c00cb1e2e8445d6a7f"
    )


@pytest.mark.parametrize("shape", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("scale", [1.5, 12.0])
def test_the_fit_is_near_the_truth(shape, scale):
    model = ggd.fit(np.bincount(np.abs(drawn(shape, scale, 200_000, int))))
    assert 2 ** (model.shape / 32 - 4) == pytest.approx(shape, rel=0.05)
    assert 2 ** (model.scale / 64 - 8) == pytest.approx(scale, rel=0.05)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32])
@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0, 30.0])
def test_eight_bytes_in_place_of_a_table(dtype, scale):
    symbols = drawn(1.6, scale, 200_000, dtype)
    stream = RansGgd().encode(symbols)
    assert RansGgd().ledger(stream)["tables"] <= 8
    assert len(stream) * 8 < 1.005 * order0_bits(symbols) + 800  # lanes and header
    np.testing.assert_array_equal(RansGgd().decode(stream), symbols)


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "u1", "u2", "u4"])
@pytest.mark.parametrize("bits", [-1, 8, 15])
def test_every_dtype_and_extreme_comes_back(dtype, bits):
    limits = np.iinfo(dtype)
    symbols = np.abs(drawn(1.5, 3, 20_000, int)).astype(dtype)
    symbols[[0, 77, 19_999]] = limits.min, limits.max, limits.max
    for array in (symbols, symbols.reshape(100, -1), symbols[:1], symbols[:17], symbols * 0):
        back = RansGgd(bits=bits).decode(RansGgd(bits=bits).encode(array))
        assert back.dtype == array.dtype
        np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize("dtype", [np.int8, np.int32])
def test_heavy_tails_are_exceptions(dtype):
    symbols = drawn(1.6, 2, 400_000, dtype)
    symbols[1::40_000] = np.iinfo(dtype).max
    stream = RansGgd().encode(symbols)
    assert frame.unpack(stream).tables[1] == 3
    np.testing.assert_array_equal(RansGgd().decode(stream), symbols)
    assert len(stream) * 8 < 1.007 * order0_bits(symbols)


def test_another_distribution_gets_a_table():
    symbols = (drawn(1.6, 2, 100_000, np.int8) % 4 * 9).astype(np.int8)
    stream = RansGgd().encode(symbols)
    assert frame.unpack(stream).tables[1] == 0
    np.testing.assert_array_equal(RansGgd().decode(stream), symbols)


@pytest.mark.parametrize(
    ("place", "byte"),
    [(0, 3), (1, 5), (1, 4), (2, 7), (2, 16), (3, 225), (5, 255), (6, 127), (6, 1)],
)
def test_forged_tables_are_refused(place, byte):
    parts = frame.unpack(RansGgd(bits=9).encode(drawn(1.6, 2, 1000, np.int8)))
    tables = bytearray(parts.tables)
    assert tables[:3] == bytes([1, 1, 9])
    tables[place] = byte
    payload = parts.payload(0).tobytes()
    coded = frame.CodedArray(bytes(tables), [(payload,)], 1000)
    with pytest.raises(CorruptStream):
        RansGgd().decode(frame.pack(parts.dtype, (1000,), coded))
