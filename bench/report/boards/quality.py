"""What each recipe costs in quality, beside the noise floor of the float model."""

from __future__ import annotations

from slashbench.bench.report.data.results import Results
from slashbench.bench.report.data.seed_means import Line, RecipeBlock
from slashbench.bench.report.sections import Section
from slashbench.bench.report.tables import NOTHING, Table, number, plus_minus

COLUMNS = ("recipe", "loss", "in tolerance", "metric", "accuracy %", "KL", "flips %", "same top %")


def section(results: Results) -> Section:
    """Build one table a model, the least loss first."""
    tables = []
    for model in results.models:
        blocks = [block for block in results.blocks if block.model == model]
        tables.append(_table(model, blocks))
    return Section(
        "quality",
        "Quality",
        "loss: how much worse the metric is than that of the plain float model of the same seed, "
        "with its standard error: over seeds, or paired over the test items of a single seed. "
        "KL, flips, same top: decoded weights against the float weights they were made from. KL: "
        "divergence in nats per answer; flips: answers that are right on one side and wrong on the "
        "other; same top: answers with the same most probable class or token. noise floor: what "
        "the same float weights change in the metric when computed by another number of threads.",
        [table for table in tables if table.rows],
    )


def _table(model: str, blocks: list[RecipeBlock]) -> Table:
    lines = [line for block in blocks if (line := block.smallest or _any(block)) is not None]
    known = [line for line in lines if line.loss is not None]
    rows = [_row(line) for line in sorted(known, key=lambda line: line.loss or 0.0)]
    metric = known[0].first.metric if known else ""
    tolerance = number(known[0].tolerance, 3) if known else NOTHING
    floor = [noise for line in known for r in line.rows if (noise := r.noise) is not None]
    if floor:
        rows.insert(0, ("noise floor", number(max(floor), 6), *[NOTHING] * (len(COLUMNS) - 2)))
    return Table(
        model,
        f"{metric} · tolerance {tolerance}",
        COLUMNS,
        rows,
        frozenset({0} if floor else ()),
    )


def _any(block: RecipeBlock) -> Line | None:
    """Return any line: quality is the same for every codec."""
    return block.lines[0] if block.lines else None


def _row(line: Line) -> tuple[str, ...]:
    verdict = "in doubt" if line.in_doubt else "yes" if line.keeps_quality else "no"
    return (
        line.first.recipe,
        plus_minus(line.loss, line.delta_stderr, sign=True),
        verdict,
        plus_minus(line.mean(lambda r: r.value), line.value_stderr),
        number(line.mean(lambda r: r.accuracy), 2),
        plus_minus(line.mean(lambda r: r.kl), line.first.kl_stderr),
        number(line.mean(lambda r: r.flips), 2),
        number(line.mean(lambda r: r.same_top), 2),
    )
