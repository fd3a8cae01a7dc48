"""Updates, given the base: bits against the loss, bytes at other sizes, seconds to apply."""

from __future__ import annotations

from slashbench.bench.report.analysis import updates
from slashbench.bench.report.analysis.short_names import names_by_model
from slashbench.bench.report.analysis.updates import Best
from slashbench.bench.report.data.results import Results
from slashbench.bench.report.data.seed_means import Line
from slashbench.bench.report.sections import Section
from slashbench.bench.report.tables import (
    NOTHING,
    Table,
    interval,
    number,
    percent,
    plus_minus,
)

ABOUT = (
    "The decoder has the public base, and the file names it by hash: these files never stand on a "
    "board beside files that hold everything. Bits are those of the whole file over all parameters "
    "of the model."
)


def section(results: Results) -> Section:
    """Build the board."""
    found = {model: updates.best(results, model) for model in updates.models(results)}
    tables = [_ways(found), _every(results), _sizes(found)]
    return Section(
        "updates", "Updates, given the base", ABOUT, [table for table in tables if table.rows]
    )


def short_table(results: Results, most: int) -> Table:
    """Return the smallest update of each way on each model, for the first screen."""
    rows: list[tuple[str, ...]] = []
    for model in updates.models(results)[:most]:
        for i, best in enumerate(updates.best(results, model)):
            rows.append(("" if i else model, *_way(best)))
    return Table(
        "Updates, given the base: smallest of each way at equal quality",
        "a track of its own · bits a parameter, whole file · loss to plain float",
        ("model", "way", "bits", "bytes", "loss", "training to be small saves [95 %]"),
        rows,
    )


def _way(best: Best) -> tuple[str, ...]:
    line = best.line
    if isinstance(line, str):
        return best.way, NOTHING, NOTHING, NOTHING, line
    doubt = " ?" if line.in_doubt else ""
    return (
        best.way,
        number(line.bits, 4),
        _bytes(line.mean(lambda row: row.file_bytes)),
        number(line.loss, 3, sign=True) + doubt,
        interval(best.saving),
    )


def _ways(found: dict[str, list[Best]]) -> Table:
    rows: list[tuple[str, ...]] = []
    for model, bests in found.items():
        for best in bests:
            if isinstance(best.line, str):
                rows.append((model, best.way, best.line, *[NOTHING] * 9))
                continue
            line = best.line
            steps = line.first.train_steps
            rows.append(
                (
                    model,
                    best.way,
                    line.first.recipe,
                    line.first.codec,
                    plus_minus_small(line),
                    _bytes(line.mean(lambda row: row.file_bytes)),
                    plus_minus(line.loss, line.delta_stderr, True)
                    + (" ?" if line.in_doubt else ""),
                    number(line.tolerance, 3),
                    NOTHING if steps is None else str(steps),
                    str(len(line.rows)),
                    str(best.candidates),
                    interval(best.saving),
                )
            )
    return Table(
        "Smallest update of each way within the tolerance",
        "saves: bits that the update trained to be small saves, with Student's interval of 95 % "
        "over seeds. Each way chooses among its candidates on the test data shown here",
        ("model", "way", "recipe", "codec", "bits/param", "bytes", "loss", "tolerance", "steps",
         "seeds", "candidates", "saves"),
        rows,
    )  # fmt: skip


def plus_minus_small(line: Line) -> str:
    """Return bits per parameter with the digits that an update needs."""
    text = number(line.bits, 5)
    return text if not line.bits_stderr else f"{text} ± {line.bits_stderr:.5f}"


def _every(results: Results) -> Table:
    names = names_by_model(results.updates)
    rows: list[tuple[str, ...]] = []
    for block in results.update_blocks:
        for line in block.lines:
            if line.first.bound:
                continue
            apply = line.clock(lambda row: row.apply_s)
            rows.append(
                (
                    block.model,
                    updates.way_of(line),
                    names[block.model, block.recipe],
                    line.first.codec,
                    number(line.bits, 5),
                    _bytes(line.mean(lambda row: row.file_bytes)),
                    plus_minus(line.loss, line.delta_stderr, True),
                    percent(line.mean(lambda row: row.zeros), 2),
                    number(apply, 2),
                )
            )
    return Table(
        "Bits of an update against the loss",
        "loss: paired with the plain float model of the same seed. zeros: of the coded values. "
        "apply s: open the file, check the hash of the base, decode, add; all cores",
        ("model", "way", "recipe", "codec", "bits/param", "bytes", "loss", "zeros", "apply s"),
        rows,
    )


def _sizes(found: dict[str, list[Best]]) -> Table:
    rows: list[tuple[str, ...]] = []
    for model, bests in found.items():
        for best in bests:
            if isinstance(best.line, Line):
                sizes = updates.extrapolated(best.line)
                rows.append((model, best.way, *[_bytes(size) for size in sizes.values()]))
    return Table(
        "Bytes of an update of a model of another size, extrapolated",
        "bytes = bits per parameter / native bits of a parameter x bytes of the model: as if every "
        "part of the file, its headers too, grew with the model; larger models were not run",
        ("as", "way", *updates.MODELS),
        rows,
    )


def _bytes(count: float | None) -> str:
    if count is None:
        return NOTHING
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} B"
