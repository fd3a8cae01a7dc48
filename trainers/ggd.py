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


def scale_from_moments(mean_square: float, shape: float) -> float:
    """The scale of a generalised Gaussian with E[x^2] = `mean_square`."""
    return float(np.exp(0.5 * (np.log(mean_square) + gammaln(1 / shape) - gammaln(3 / shape))))


@cache
def _inverse_table() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(log rho increasing, shape): fine enough that linear interpolation errs by under 1e-5."""
    shapes = np.geomspace(MAX_SHAPE, MIN_SHAPE, 4096)
    return np.log(moment_ratio(shapes)), shapes
