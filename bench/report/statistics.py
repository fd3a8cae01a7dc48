"""Two questions kept apart: what is so here, and what would be so elsewhere.

*Here.* The size of a file is exact. Two codecs that wrote the same integers differ by so many bytes
and no noise stands between them: `exact_places` orders them as they are. The clock of one machine
is noisy: `places` orders what was timed in paired rounds, all pairs of a board held to one level by
Holm (1979).

*Elsewhere.* A mean over seeds has Student's interval (`mean_interval`). What one more model would
show has a wider one, a prediction interval (`new_value_interval`). The quantile of Student's
distribution is computed in this file alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special  # scipy.stats has the same quantile and takes a second to import

LEVEL = 0.95
FEWEST = 3  # values from which one more is predicted: two have a quantile of 12.7
ROUNDING = 1e-12  # relative
MEDIAN = math.sqrt(math.pi / 2)  # standard error of a median over that of a mean, normal noise

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and its interval at `LEVEL`; None where there is no estimate of the noise."""

    estimate: float
    low: float | None = None
    high: float | None = None

    @property
    def half_width(self) -> float | None:
        """Half of the interval's width; None without one."""
        return None if self.low is None or self.high is None else (self.high - self.low) / 2


@dataclass(frozen=True, slots=True)
class Rank:
    """A rank, or the ranks from `first` to `last` that contestants share."""

    first: int  # 1 + the number of contestants that are better
    last: int  # the number of contestants that are not worse


def quantile(n: int | None = None, level: float = LEVEL) -> float:
    """Return how many standard errors the interval of a mean reaches to either side.

    Parameters
    ----------
    n
        Number of values behind the standard error: Student's distribution of n - 1 degrees of
        freedom. None for a standard error over many items: the normal distribution.
    level
        Share of intervals that hold the truth.

    Examples
    --------
    >>> round(quantile(3), 3), round(quantile(), 3)
    (4.303, 1.96)
    """
    return float(special.stdtrit(math.inf if n is None else n - 1, (1 + level) / 2))


def standard_error(values: Sequence[float]) -> float | None:
    """Return the standard error of the mean; None for a single value."""
    data = np.asarray(values, np.float64)
    if len(data) < 2:
        return None
    return 0.0 if _alike(data) else float(data.std(ddof=1)) / math.sqrt(len(data))


def mean_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Return the mean and Student's interval; a single value has no interval."""
    mean = float(np.mean(values))
    error = standard_error(values)
    if error is None:
        return Interval(mean)
    return around(mean, quantile(len(values), level) * error)


def new_value_interval(values: Sequence[float], level: float = LEVEL) -> Interval:
    """Return the mean and the interval in which one more value of the same kind would lie.

    A prediction interval: wider than that of the mean by a factor of sqrt(n + 1). Below `FEWEST`
    values there is no interval.
    """
    mean = float(np.mean(values))
    error = standard_error(values)
    if error is None or len(values) < FEWEST:
        return Interval(mean)
    return around(mean, quantile(len(values), level) * error * math.sqrt(len(values) + 1))


def around(estimate: float, reach: float) -> Interval:
    """Return the interval that reaches equally far to either side."""
    return Interval(estimate, estimate - reach, estimate + reach)


def exact_places(values: Sequence[float]) -> list[Rank]:
    """Rank numbers without noise, lowest first. Only equal ones share a rank.

    Examples
    --------
    >>> [(place.first, place.last) for place in exact_places([7.0, 5.0, 7.0])]
    [(2, 3), (1, 1), (2, 3)]
    """
    margins = [ROUNDING * abs(value) for value in values]
    return [
        Rank(
            1 + sum(other < value - margin for other in values),
            sum(other <= value + margin for other in values),
        )
        for value, margin in zip(values, margins, strict=True)
    ]


def places(times: Sequence[Floats], margin: float = 0.0, level: float = LEVEL) -> list[Rank]:
    """Rank contestants that were timed in the same rounds, fastest first.

    Parameters
    ----------
    times
        One array a cell, of shape (rounds, contestants): logarithms of times. Contestants are
        paired within a round. Cells are given, not drawn: only rounds are noise.
    margin
        Difference of logarithms below which two are as fast, whatever the rounds say.
    level
        One minus the risk that any two that are alike are told apart.
    """
    contestants = times[0].shape[1]
    first, second = np.triu_indices(contestants, 1)
    if not len(first):
        return [Rank(1, 1)] * contestants
    pairs = [rounds[:, first] - rounds[:, second] for rounds in times]
    estimates = np.mean([np.median(rounds, axis=0) for rounds in pairs], axis=0)
    errors = np.sqrt(sum(np.square(_errors(rounds)) for rounds in pairs)) / len(pairs)
    freedom = sum(len(rounds) - 1 for rounds in pairs)
    with np.errstate(divide="ignore", invalid="ignore"):
        chances = 2 * special.stdtr(max(freedom, 1), -np.abs(estimates / errors))
    apart = holm(np.where(estimates == 0, 1.0, chances), 1 - level)
    apart &= np.abs(estimates) > margin
    better = np.zeros((contestants, contestants), bool)  # [a, b]: a is faster than b beyond noise
    better[first, second] = apart & (estimates < 0)
    better[second, first] = apart & (estimates > 0)
    return [
        Rank(1 + int(better[:, i].sum()), contestants - int(better[i].sum()))
        for i in range(contestants)
    ]


def holm(chances: Floats, risk: float) -> npt.NDArray[np.bool_]:
    """Return which hypotheses fall when the risk that any true one falls is at most `risk`."""
    order = np.argsort(chances)
    falls = chances[order] <= risk / np.arange(len(chances), 0, -1)
    fallen = np.zeros(len(chances), bool)
    fallen[order] = np.logical_and.accumulate(falls)
    return fallen


def _errors(rounds: Floats) -> Floats:
    """Return the standard error of each column's median; 0 for a single round."""
    if len(rounds) < 2:
        return np.zeros(rounds.shape[1])
    errors: Floats = MEDIAN * rounds.std(axis=0, ddof=1) / math.sqrt(len(rounds))
    errors[_alike(rounds)] = 0.0
    return errors


def _alike(data: Floats) -> npt.NDArray[np.bool_]:
    """Return whether the values of each column differ by no more than rounding."""
    return np.asarray(np.ptp(data, axis=0) <= ROUNDING * np.abs(data).max(axis=0))
