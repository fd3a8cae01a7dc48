"""Codecs over the whole matrix, in two statements that are kept apart.

*Here*: on the cells that all ranked codecs ran, sizes are exact: geometric mean, smallest and
largest ratio, and in how many cells a codec was the smallest. Ranks come from this alone.
*Elsewhere*: the interval in which the ratio would lie on one more model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from slashbench.arrays import Float64s
from slashbench.bench.report.data.rows import Row
from slashbench.bench.report.statistics import (
    ROUNDING,
    Interval,
    new_value_interval,
)
from slashbench.bench.report.ties import CLOCK, Rank, exact_places, places

ENOUGH = 0.2  # of the board's cells: what ranked codecs have in common, at least

Case = tuple[str, str, int]  # model, recipe, seed
Score = Callable[[Row], float | None]
Rounds = Callable[[Row], Sequence[int]]


@dataclass(frozen=True, slots=True)
class Standing:
    """One codec among others that ran the same cells."""

    codec: str
    place: Rank
    mean: float  # geometric mean of the score: over the cells of a model, then over models
    ratio: float  # to the first on the board: the quotient of their means
    least: float  # the same in the cell where it is smallest
    most: float  # and where it is largest
    wins: int  # cells in which no ranked codec was better
    elsewhere: Interval | None  # of the ratio on one more model; None for the first
    per_model: dict[str, float]  # geometric mean of the score
    cases: int  # how many of the board's cells it ran


@dataclass(frozen=True, slots=True)
class Board:
    """Codecs in order, and what the order is of."""

    standings: Sequence[Standing]
    unranked: dict[str, int]  # codecs that ran too few cells, and how many
    cases: int  # cells that some codec ran
    common: int  # cells that all ranked codecs ran, which alone count
    models: int  # that these are of


@dataclass(frozen=True, slots=True)
class Duel:
    """Two codecs on every cell that both ran: exact."""

    cells: int
    wins: int  # cells in which the first is better
    losses: int
    ratio: float  # geometric mean of first over second: over cells, then over models

    @property
    def one_sided(self) -> bool:
        """Whether the first is better in every cell."""
        return 0 < self.cells == self.wins


def standings(rows: Iterable[Row], score: Score) -> Board | None:
    """Rank codecs by an exact score, lower is better, such as bits per parameter.

    Missing cells are not imputed: only cells that all ranked codecs ran count. Codecs that would
    leave less than a fifth of the cells, or none of some model, are not ranked. None without cells.
    """
    scores = _scores(rows, score)
    if not scores:
        return None
    ranked, common = _common(scores)
    return _board(scores, ranked, common, lambda _, means: exact_places(means))


def decoding(rows: Iterable[Row]) -> Board | None:
    """Rank codecs by the time that decoding takes, on one machine."""
    return _timings(
        rows, lambda r: r.decode_ns, lambda r: r.decode_mparams_s and 1 / r.decode_mparams_s
    )


def encoding(rows: Iterable[Row]) -> Board | None:
    """Rank codecs by the time that encoding takes, on one machine."""
    return _timings(
        rows, lambda r: r.encode_ns, lambda r: r.encode_mparams_s and 1 / r.encode_mparams_s
    )


def duel(rows: Iterable[Row], first: str, second: str, score: Score) -> Duel | None:
    """Compare two codecs on the cells that both ran; None where there is none."""
    scores = _scores(rows, score)
    ours, theirs = scores.get(first, {}), scores.get(second, {})
    ratios = {case: ours[case] / theirs[case] for case in ours if case in theirs}
    if not ratios:
        return None
    logs: dict[str, list[float]] = {}
    for (model, _, _), ratio in ratios.items():
        logs.setdefault(model, []).append(math.log(ratio))
    means = [math.fsum(of) / len(of) for of in logs.values()]
    return Duel(
        len(ratios),
        sum(ratio < 1 - ROUNDING for ratio in ratios.values()),
        sum(ratio > 1 + ROUNDING for ratio in ratios.values()),
        math.exp(math.fsum(means) / len(means)),
    )


def _timings(rows: Iterable[Row], rounds: Rounds, score: Score) -> Board | None:
    """Rank codecs by a time on one machine, in paired rounds.

    Parameters
    ----------
    rounds
        A cell's raw times.
    score
        The time of a cell that the board shows.
    """
    rows = list(rows)
    scores = _scores(rows, score)
    if not scores:
        return None
    ranked, common = _common(scores)
    # of the cells that have a score: one that was measured again may have failed, or lack a time
    raw = {(row.codec, _case(row)): rounds(row) for row in rows if _score(row, score)}

    def order(codecs: Sequence[str], _: Sequence[float]) -> list[Rank]:
        paired = []
        for case in common:
            sides = [raw.get((codec, case)) or (1,) for codec in codecs]
            n = min(map(len, sides))
            paired.append(np.log(np.maximum([side[:n] for side in sides], 1)).T)
        return places(paired, math.log1p(CLOCK))

    return _board(scores, ranked, common, order)


def _scores(rows: Iterable[Row], score: Score) -> dict[str, dict[Case, float]]:
    """Return codec -> cell -> score, of the good cells that are files."""
    found: dict[str, dict[Case, float]] = {}
    for row in rows:
        if value := _score(row, score):
            found.setdefault(row.codec, {})[_case(row)] = value
    return found


def _score(row: Row, score: Score) -> float | None:
    return None if row.status != "ok" or row.bound else score(row)


def _case(row: Row) -> Case:
    return row.model, row.recipe, row.seed


def _common(scores: Mapping[str, Mapping[Case, float]]) -> tuple[list[str], list[Case]]:
    """Return the codecs that share enough cells, and those cells.

    The codec with the fewest cells goes first, until the others share enough.
    """
    every = {case for of in scores.values() for case in of}
    models = {model for model, _, _ in every}
    ranked = sorted(scores, key=lambda codec: (-len(scores[codec]), codec))
    while True:
        common = set.intersection(*(set(scores[codec]) for codec in ranked))
        enough = len(common) >= ENOUGH * len(every) and {model for model, _, _ in common} == models
        if enough or len(ranked) == 1:
            return sorted(ranked), sorted(common)
        ranked.pop()


def _board(
    scores: Mapping[str, Mapping[Case, float]],
    ranked: Sequence[str],
    common: Sequence[Case],
    order: Callable[[Sequence[str], Sequence[float]], list[Rank]],
) -> Board:
    logs = np.log([[scores[codec][case] for codec in ranked] for case in common])
    models = sorted({model for model, _, _ in common})
    of_model = np.array([models.index(model) for model, _, _ in common])
    per_model = np.stack([logs[of_model == i].mean(axis=0) for i in range(len(models))])
    means = per_model.mean(axis=0)
    by_place = np.argsort(means, kind="stable")
    first = by_place[0]
    best = logs.min(axis=1)
    found = order(ranked, np.exp(means).tolist())
    made = [
        Standing(
            codec=ranked[i],
            place=found[i],
            mean=math.exp(float(means[i])),
            ratio=_power(float(means[i] - means[first])),
            least=_power(float((logs[:, i] - logs[:, first]).min())),
            most=_power(float((logs[:, i] - logs[:, first]).max())),
            wins=int((logs[:, i] <= best + ROUNDING).sum()),
            elsewhere=None if i == first else _elsewhere(per_model[:, i] - per_model[:, first]),
            per_model={m: math.exp(float(per_model[k, i])) for k, m in enumerate(models)},
            cases=len(scores[ranked[i]]),
        )
        for i in map(int, by_place)
    ]
    return Board(
        standings=made,
        unranked={c: len(of) for c, of in sorted(scores.items()) if c not in ranked},
        cases=len({case for of in scores.values() for case in of}),
        common=len(common),
        models=len(models),
    )


def _elsewhere(logs: Float64s) -> Interval:
    """Return the ratio on one more model; each model here has one voice."""
    found = new_value_interval(logs.tolist())
    low, high = (None if end is None else _power(end) for end in (found.low, found.high))
    return Interval(_power(found.estimate), low, high)


def _power(log: float) -> float:
    return math.exp(min(log, 700.0))
