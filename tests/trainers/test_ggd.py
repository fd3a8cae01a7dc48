"""The generalised Gaussian against scipy and against samples."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import gennorm

from slashbench.trainers.numerics import ggd


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


@pytest.mark.parametrize("shape", [0.3, 0.8, 1.0, 2.0, 3.0])
def test_density_is_scipys(shape: float) -> None:
    x = np.linspace(-3, 3, 61)
    assert ggd.density(x, shape, 0.4) == pytest.approx(gennorm(shape, scale=0.4).pdf(x), rel=1e-9)


@pytest.mark.parametrize("shape", [0.5, 1.0, 1.7])
def test_fit_finds_shape_and_scale(shape: float) -> None:
    samples = gennorm(shape, scale=0.03).rvs(30_000, random_state=1)
    found = ggd.fit(samples)
    assert found == pytest.approx((shape, 0.03), rel=0.06)
    with pytest.raises(ValueError, match="two or more finite"):
        ggd.fit([1.0])


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e-4, 1e30, 1e200])
def test_no_warning_for_weights_of_any_size(scale: float) -> None:
    weights = np.random.default_rng(0).laplace(size=500) * scale
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shape, fitted = ggd.fit(weights)
        assert ggd.density(weights * 1e6, shape, fitted).max() >= 0
        with np.errstate(all="ignore"):
            absolute, square = np.abs(weights).mean(), np.square(weights).mean()
        if np.isfinite(square):
            found = ggd.shape_from_moments(float(absolute), float(square))
            assert ggd.scale_from_moments(float(square), found) >= 0
    assert shape == pytest.approx(1.0, abs=0.15)
    assert fitted == pytest.approx(scale, rel=0.15)
