"""The Pareto front of each model over size, metric and time to decode."""

from __future__ import annotations

from slashbench.bench.report.analysis.pareto import Point, front, points
from slashbench.bench.report.boards.deployment import shown_machine
from slashbench.bench.report.data.results import Results
from slashbench.bench.report.sections import Section
from slashbench.bench.report.tables import Table, number, plus_minus


def section(results: Results) -> Section:
    """Build one table a model, the smallest file first."""
    tables = []
    for model in results.models:
        candidates = points(results.lines(model))
        kept = sorted(front(candidates), key=lambda point: point.costs)
        tables.append(
            Table(
                model,
                f"{len(kept)} of {len(candidates)} recipes and codecs",
                ("recipe", "codec", "bits/param", "metric", "loss", "dec M/s"),
                [_row(point) for point in kept],
            )
        )
    return Section(
        "pareto",
        "Pareto fronts",
        "Recipes and codecs that no other one beats. To beat means to be as good in bits, metric "
        "and time to decode, and better in one of them by more than noise (95 %; 5 % for the "
        "clock). If noise can't tell two apart, both stay. dec: million parameters a second, one "
        "thread." + shown_machine(results),
        [table for table in tables if table.rows],
    )


def _row(point: Point) -> tuple[str, ...]:
    line = point.line
    return (
        line.first.recipe,
        line.first.codec,
        plus_minus(line.bits, line.bits_stderr),
        plus_minus(line.mean(lambda r: r.value), line.value_stderr),
        number(line.loss, 4, sign=True),
        number(line.clock(lambda r: r.decode_mparams_s), 1),
    )
