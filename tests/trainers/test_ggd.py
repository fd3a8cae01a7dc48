"""The generalised Gaussian against scipy and against samples."""

from __future__ import annotations

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


@pytest.mark.parametrize("shape", [0.26, 0.85, 1.36, 2.0])
@pytest.mark.parametrize("x", [0.0, 0.07, -0.1, 0.25, -0.9, 2.0])
def test_rate_is_the_mass_of_the_cell(shape: float, x: float) -> None:
    from scipy.integrate import quad

    step, scale = 0.125, 0.1
    mass = quad(
        lambda t: float(ggd.density(t, shape, scale)),
        x - step / 2,
        x + step / 2,
        points=[0.0] if abs(x) < step / 2 else None,
        epsabs=0.0,
        epsrel=1e-10,
        limit=200,
    )[0]
    assert ggd.rate_bits(x, shape, scale, step) == pytest.approx(-np.log2(mass), rel=1e-6)


@pytest.mark.parametrize("shape", [0.26, 0.85, 1.36, 2.0])
@pytest.mark.parametrize("x", [0.0, 0.05, -0.11, 0.4, -1.5])
def test_rate_gradient_is_its_derivative(shape: float, x: float) -> None:
    def rate(at: float) -> float:
        return float(ggd.rate_bits(at, shape, 0.1, 0.125))

    numeric = (rate(x + 1e-6) - rate(x - 1e-6)) / 2e-6
    assert ggd.rate_gradient(x, shape, 0.1, 0.125) == pytest.approx(numeric, rel=1e-4, abs=1e-4)


def test_rate_far_out_is_finite_and_goes_on_where_the_mass_ends() -> None:
    x = np.linspace(2.5, 40, 400)
    bits = ggd.rate_bits(x, 2.0, 0.1, 0.01)
    assert np.isfinite(bits).all()
    assert (np.diff(bits) > 0).all()
    slope = ggd.rate_gradient(x, 2.0, 0.1, 0.01)
    assert np.diff(bits) / np.diff(x) == pytest.approx((slope[1:] + slope[:-1]) / 2, rel=0.02)


def test_all_cells_together_hold_everything() -> None:
    cells = np.arange(-4000, 4001) * 0.05
    assert np.exp2(-ggd.rate_bits(cells, 0.5, 0.1, 0.05)).sum() == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize("shape", [0.5, 1.0, 1.7])
def test_fit_finds_shape_and_scale(shape: float) -> None:
    samples = gennorm(shape, scale=0.03).rvs(30_000, random_state=1)
    found = ggd.fit(samples)
    assert found == pytest.approx((shape, 0.03), rel=0.06)
    with pytest.raises(ValueError, match="two or more finite"):
        ggd.fit([1.0])
