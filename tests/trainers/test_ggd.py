"""The generalised Gaussian against scipy and against samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import gennorm

from slashbench.trainers import ggd


@pytest.mark.parametrize("shape", [0.1, 0.26, 0.5, 1.0, 1.36, 2.0, 3.0])
def test_moment_ratio_is_that_of_scipys_density(shape: float) -> None:
    from scipy.integrate import quad

    density = gennorm(shape)
    # substitute x = y^(1/shape): the integrand is smooth even for small shapes
    square = quad(lambda y: y ** (2 / shape) * np.exp(-y) * y ** (1 / shape - 1), 0, 800)[0]
    absolute = quad(lambda y: y ** (1 / shape) * np.exp(-y) * y ** (1 / shape - 1), 0, 800)[0]
    mass = quad(lambda y: np.exp(-y) * y ** (1 / shape - 1), 0, 800)[0]
    assert ggd.moment_ratio(shape) == pytest.approx(square * mass / absolute**2, rel=1e-3)
    if shape >= 0.5:
        assert density.var() == pytest.approx(square / mass, rel=1e-3)


@pytest.mark.parametrize(
    ("shape", "ratio"), [(2.0, np.pi / 2), (1.0, 2.0), (0.5, 10 / 3), (0.26, 8.70), (0.13, 64.87)]
)
def test_anchor_values(shape: float, ratio: float) -> None:
    assert ggd.moment_ratio(shape) == pytest.approx(ratio, rel=1e-3)


@given(st.floats(min_value=ggd.MIN_SHAPE, max_value=ggd.MAX_SHAPE))
def test_the_inverse_inverts(shape: float) -> None:
    assert ggd.shape_from_ratio(float(ggd.moment_ratio(shape))) == pytest.approx(shape, rel=1e-5)


def test_ratios_out_of_range_are_clipped() -> None:
    assert ggd.shape_from_ratio(1.0) == ggd.MAX_SHAPE
    assert ggd.shape_from_ratio(1e9) == ggd.MIN_SHAPE


def test_scale_from_moments() -> None:
    samples = gennorm(0.8, scale=0.03).rvs(200_000, random_state=1)
    assert ggd.scale_from_moments(float(np.mean(samples**2)), 0.8) == pytest.approx(0.03, rel=0.02)
