"""The Pareto front over size, metric and time to decode, within the noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from slashbench.bench.report.data.seed_means import Line
from slashbench.bench.report.ties import CLOCK


@dataclass(frozen=True, slots=True)
class Point:
    """A line by its costs, each with the reach of its interval."""

    line: Line
    costs: tuple[float, float, float]  # bits per parameter, loss, seconds per parameter decoded
    reaches: tuple[float, float, float]


def points(lines: Sequence[Line]) -> list[Point]:
    """Return lines whose size, loss and time to decode are all known."""
    found = []
    for line in lines:
        loss, speed = line.loss, line.clock(lambda row: row.decode_mparams_s)
        if loss is None or not speed:
            continue
        seconds = 1 / speed
        reaches = (
            line.quantile * (line.bits_stderr or 0.0),
            line.loss_reach,
            CLOCK * seconds,
        )
        found.append(Point(line, (line.bits, loss, seconds), reaches))
    return found


def front(candidates: Sequence[Point]) -> list[Point]:
    """Return the points that no other one beats: as good in all three, and surely better in one.

    Surely: by more than noise explains, the two taken as independent though they share seeds and
    test items, which keeps rather too many than too few.
    """
    if not candidates:
        return []
    costs = np.array([point.costs for point in candidates])
    squares = np.square([point.reaches for point in candidates])
    kept = []
    for i, point in enumerate(candidates):
        ahead = costs[i] - costs  # how far each other one is better
        surely = ahead > np.sqrt(squares + squares[i])
        beaten = (ahead >= 0).all(axis=1) & surely.any(axis=1)
        if not beaten.any():
            kept.append(point)
    return kept


def staircase(lines: Sequence[Line]) -> list[Line]:
    """Return lines with less loss than every line of fewer bits, smallest first."""
    kept: list[Line] = []
    for line in sorted(lines, key=lambda line: (line.bits, line.loss or 0.0)):
        if not kept or (line.loss or 0.0) < (kept[-1].loss or 0.0):
            kept.append(line)
    return kept
