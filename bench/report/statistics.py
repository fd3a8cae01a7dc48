"""Intervals: what holds here is exact, and what would hold elsewhere has an interval.

A mean over seeds has Student's interval (`mean_interval`). What one more model would show has a
wider one, a prediction interval (`new_value_interval`). The quantile of Student's distribution is
computed in this file alone. Who shares a rank with whom is in `ties`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special  # scipy.stats has the same quantile and takes a second to import

from slashbench.arrays import Float64s

LEVEL = 0.95
FEWEST = 3  # values from which one more is predicted: two have a quantile of 12.7
ROUNDING = 1e-12  # relative


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
    return 0.0 if alike(data) else float(data.std(ddof=1)) / math.sqrt(len(data))


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


def alike(data: Float64s) -> npt.NDArray[np.bool_]:
    """Return whether the values of each column differ by no more than rounding."""
    return np.asarray(np.ptp(data, axis=0) <= ROUNDING * np.abs(data).max(axis=0))
