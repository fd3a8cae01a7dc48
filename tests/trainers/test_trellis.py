"""The quantiser `trellis`: rows along a path, and fewer bits at the same error than `rdoq`."""

import itertools

import numpy as np
import pytest

from slashbench import trellis_machine
from slashbench.codecs.entropy import order0_bits
from slashbench.codecs.kernels import tilted
from slashbench.codecs.modelling import tilted_tables
from slashbench.codecs.rans_classes import RansClasses
from slashbench.errors import UsageError
from slashbench.trainers.quantisers.rdoq import Rdoq
from slashbench.trainers.quantisers.trellis import Trellis


def weights(shape, seed=0):
    return np.random.default_rng(seed).normal(0, 0.02, shape).astype(np.float32)


def paths(states, length, largest):
    """Every path of that length, by the definition of the machine."""
    following, odd = trellis_machine.machine(states)
    for indices in itertools.product(range(-largest, largest + 1), repeat=length):
        state, path = 0, []
        for k in indices:
            path.append(2 * k - int(np.sign(k)) * odd[state])
            state = following[state, k % 2]
        yield path


@pytest.mark.parametrize("states", [4, 8])
def test_the_nearest_path_is_found(states):
    scaled = np.random.default_rng(1).normal(0, 2, (20, 4))
    every = np.array(list(paths(states, 4, 4)))
    least = np.square(scaled[:, None] - every).sum(2).min(1)
    values = Trellis(lam=0.0, step=1.0, states=states).quantize("w", scaled.astype("f4")).values
    np.testing.assert_allclose(np.square(scaled - values).sum(1), least, rtol=1e-5)


@pytest.mark.parametrize("states", [4, 8])
@pytest.mark.parametrize("lam", [0.0, 0.4])
@pytest.mark.parametrize("granularity", ["tensor", "channel"])
def test_rows_follow_the_trellis(states, lam, granularity):
    weight = weights((30, 7, 3))
    quantiser = Trellis(lam, 0.5, states, "std", granularity)
    values = quantiser.quantize("w", weight).values.reshape(30, -1)
    assert tilted.follows(values, *tilted_tables.machine(states))


def test_fewer_bits_than_rdoq_at_less_error():
    weight = weights((256, 300))
    path = Trellis(step=0.56, unit="std").quantize("w", weight)
    grid = Rdoq(lam=0.1155, step=0.9, unit="std").quantize("w", weight)
    errors = [np.square(q.dequantize() - weight).mean() for q in (path, grid)]
    bits = [8 * len(RansClasses().encode(q.values)) / weight.size for q in (path, grid)]
    assert errors[0] < errors[1]
    assert bits[0] < bits[1] - 0.08
    assert bits[0] < order0_bits(path.values) / weight.size - 0.5


def test_vectors_and_empty_tensors_are_as_in_quantize():
    assert Trellis().quantize("b", weights((9,))) is None
    assert Trellis().quantize("w", weights((0, 4))).values.shape == (0, 4)
    assert Trellis(scope="all").quantize("b", weights((9,))).values.shape == (9,)


def test_other_machines_are_refused():
    with pytest.raises(UsageError, match="8 or 4"):
        Trellis(states=16)
    with pytest.raises(UsageError, match="4 or 8 states"):
        trellis_machine.machine(5)
