"""Bjontegaard-Delta rate: bits that one curve takes over another, on average at equal quality.

Computed by the `bjontegaard` package with Akima interpolation (Herglotz et al. 2022, "Beyond
Bjontegaard"), over the range of quality that both curves reach, and refused where it would mislead.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

POINTS = 4  # of a curve, at least
OVERLAP = 0.5  # of the range of quality of either curve, at least


@dataclass(frozen=True, slots=True)
class Curve:
    """Rates and qualities of one recipe at several steps. Higher quality is better."""

    rates: Sequence[float]  # bits per parameter
    qualities: Sequence[float]


def bd_rate(anchor: Curve, test: Curve) -> float | str:
    """Return the share of bits that `test` takes beyond `anchor`, or why it can't be said.

    >>> line = Curve([1, 2, 4, 8], [1, 2, 3, 4])
    >>> half = Curve([0.5, 1, 2, 4], [1, 2, 3, 4])
    >>> round(bd_rate(line, half), 3)
    -0.5
    """
    curves = []
    for name, curve in (("plain", anchor), ("its", test)):
        rising = _rising(curve)
        if len(rising.rates) < POINTS:
            dropped = len(curve.rates) - len(rising.rates)
            noise = f" ({dropped} of {len(curve.rates)} fall back)" if dropped else ""
            return f"{name} curve has {len(rising.rates)} rising points of {POINTS}{noise}"
        curves.append(rising)
    low = max(min(curve.qualities) for curve in curves)
    high = min(max(curve.qualities) for curve in curves)
    span = max(max(curve.qualities) - min(curve.qualities) for curve in curves)
    shared = max(high - low, 0.0) / span
    if shared < OVERLAP:
        return f"the curves share {100 * shared:.0f} % of the quality range"
    import bjontegaard  # imports matplotlib

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own limit of overlap is another
        found = bjontegaard.bd_rate(
            np.array(curves[0].rates),
            np.array(curves[0].qualities),
            np.array(curves[1].rates),
            np.array(curves[1].qualities),
            method="akima",
            require_matching_points=False,
            min_overlap=0,
        )
    return float(found) / 100 if np.isfinite(found) else "the curves can't be interpolated"


def _rising(curve: Curve) -> Curve:
    """Return the points that are better than every cheaper one: a monotone curve."""
    rates: list[float] = []
    qualities: list[float] = []
    for rate, quality in sorted(zip(curve.rates, curve.qualities, strict=True)):
        if not qualities or (quality > qualities[-1] and rate > rates[-1]):
            rates.append(rate)
            qualities.append(quality)
    return Curve(rates, qualities)
