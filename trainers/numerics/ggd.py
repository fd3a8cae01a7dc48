"""The generalised Gaussian of zero mean.

f(x) = shape / (2 scale Gamma(1 / shape)) exp(-|x / scale|^shape). Shape 1 is Laplace, shape 2
Gaussian. BackSlash (arXiv 2504.16968) writes nu for the shape.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.special import gammainc, gammaincc, gammaln

MIN_SHAPE, MAX_SHAPE = 0.1, 3.0

_TINY = 1e-280  # a mass below this has lost its last digits


def moment_ratio(shape: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """rho(shape) = E[x^2] / E[|x|]^2 = Gamma(1/s) Gamma(3/s) / Gamma(2/s)^2 (BackSlash, eq. 8).

    >>> moment_ratio([1.0, 2.0]).round(4).tolist()
    [2.0, 1.5708]
    """
    inverse = 1.0 / np.asarray(shape, dtype=np.float64)
    log_ratio = gammaln(inverse) + gammaln(3 * inverse) - 2 * gammaln(2 * inverse)
    return np.asarray(np.exp(log_ratio), dtype=np.float64)


def shape_from_ratio(ratio: float) -> float:
    """The shape whose moment ratio is `ratio`, clipped to [0.1, 3] (Sharifi & Leon-Garcia, 1995).

    >>> round(shape_from_ratio(2.0), 4)
    1.0
    """
    log_ratios, shapes = _inverse_table()
    return float(np.interp(np.log(ratio), log_ratios, shapes))


def shape_from_moments(mean_absolute: float, mean_square: float) -> float:
    """The shape with E[|x|] = `mean_absolute` and E[x^2] = `mean_square`; 3 when all are zero."""
    if mean_absolute == 0.0:
        return MAX_SHAPE
    return shape_from_ratio(mean_square / mean_absolute**2)


def scale_from_moments(mean_square: float, shape: float) -> float:
    """The scale of a generalised Gaussian with E[x^2] = `mean_square`."""
    return float(np.exp(0.5 * (np.log(mean_square) + gammaln(1 / shape) - gammaln(3 / shape))))


def fit(values: npt.ArrayLike) -> tuple[float, float]:
    """(shape, scale) of greatest likelihood, for reports (scipy's gennorm, zero mean).

    Slower than the moments, and not driven by outliers as they are. Raises ValueError for fewer
    than two values or values that are not finite.
    """
    from scipy.stats import gennorm  # a second to import: only where a report asks

    sample = np.asarray(values, dtype=np.float64).ravel()
    if sample.size < 2 or not np.isfinite(sample).all():
        raise ValueError("a fit wants two or more finite values")
    spread = float(np.sqrt(np.mean(sample**2))) or 1.0
    shape, _, scale = gennorm.fit(sample / spread, floc=0.0)
    return float(shape), float(scale) * spread


def density(x: npt.ArrayLike, shape: float, scale: float) -> npt.NDArray[np.float64]:
    """f(x), of the shape of x (BackSlash, eq. 1-2, with scale = 1 / gamma).

    >>> density([0.0], 1.0, 0.5).tolist()
    [1.0]
    """
    exponent = -(np.abs(np.asarray(x, np.float64) / scale) ** shape)
    norm = np.log(shape) - np.log(2 * scale) - gammaln(1 / shape)
    return np.asarray(np.exp(exponent + norm), dtype=np.float64)


def rate_bits(x: npt.ArrayLike, shape: float, scale: float, step: float) -> npt.NDArray[np.float64]:
    """Ideal code length in bits of the cell of width `step` around each x: -log2 of its mass.

    The exact form of the discretised rate, of which the paper (eq. 3-5) keeps step * f(x) without
    its constants. Where the mass is below what a float64 holds, step * f(x) stands for it.
    """
    x = np.abs(np.asarray(x, np.float64))
    mass = _mass(x, shape, scale, step)
    far = mass < _TINY
    nats = np.log(np.where(far, 1.0, mass))
    log_density = np.log(shape * step / (2 * scale)) - gammaln(1 / shape) - (x / scale) ** shape
    return np.asarray(-np.where(far, log_density, nats) / np.log(2.0), dtype=np.float64)


def rate_gradient(
    x: npt.ArrayLike, shape: float, scale: float, step: float
) -> npt.NDArray[np.float64]:
    """d rate_bits / dx: (f(x - step / 2) - f(x + step / 2)) / (mass ln 2), in bits per unit of x.

    Unlike the slope of |x|^shape it is 0 at 0 and bounded there.
    """
    x = np.asarray(x, np.float64)
    mass = _mass(np.abs(x), shape, scale, step)
    far = mass < _TINY
    slope = density(x - step / 2, shape, scale) - density(x + step / 2, shape, scale)
    with np.errstate(divide="ignore", invalid="ignore"):  # of 0, which is not far
        tail = np.sign(x) * shape / scale * (np.abs(x) / scale) ** (shape - 1)
    near = slope / np.where(far, 1.0, mass)
    return np.asarray(np.where(far, tail, near) / np.log(2.0), dtype=np.float64)


def _mass(
    x: npt.NDArray[np.float64], shape: float, scale: float, step: float
) -> npt.NDArray[np.float64]:
    """Probability of the cell around each x >= 0: a difference of tails, or a sum across zero."""
    low, high = x - step / 2, x + step / 2
    below, above = (np.abs(low) / scale) ** shape, (high / scale) ** shape
    crossing = gammainc(1 / shape, below) + gammainc(1 / shape, above)
    beside = gammaincc(1 / shape, below) - gammaincc(1 / shape, above)
    return np.asarray(0.5 * np.where(low < 0, crossing, beside), dtype=np.float64)


@cache
def _inverse_table() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(log rho increasing, shape): fine enough that linear interpolation errs by under 1e-5."""
    shapes = np.geomspace(MAX_SHAPE, MIN_SHAPE, 4096)
    return np.log(moment_ratio(shapes)), shapes
