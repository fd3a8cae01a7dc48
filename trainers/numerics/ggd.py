"""The generalised Gaussian of zero mean.

f(x) = shape / (2 scale Gamma(1 / shape)) exp(-|x / scale|^shape). Shape 1 is Laplace, shape 2
Gaussian. BackSlash (arXiv 2504.16968) writes nu for the shape.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

MIN_SHAPE, MAX_SHAPE = 0.1, 3.0


def moment_ratio(shape: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return rho = E[x^2] / E[|x|]^2 = Gamma(1/s) Gamma(3/s) / Gamma(2/s)^2 (BackSlash, eq. 8).

    >>> moment_ratio([1.0, 2.0]).round(4).tolist()
    [2.0, 1.5708]
    """
    inverse = 1.0 / np.asarray(shape, dtype=np.float64)
    log_ratio = gammaln(inverse) + gammaln(3 * inverse) - 2 * gammaln(2 * inverse)
    return np.asarray(np.exp(log_ratio), dtype=np.float64)


def shape_from_ratio(ratio: float) -> float:
    """Return the shape of this moment ratio, clipped to [0.1, 3] (Sharifi & Leon-Garcia, 1995).

    >>> round(shape_from_ratio(2.0), 4)
    1.0
    """
    log_ratios, shapes = _inverse_table()
    return float(np.interp(np.log(ratio), log_ratios, shapes))


def shape_from_moments(mean_absolute: float, mean_square: float) -> float:
    """Return the shape with these E[|x|] and E[x^2]; 3 when all are zero, or their squares are."""
    if mean_absolute == 0.0 or mean_square == 0.0:
        return MAX_SHAPE
    return shape_from_ratio(mean_square / mean_absolute / mean_absolute)


def scale_from_moments(mean_square: float, shape: float) -> float:
    """Return the scale of a generalised Gaussian with E[x^2] = `mean_square`; 0 for 0."""
    if mean_square == 0.0:
        return 0.0
    return float(np.exp(0.5 * (np.log(mean_square) + gammaln(1 / shape) - gammaln(3 / shape))))


def fit(values: npt.ArrayLike) -> tuple[float, float]:
    """Return (shape, scale) of greatest likelihood, for reports (scipy's gennorm, zero mean).

    Slower than the moments, and outliers do not dominate it as they dominate those. Raises
    ValueError for fewer than two values or values that are not finite.
    """
    from scipy.stats import gennorm  # a second to import: only where a report asks

    sample = np.array(values, dtype=np.float64).ravel()
    if sample.size < 2 or not np.isfinite(sample).all():
        raise ValueError("a fit wants two or more finite values")
    largest = float(np.abs(sample).max()) or 1.0
    sample /= largest  # whose squares neither overflow nor vanish
    spread = float(np.sqrt(np.mean(sample**2)))
    with np.errstate(all="ignore"):  # what the search tries far out
        shape, _, scale = gennorm.fit(sample / (spread or 1.0), floc=0.0)
    spread = (spread or 1.0) * largest
    return float(shape), float(scale) * spread


def density(x: npt.ArrayLike, shape: float, scale: float) -> npt.NDArray[np.float64]:
    """Return f(x), in the shape of x (BackSlash, eq. 1-2, with scale = 1 / gamma).

    >>> density([0.0], 1.0, 0.5).tolist()
    [1.0]
    """
    with np.errstate(over="ignore"):  # the density far out is 0
        exponent = -(np.abs(np.asarray(x, np.float64) / scale) ** shape)
    norm = np.log(shape) - np.log(2 * scale) - gammaln(1 / shape)
    return np.asarray(np.exp(exponent + norm), dtype=np.float64)


@cache
def _inverse_table() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return (log rho increasing, shape), whose linear interpolation errs by under 1e-5."""
    shapes = np.geomspace(MAX_SHAPE, MIN_SHAPE, 4096)
    return np.log(moment_ratio(shapes)), shapes
