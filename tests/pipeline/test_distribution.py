"""The summary of a checkpoint's weights against scipy, and what it says of odd ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from slashbench.bench.commands.progress import Display
from slashbench.bench.engines.inline import InlineProgress
from slashbench.bench.pipeline.distribution import (
    BINS,
    SPREAD,
    describe,
    fit,
)
from slashbench.bench.pipeline.stages import Stages
from slashbench.bench.plan import matrix
from slashbench.bench.plan.matrix import Request
from slashbench.bench.store.store import Store
from slashbench.record import CheckpointRecord


def draw(shape: float, size: tuple[int, ...], scale: float = 0.05) -> np.ndarray:
    values = stats.gennorm.rvs(shape, scale=scale, size=size, random_state=7)
    return np.asarray(values, np.float32)


@pytest.mark.parametrize("shape", [0.5, 1.0, 1.36, 2.0])
def test_fits_are_those_of_scipy(shape: float) -> None:
    sample = draw(shape, (20_000,))
    found = fit(sample)
    assert found is not None
    assert found.shape == pytest.approx(shape, rel=0.04)
    assert found.sigma == pytest.approx(np.sqrt(np.mean(sample.astype(float) ** 2)), rel=1e-5)
    ours, gaussian = stats.gennorm(found.shape, 0, found.scale), stats.norm(0, found.sigma)
    assert found.distance == pytest.approx(stats.kstest(sample, ours.cdf).statistic, abs=1e-5)
    assert found.gaussian_distance == pytest.approx(
        stats.kstest(sample, gaussian.cdf).statistic, abs=1e-5
    )
    gain = (ours.logpdf(sample) - gaussian.logpdf(sample)).mean() / np.log(2)
    assert found.gain_bits == pytest.approx(gain, abs=2e-6)
    assert found.gain_bits >= 0  # the Gaussian is one of the family


def test_gain_is_the_difference_of_differential_entropies() -> None:
    """Of a Laplace against the Gaussian of its variance: log2 sqrt(2 pi e / 2) - log2 2e + ..."""
    found = fit(draw(1.0, (200_000,)))
    assert found is not None
    laplace, normal = stats.laplace().entropy(), stats.norm(scale=np.sqrt(2)).entropy()
    assert found.gain_bits == pytest.approx((normal - laplace) / np.log(2), abs=0.01)


def test_every_weight_is_counted_once() -> None:
    matrix_, vector = draw(0.6, (300, 200)), np.full(50, 9.0, np.float32)
    matrix_[0] = 0
    found = describe([matrix_, vector])
    assert found is not None
    assert found.n == 60_000 == sum(found.counts) + found.below + found.above
    assert found.zeros == 200
    assert found.below > 0 < found.above
    assert len(found.counts) == BINS
    assert found.high == -found.low == pytest.approx(SPREAD * found.sigma, rel=1e-5)
    edges = np.linspace(found.low, found.high, BINS + 1)
    assert np.abs(np.histogram(matrix_, edges)[0] - found.counts).sum() <= 20  # beside an edge
    assert found.fit is not None
    assert found.fit.n == 59_800
    assert found.moment_shape == pytest.approx(0.6, rel=0.05)
    assert found.moment_shape_of_all < found.moment_shape  # the vector is all outliers


def test_a_large_checkpoint_is_sampled_and_the_sample_is_the_same_every_time() -> None:
    arrays = [draw(1.2, (400, 500)), draw(1.2, (100, 300), scale=0.02)]
    found = describe(arrays)
    assert found is not None
    assert found.fit is not None
    assert found.fit.n == 100_000
    assert found == describe(arrays)


@pytest.mark.parametrize(
    ("arrays", "known"),
    [
        ([np.ones(9, np.float32)], False),  # vectors only
        ([], False),
        ([np.zeros((3, 3), np.float32)], False),
        ([np.array([[1.0, np.inf]], np.float32)], False),
        ([np.array([[1.0, np.nan]], np.float32)], False),
        ([np.ones((3, 3), np.float32)], True),  # one magnitude: no density
        ([np.full((3, 3), 1e-44, np.float32), np.ones(2, np.float32)], True),
    ],
)
def test_weights_that_have_no_distribution(arrays: list[np.ndarray], known: bool) -> None:
    found = describe(arrays)
    assert (found is not None) == known
    assert found is None or found.fit is None


def test_checkpoints_carry_it(tmp_path: Path) -> None:
    request = Request(models="digits-mlp:steps=5", recipes="plain+prune:sparsity=0.5",
                      codecs="pack", seeds="0")  # fmt: skip
    stages = Stages(Store(tmp_path), "missing", InlineProgress(Display(Console(quiet=True))))
    for cell in matrix.plan(request).cells:
        stages.run(cell)
    found = {p.recipe: p.distribution for p in stages.store.all(CheckpointRecord)}
    trained, pruned = found["plain"], found["plain+prune:sparsity=0.5"]
    assert trained is not None
    assert pruned is not None
    assert trained.n == pruned.n == 64 * 256 + 256 * 256 + 256 * 10
    assert trained.zeros < pruned.zeros == pruned.n // 2
