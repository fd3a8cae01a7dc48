"""What changed between two runs, or between two recipes of one run, cell by matched cell.

The bytes of a file are exact: any difference is one. Metrics and speeds are noisy: the metric of a
recipe is compared over its seeds, the speed of a codec over (model, seed), each with its interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from slashbench.bench.report.data.rows import Row
from slashbench.bench.report.statistics import Interval, around, mean_interval, quantile
from slashbench.errors import UsageError
from slashbench.record import loss_of

What = Literal["bytes", "metric", "encode", "decode"]


@dataclass(frozen=True, slots=True)
class Pair:
    """One cell on both sides, as last measured."""

    a: Row
    b: Row
    clocks: Sequence[tuple[Row, Row]] = ()  # the same on each machine that timed both sides

    @property
    def growth(self) -> float:
        """Share by which the file of `b` is larger."""
        return (self.b.bits_per_parameter or 0.0) / (self.a.bits_per_parameter or math.nan) - 1

    @property
    def gain(self) -> float | None:
        """How much better the metric of `b` is, in its unit."""
        if self.a.value is None or self.b.value is None:
            return None
        return -loss_of(self.b.value, self.a.value, self.a.higher_is_better)

    @property
    def gain_error(self) -> float:
        """Standard error of the gain over test items, those of `a` and `b` taken as independent."""
        return math.hypot(self.a.stderr or 0.0, self.b.stderr or 0.0)

    def faster(self, speed_of: Callable[[Row], float | None]) -> float | None:
        """Return the logarithm of how many times as fast `b` is, on machines that timed both."""
        both = [(speed_of(b), speed_of(a)) for a, b in self.clocks]
        logs = [math.log(mine / other) for mine, other in both if mine and other]
        return math.fsum(logs) / len(logs) if logs else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Matched cells, and what one side lacks or failed at."""

    a: str
    b: str
    pairs: Sequence[Pair]
    only_a: Sequence[Row]
    only_b: Sequence[Row]
    broken: Sequence[Row]  # good in a, failed in b

    def by_codec(self) -> dict[str, list[Pair]]:
        """Return the matched cells of each codec: sizes and speeds."""
        return _grouped(self.pairs, lambda pair: pair.b.codec)

    def by_recipe(self) -> dict[str, list[Pair]]:
        """Return one cell a seed of each model and recipe: codecs share the metric."""
        found = _grouped(self.pairs, lambda pair: f"{pair.b.model} · {pair.b.recipe}")
        return {
            name: list({pair.b.seed: pair for pair in pairs}.values())
            for name, pairs in found.items()
        }


def of_runs(a: str, rows_a: Iterable[Row], b: str, rows_b: Iterable[Row]) -> Comparison:
    """Match the same model, recipe, codec and seed of two results folders."""
    return _match(a, rows_a, b, rows_b, lambda r: (r.model, r.recipe, r.codec, r.seed))


def of_recipes(a: str, b: str, rows: Sequence[Row]) -> Comparison:
    """Match two recipes of one results folder; without quantisers: under each that both have.

    Raises UsageError when one of them has no cell.
    """
    sides = []
    for recipe in (a, b):
        mine = [row for row in rows if _under(recipe, row) is not None]
        if not mine:
            there = sorted({row.recipe for row in rows})
            raise UsageError(
                f"{recipe!r} is neither a folder of results nor a recipe of these: "
                + (", ".join(there) or "there are no records")
            )
        sides.append((recipe, mine))
    (_, mine), (_, theirs) = sides

    def key(recipe: str) -> Callable[[Row], Hashable]:
        return lambda r: (r.model, _under(recipe, r), r.codec, r.seed)

    return _match(a, mine, b, theirs, key(a), key(b))


def metric_change(pairs: Sequence[Pair]) -> Interval | None:
    """Return the change of one recipe's metric: over seeds, or over test items for a single one."""
    gains = [pair.gain for pair in pairs if pair.gain is not None]
    if len(gains) == 1:
        return around(gains[0], quantile() * pairs[0].gain_error)
    return mean_interval(gains) if gains else None


def encode_change(pairs: Sequence[Pair]) -> Interval | None:
    """Return the change of one codec's encoding speed, as a share, over (model, seed)."""
    return _ratio(_over_clusters(pairs, lambda p: p.faster(lambda r: r.encode_mb_s)))


def decode_change(pairs: Sequence[Pair]) -> Interval | None:
    """Return the change of one codec's decoding speed, as a share, over (model, seed)."""
    return _ratio(_over_clusters(pairs, lambda p: p.faster(lambda r: r.decode_mb_s)))


def _match(
    a: str,
    rows_a: Iterable[Row],
    b: str,
    rows_b: Iterable[Row],
    key: Callable[[Row], Hashable],
    key_b: Callable[[Row], Hashable] | None = None,
) -> Comparison:
    ours, clocks_a = _last(rows_a, key)
    theirs, clocks_b = _last(rows_b, key_b or key)
    both = [(ours[k], theirs[k]) for k in ours if k in theirs]
    return Comparison(
        a,
        b,
        [
            Pair(
                ours[k],
                theirs[k],
                [
                    (clocks_a[k][machine], clocks_b[k][machine])
                    for machine in clocks_a[k]
                    if machine in clocks_b[k]
                ],
            )
            for k in ours
            if k in theirs and ours[k].status == theirs[k].status == "ok"
        ],
        [row for k, row in ours.items() if k not in theirs],
        [row for k, row in theirs.items() if k not in ours],
        [y for x, y in both if x.status == "ok" and y.status == "failed"],
    )


def _grouped(pairs: Iterable[Pair], name: Callable[[Pair], str]) -> dict[str, list[Pair]]:
    found: dict[str, list[Pair]] = {}
    for pair in pairs:
        found.setdefault(name(pair), []).append(pair)
    return found


def _last(
    rows: Iterable[Row], key: Callable[[Row], Hashable]
) -> tuple[dict[Hashable, Row], dict[Hashable, dict[str, Row]]]:
    """Return the row measured last of each cell, and of each cell and machine that timed it."""
    last: dict[Hashable, Row] = {}
    clocks: dict[Hashable, dict[str, Row]] = {}
    for row in sorted(rows, key=lambda row: row.measured_at):
        if not row.bound:
            last[key(row)] = row
            on = clocks.setdefault(key(row), {})
            if row.machine:
                on[row.machine] = row
    return last, clocks


def _under(recipe: str, row: Row) -> str | None:
    """Return the quantiser under which a row has that chain or whole recipe; else None."""
    if row.recipe == recipe:
        return ""
    return row.quantiser if row.chain == recipe else None


def _over_clusters(pairs: Sequence[Pair], of: Callable[[Pair], float | None]) -> Interval | None:
    """Return the mean over (model, seed) of the mean within each."""
    clusters: dict[tuple[str, int], list[float]] = {}
    for pair in pairs:
        value = of(pair)
        if value is not None:
            clusters.setdefault((pair.b.model, pair.b.seed), []).append(value)
    if not clusters:
        return None
    return mean_interval([math.fsum(values) / len(values) for values in clusters.values()])


def _ratio(logs: Interval | None) -> Interval | None:
    if logs is None:
        return None

    def share(log: float | None) -> float | None:
        return None if log is None else math.expm1(min(log, 700.0))

    return Interval(math.expm1(logs.estimate), share(logs.low), share(logs.high))
