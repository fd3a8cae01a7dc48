"""How the weights of a checkpoint are distributed, and how well two families fit them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from slashbench.record import DensityFit, Distribution
from slashbench.trainers.numerics import ggd

BINS = 201  # odd: one of them is centred on zero
SPREAD = 4.0  # the histogram reaches so many standard deviations to either side
SAMPLE = 100_000  # weights that the fits look at: for shape and distances, two good digits
SEED = 2504

Floats = npt.NDArray[np.floating]


def describe(arrays: Sequence[Floats]) -> Distribution | None:
    """Return histogram, moments and fits of the weights of two and more dimensions.

    arrays: every parameter of a checkpoint, each tied one once. Densities have no mass at a point:
    weights that are exactly zero are counted, and left out of the fits. None where no weight has
    two dimensions, where all are zero or where one is not finite.
    """
    matrices = [array for array in arrays if array.ndim >= 2 and array.size]
    count = sum(array.size for array in matrices)
    square, absolute = _moments(matrices)
    if not count or not square or not np.isfinite(square):
        return None
    sigma = float(np.sqrt(square / count))
    edge = SPREAD * sigma
    counts = np.zeros(BINS, np.int64)
    below = above = zeros = 0
    for array in matrices:
        scaled = array / edge
        counts += np.histogram(scaled, BINS, (-1.0, 1.0))[0]
        below += int(np.count_nonzero(scaled < -1.0))
        above += int(np.count_nonzero(scaled > 1.0))
        zeros += int(array.size - np.count_nonzero(array))
    every = [array for array in arrays if array.size]
    square_of_all, absolute_of_all = _moments(every)
    count_of_all = sum(array.size for array in every)
    return Distribution(
        n=count,
        sigma=_rounded(sigma),
        moment_shape=_rounded(ggd.shape_from_moments(absolute / count, square / count)),
        moment_shape_of_all=_rounded(
            ggd.shape_from_moments(absolute_of_all / count_of_all, square_of_all / count_of_all)
        ),
        low=_rounded(-edge),
        high=_rounded(edge),
        counts=counts.tolist(),
        below=below,
        above=above,
        zeros=zeros,
        fit=fit(_sample(matrices)),
    )


def fit(values: Floats) -> DensityFit | None:
    """Return maximum-likelihood fits of a generalised Gaussian and a Gaussian of zero mean.

    values: a sample, shape (n,), none of them zero. None for fewer than two different magnitudes,
    and where the likelihood has no maximum that scipy can find.
    """
    from scipy import stats  # a second to import

    sample = np.asarray(values, np.float64)
    if np.unique(np.abs(sample)).size < 2:
        return None
    try:
        shape, scale = ggd.fit(sample)
    except stats.FitError:
        return None
    sigma = float(np.sqrt(np.mean(sample**2)))
    generalised, gaussian = stats.gennorm(shape, scale=scale), stats.norm(scale=sigma)
    gain = np.mean(generalised.logpdf(sample) - gaussian.logpdf(sample)) / np.log(2.0)

    def distance(family: stats.rv_continuous) -> float:
        return float(stats.ks_1samp(sample, family.cdf, method="asymp").statistic)

    return DensityFit(
        n=sample.size,
        shape=_rounded(shape),
        scale=_rounded(scale),
        sigma=_rounded(sigma),
        distance=_rounded(distance(generalised)),
        gaussian_distance=_rounded(distance(gaussian)),
        gain_bits=_rounded(float(gain)),
    )


def _moments(arrays: Sequence[Floats]) -> tuple[float, float]:
    """Return the sums of squares and of magnitudes."""
    square = sum(float(np.square(array, dtype=np.float64).sum()) for array in arrays)
    absolute = sum(float(np.abs(array).sum(dtype=np.float64)) for array in arrays)
    return square, absolute


def _sample(arrays: Sequence[Floats]) -> Floats:
    """Draw at most SAMPLE weights, the same ones every time, and return those that are not zero."""
    count = sum(array.size for array in arrays)
    generator = np.random.default_rng(SEED)
    chosen = np.sort(generator.choice(count, min(SAMPLE, count), replace=False, shuffle=False))
    parts, start = [], 0
    for array in arrays:
        here = chosen[(chosen >= start) & (chosen < start + array.size)] - start
        parts.append(array.reshape(-1)[here])
        start += array.size
    sample: Floats = np.concatenate(parts)
    return np.asarray(sample[sample != 0])


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
