"""What differences are worth: paired bootstrap over clusters, ties before ranks.

A cluster is one (model, seed): all that was measured on one set of trained weights rises and falls
together, so it is drawn together. Differences are taken within a cluster, and clusters resampled.
There are few, so the bootstrap's standard error is freed of its bias and meets Student's quantile
(Hesterberg 2015, "What Teachers Should Know About the Bootstrap", sections 4 and 5); percentiles of
three values could not leave their range. All pairs of a board are held to one level by Holm (1979).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

RESAMPLES = 4000
LEVEL = 0.95
SEED = 20260
ROUNDING = 1e-12  # relative

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate, and the range that holds the truth at `LEVEL`; None where nothing is known."""

    estimate: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a contestant stands: so many are surely better, so many are not surely worse."""

    first: int  # 1 + those surely better
    last: int  # all but those surely worse


@dataclass(frozen=True, slots=True)
class Ranking:
    """What the data can tell of the order of contestants."""

    places: list[Place]
    resolvable: float | None  # the smallest difference that any two are told apart by: the median


@functools.cache
def draws(n: int, resamples: int = RESAMPLES, seed: int = SEED) -> Floats:
    """The share of each of `n` clusters in each resample: float64 of shape (resamples, n)."""
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)
    shares: Floats = counts / n
    shares.flags.writeable = False  # every caller has the same
    return shares


def interval(estimate: float, resampled: Floats, n: int, level: float = LEVEL) -> Interval:
    """The range about any statistic, from its values over resamples of `n` clusters.

    One cluster has an estimate and no range: nothing is known of how others would differ.
    """
    if n < 2:
        return Interval(estimate)
    error = float(resampled.std(ddof=1)) * math.sqrt(n / (n - 1))
    reach = float(special.stdtrit(n - 1, (1 + level) / 2)) * error
    return Interval(estimate, estimate - reach, estimate + reach)


def mean_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """The mean of one value a cluster, and its range."""
    data = np.asarray(values, np.float64)
    mean = float(data.mean())
    if len(data) > 1 and _alike(data):
        return Interval(mean, mean, mean)
    return interval(mean, draws(len(data)) @ data, len(data), level)


def _alike(data: Floats) -> npt.NDArray[np.bool_]:
    """Whether what stands in each column differs by no more than rounding."""
    return np.asarray(np.ptp(data, axis=0) <= ROUNDING * np.abs(data).max(axis=0))


def rank(scores: Floats, level: float = LEVEL) -> Ranking:
    """Rank contestants that all ran on the same clusters.

    scores: float64 of shape (clusters, contestants), lower is better; logarithms for ratios. With
    one cluster nothing can be told apart.
    """
    n, contestants = scores.shape
    first, second = np.triu_indices(contestants, 1)
    if n < 2 or not len(first):
        return Ranking([Place(1, contestants)] * contestants, None)
    differences = scores[:, first] - scores[:, second]
    estimates = differences.mean(axis=0)
    # What the bootstrap's error of a mean tends to, freed of its bias: no need to draw.
    errors = differences.std(axis=0, ddof=1) / math.sqrt(n)
    errors[_alike(differences)] = 0.0
    estimates[np.abs(estimates) <= ROUNDING * np.abs(scores).max()] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        chances = 2 * special.stdtr(n - 1, -np.abs(estimates / errors))
    apart = _holm(np.where(estimates == 0, 1.0, chances), 1 - level)
    better = np.zeros((contestants, contestants), bool)  # [a, b]: a is surely smaller than b
    better[first, second] = apart & (estimates < 0)
    better[second, first] = apart & (estimates > 0)
    places = [
        Place(1 + int(better[:, i].sum()), contestants - int(better[i].sum()))
        for i in range(contestants)
    ]
    hardest = float(special.stdtrit(n - 1, 1 - (1 - level) / 2 / len(first)))
    return Ranking(places, hardest * float(np.median(errors)))


def _holm(chances: Floats, risk: float) -> npt.NDArray[np.bool_]:
    """Which hypotheses fall when the risk that any true one does is at most `risk`."""
    order = np.argsort(chances)
    falls = chances[order] <= risk / np.arange(len(chances), 0, -1)
    fallen = np.zeros(len(chances), bool)
    fallen[order] = np.logical_and.accumulate(falls)
    return fallen
