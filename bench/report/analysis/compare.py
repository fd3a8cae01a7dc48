"""What changed between two runs, or between two recipes of one run, cell by matched cell.

The bytes of a file are exact: any difference is one. Metrics and speeds are noisy: the metric of a
recipe is compared over its seeds, the speed of a codec over (model, seed), and a change counts when
the range about it leaves no doubt.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from slashbench.bench.report.data.rows import Row
from slashbench.bench.report.statistics import Interval, mean_interval
from slashbench.bench.report.tables import NOTHING, Table, interval, number, percent
from slashbench.errors import UsageError

What = Literal["bytes", "metric", "encode", "decode"]

MOST = 40  # changes that are listed
NORMAL = 1.96  # standard errors to either side that make 95 %


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
        """How much better the metric of `b` is: points, or a share where lower is better."""
        if self.a.value is None or self.b.value is None:
            return None
        if self.a.higher_is_better:
            return self.b.value - self.a.value
        return 1 - self.b.value / self.a.value if self.a.value > 0 else None

    @property
    def gain_error(self) -> float:
        """Standard error of the gain over test items, those of `a` and `b` taken as independent."""
        error = math.hypot(self.a.stderr or 0.0, self.b.stderr or 0.0)
        return error / (1.0 if self.a.higher_is_better else self.a.value or 1.0)

    def faster(self, speed_of: Callable[[Row], float | None]) -> float | None:
        """Logarithm of how many times as fast `b` is, on the machines that timed both sides."""
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
        """The matched cells of each codec: sizes and speeds."""
        return _grouped(self.pairs, lambda pair: pair.b.codec)

    def by_recipe(self) -> dict[str, list[Pair]]:
        """One cell a seed of each model and recipe: codecs share the metric."""
        found = _grouped(self.pairs, lambda pair: f"{pair.b.model} · {pair.b.recipe}")
        return {
            name: list({pair.b.seed: pair for pair in pairs}.values())
            for name, pairs in found.items()
        }


def of_runs(a: str, rows_a: Iterable[Row], b: str, rows_b: Iterable[Row]) -> Comparison:
    """The same model, recipe, codec and seed in two results folders."""
    return _match(a, rows_a, b, rows_b, lambda r: (r.model, r.recipe, r.codec, r.seed))


def of_recipes(a: str, b: str, rows: Sequence[Row]) -> Comparison:
    """Two recipes of one results folder; without their quantisers: under each that both have.

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


def tables(found: Comparison) -> list[Table]:
    """By codec, then the cells whose files changed most, then what has no counterpart."""
    return [
        table
        for table in (
            Table(
                f"{found.a} -> {found.b}",
                f"{len(found.pairs)} matched cells · only in the first: {len(found.only_a)} · only "
                f"in the second: {len(found.only_b)}",
                ("codec", "cells", "size", "grown", "shrunk", "enc", "dec"),
                [_codec_row(codec, pairs) for codec, pairs in found.by_codec().items()],
            ),
            Table(
                "Metrics",
                f"how much better: points, or a share where lower is better; the {MOST} that "
                "changed most",
                ("model", "recipe", "metric", "seeds", "better by"),
                _metrics(found),
            ),
            Table(
                "Changed files",
                f"the {MOST} that changed most",
                ("model", "recipe", "codec", "seed", "bits", "to", "change", "metric"),
                _changed(found.pairs),
            ),
            Table(
                "Failed in the second",
                "",
                ("model", "recipe", "codec", "seed", "reason"),
                [(r.model, r.recipe, r.codec, str(r.seed), r.reason) for r in found.broken],
            ),
        )
        if table.rows
    ]


LEGEND = """\
size: geometric mean of the change in bits per parameter, exact · enc, dec: change of speed, \
geometric mean over cells timed on one machine · in brackets the range of 95 % over (model, seed)"""


# -- conditions -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Condition:
    """`bytes>0`, `decode<-10%`, `metric<-0.5`: what must not be."""

    text: str
    what: What
    above: bool
    limit: float  # a share; points for a metric

    def violations(self, found: Comparison) -> list[str]:
        """Each cell (bytes), or codec (speed) or recipe (metric) beyond doubt, that meets it."""
        if self.what == "bytes":
            return [
                f"{self.text}: {p.b.model} · {p.b.recipe} · {p.b.codec} · seed {p.b.seed}: "
                f"{percent(p.growth, 3, sign=True)}"
                for p in found.pairs
                if self._met(p.growth)
            ]
        said = []
        groups = found.by_recipe() if self.what == "metric" else found.by_codec()
        for name, pairs in groups.items():
            change = {"metric": _gain, "encode": _encode, "decode": _decode}[self.what](pairs)
            end = None if change is None else (change.low if self.above else change.high)
            if end is not None and self._met(end):
                said.append(f"{self.text}: {name}: {_spelled(self.what, change)}")
        return said

    def _met(self, value: float) -> bool:
        return value > self.limit if self.above else value < self.limit


_CONDITION = re.compile(r"(bytes|metric|encode|decode)([<>])([-+]?\d+(?:\.\d+)?)(%?)")


def conditions(text: str) -> list[Condition]:
    """`bytes>0,decode<-10%`. Raises UsageError.

    >>> [condition.limit for condition in conditions("bytes>0,decode<-10%,metric<-0.5")]
    [0.0, -0.1, -0.5]
    """
    made = []
    for item in filter(None, text.replace(" ", "").split(",")):
        found = _CONDITION.fullmatch(item)
        if found is None:
            raise UsageError(
                f"--fail-on {item!r}: write WHAT<NUMBER or WHAT>NUMBER with WHAT of bytes, metric, "
                "encode, decode, such as bytes>0,decode<-10%,metric<-0.5"
            )
        what, sign, number_text, share = found.groups()
        limit = float(number_text) / (100 if share else 1)
        if what in ("encode", "decode") and not share and limit:
            raise UsageError(f"--fail-on {item!r}: a change of speed is a share, such as -10%")
        made.append(Condition(item, what, sign == ">", limit))  # type: ignore[arg-type]
    return made


def violations(found: Comparison, asked: Iterable[Condition]) -> list[str]:
    """What meets a condition, and cells that fail now or are gone."""
    broken = [f"failed: {r.model} · {r.recipe} · {r.codec}: {r.reason}" for r in found.broken]
    broken += [
        f"missing: {r.model} · {r.recipe} · {r.codec} · seed {r.seed}"
        for r in found.only_a
        if r.status == "ok"
    ]
    return broken + [text for condition in asked for text in condition.violations(found)]


# -- parts ------------------------------------------------------------------------------------


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
    """The row measured last of each cell, and of each cell and machine that timed it."""
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
    """The quantiser under which a row has that chain of links, or that whole recipe; else None."""
    if row.recipe == recipe:
        return ""
    return row.quantiser if row.chain == recipe else None


def _codec_row(codec: str, pairs: Sequence[Pair]) -> tuple[str, ...]:
    logs = [math.log1p(p.growth) for p in pairs]
    size = math.expm1(math.fsum(logs) / len(logs))
    return (
        codec,
        str(len(pairs)),
        percent(size, 2, sign=True),
        str(sum(p.growth > 0 for p in pairs)),
        str(sum(p.growth < 0 for p in pairs)),
        interval(_encode(pairs)),
        interval(_decode(pairs)),
    )


def _changed(pairs: Sequence[Pair]) -> list[tuple[str, ...]]:
    changed = sorted((p for p in pairs if p.growth), key=lambda p: -abs(p.growth))
    return [
        (
            p.b.model,
            p.b.recipe,
            p.b.codec,
            str(p.b.seed),
            number(p.a.bits_per_parameter, 4),
            number(p.b.bits_per_parameter, 4),
            percent(p.growth, 2, sign=True),
            number(p.gain, 3, sign=True),
        )
        for p in changed[:MOST]
    ]


def _metrics(found: Comparison) -> list[tuple[str, ...]]:
    changed = []
    for pairs in found.by_recipe().values():
        change, row = _gain(pairs), pairs[0].b
        if change is not None:
            cells = (row.model, row.recipe, row.metric, str(len(pairs)), _spelled("metric", change))
            changed.append((abs(change.estimate), cells))
    changed.sort(key=lambda entry: -entry[0])
    return [cells for _, cells in changed[:MOST]]


def _gain(pairs: Sequence[Pair]) -> Interval | None:
    """The change of one recipe's metric: over seeds, or over test items for a single one."""
    gains = [pair.gain for pair in pairs if pair.gain is not None]
    if len(gains) == 1:
        reach = NORMAL * pairs[0].gain_error
        return Interval(gains[0], gains[0] - reach, gains[0] + reach)
    return mean_interval(gains) if gains else None


def _encode(pairs: Sequence[Pair]) -> Interval | None:
    return _ratio(_over_clusters(pairs, lambda p: p.faster(lambda r: r.encode_mb_s)))


def _decode(pairs: Sequence[Pair]) -> Interval | None:
    return _ratio(_over_clusters(pairs, lambda p: p.faster(lambda r: r.decode_mb_s)))


def _over_clusters(pairs: Sequence[Pair], of: Callable[[Pair], float | None]) -> Interval | None:
    """The mean over (model, seed) of the mean within each."""
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


def _spelled(what: What, change: Interval | None) -> str:
    if change is None:
        return NOTHING
    if what != "metric":
        return interval(change)
    text = number(change.estimate, 3, sign=True)
    if change.low is None or change.high is None:
        return text
    return f"{text} [{change.low:+.3f}, {change.high:+.3f}]"
