"""What changed between two runs or two recipes: the tables of `bench compare`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from slashbench.bench.report.analysis.compare import (
    Comparison,
    Pair,
    decode_change,
    encode_change,
    metric_change,
)
from slashbench.bench.report.analysis.fail_on import spelled
from slashbench.bench.report.tables import Table, interval, number, percent

MOST = 40  # changes that are listed

LEGEND = """\
size: geometric mean of the change in bits per parameter, exact · enc, dec: change of speed, \
geometric mean over cells timed on one machine · in brackets the interval of 95 % over (model, \
seed)"""


def tables(found: Comparison) -> list[Table]:
    """Return tables by codec, of the files that changed most, and of what has no counterpart."""
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
                f"how much better, in the unit of the metric; the {MOST} that changed most",
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


def _codec_row(codec: str, pairs: Sequence[Pair]) -> tuple[str, ...]:
    logs = [math.log1p(p.growth) for p in pairs]
    size = math.expm1(math.fsum(logs) / len(logs))
    return (
        codec,
        str(len(pairs)),
        percent(size, 2, sign=True),
        str(sum(p.growth > 0 for p in pairs)),
        str(sum(p.growth < 0 for p in pairs)),
        interval(encode_change(pairs)),
        interval(decode_change(pairs)),
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
        change, row = metric_change(pairs), pairs[0].b
        if change is not None:
            cells = (row.model, row.recipe, row.metric, str(len(pairs)), spelled("metric", change))
            changed.append((abs(change.estimate), cells))
    changed.sort(key=lambda entry: -entry[0])
    return [cells for _, cells in changed[:MOST]]
