"""Codecs over the whole matrix: what all of them ran, ranked as far as the data can tell."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from slashbench.bench.report.data.rows import Row
from slashbench.bench.report.statistics import Interval, Place, mean_interval, rank

ENOUGH = 0.5  # of the board's cases, to be ranked

Case = tuple[str, str, int]  # model, recipe, seed
Score = Callable[[Row], float | None]


@dataclass(frozen=True, slots=True)
class Standing:
    """One codec among others that ran the same cases."""

    codec: str
    place: Place
    mean: float  # geometric mean of the score over clusters
    ratio: Interval  # to the first on the board
    per_model: dict[str, float]  # geometric mean of the score
    cases: int  # how many of the board's it ran, of which the common ones count


@dataclass(frozen=True, slots=True)
class Board:
    """Codecs in order, and how much the order is worth."""

    standings: Sequence[Standing]
    unranked: dict[str, int]  # codecs that ran too few cases, and how many
    cases: int  # that some codec ran
    common: int  # that all ranked ones ran, which count
    clusters: int  # (model, seed)
    resolvable: float | None  # ratio minus 1 that two codecs must differ by to be told apart


def standings(rows: Iterable[Row], score: Score, noise: float = 0.0) -> Board | None:
    """Rank codecs by a score, lower is better, such as bits per parameter. None without cells.

    Every (model, seed) weighs the same. Missing cells are not imputed: only cases that all ranked
    codecs have count, and codecs that would leave less than half of the cases are not ranked.
    noise: share by which two scores of one cluster differ for no reason; 0 for what is exact.
    """
    scores: dict[str, dict[Case, float]] = {}
    for row in rows:
        value = None if row.status != "ok" or row.bound else score(row)
        if value:
            scores.setdefault(row.codec, {})[row.model, row.recipe, row.seed] = value
    every = {case for of in scores.values() for case in of}
    if not every:
        return None
    ranked, common = _common(scores, ENOUGH * len(every))
    clusters = sorted({(model, seed) for model, _, seed in common})
    logs = np.log([[scores[codec][case] for codec in ranked] for case in common])
    of_cluster = np.array([clusters.index((model, seed)) for model, _, seed in common])
    means = np.stack([logs[of_cluster == i].mean(axis=0) for i in range(len(clusters))])
    ranking = rank(means) if len(clusters) > 1 else None
    order = np.argsort(means.mean(axis=0), kind="stable")
    best = means[:, order[0]]
    models = sorted({model for model, _ in clusters})
    of_model = np.array([models.index(model) for model, _, _ in common])
    made = [
        Standing(
            codec=ranked[i],
            place=ranking.places[i] if ranking else _apart(means[0], int(i), noise),
            mean=math.exp(float(means[:, i].mean())),
            ratio=_exponential(mean_interval(means[:, i] - best)),
            per_model={
                model: math.exp(float(logs[of_model == m, i].mean()))
                for m, model in enumerate(models)
            },
            cases=len(scores[ranked[i]]),
        )
        for i in order
    ]
    resolvable = ranking.resolvable if ranking else None
    return Board(
        standings=made,
        unranked={c: len(of) for c, of in sorted(scores.items()) if c not in ranked},
        cases=len(every),
        common=len(common),
        clusters=len(clusters),
        resolvable=None if resolvable is None else math.expm1(min(resolvable, 700.0)),
    )


def _common(scores: dict[str, dict[Case, float]], least: float) -> tuple[list[str], list[Case]]:
    """The codecs that share at least so many cases, and those cases.

    The codec with the fewest cases goes first, until the others share enough.
    """
    ranked = sorted(scores, key=lambda codec: (-len(scores[codec]), codec))
    while True:
        common = set.intersection(*(set(scores[codec]) for codec in ranked))
        if len(common) >= least or len(ranked) == 1:
            return sorted(ranked), sorted(common)
        ranked.pop()


def _apart(logs: np.typing.NDArray[np.float64], i: int, noise: float) -> Place:
    """Among numbers of one cluster, which speak of nothing but themselves."""
    margin = math.log1p(noise)
    better = int((logs < logs[i] - margin).sum())
    return Place(1 + better, int((logs <= logs[i] + margin).sum()))


def _exponential(logs: Interval) -> Interval:
    def of(value: float | None) -> float | None:
        return None if value is None else math.exp(min(value, 700.0))

    return Interval(math.exp(logs.estimate), of(logs.low), of(logs.high))
