"""Training-time against post-training compression: the main comparison."""

from __future__ import annotations

from collections.abc import Iterable

from slashbench.bench.report.analysis import equal_accuracy
from slashbench.bench.report.analysis.equal_accuracy import HALF_A_POINT, Allowance, Contest
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

COLUMNS = ("model", "side", "recipe", "codec", "bits/param", "metric", "Δ", "loss", "train s",
           "steps", "of", "saves")  # fmt: skip


def section(results: Results) -> Section:
    """At equal accuracy, then held to equal steps, equal compute and an equal quantiser step."""
    fields = [(model, results.lines(model)) for model in results.models]

    def best(allowance: Allowance | None) -> list[Contest]:
        return [equal_accuracy.best(model, lines, allowance) for model, lines in fields]

    tables = [
        _table("At most half a point lost", "0.5 % where lower is better", best(HALF_A_POINT)),
        _table("Within each model's tolerance", "as its entry states it", best(None)),
    ]
    if any(equal_accuracy.split(lines)[0] for _, lines in fields):
        tables += [
            _table(
                "At equal training steps",
                "within the tolerance; after-training recipes of as many steps only",
                (equal_accuracy.best_at_equal_steps(m, lines, None) for m, lines in fields),
            ),
            _table(
                "At equal compute",
                "within the tolerance; after-training recipes whose training took as much CPU "
                "time, as `plain:longer` does",
                (equal_accuracy.best_at_equal_compute(m, lines, None) for m, lines in fields),
            ),
            _table(
                "At equal quantiser step",
                "each side with its best codec, whatever the loss",
                (c for m, lines in fields for c in equal_accuracy.best_at_equal_step(m, lines)),
                overall=False,
            ),
        ]
    return Section(
        "equal-accuracy",
        "Training-time against post-training compression",
        "The smallest file of each side whose loss against the plain float model is allowed; a ? "
        "where the range of the loss goes beyond. Each side chooses its step and codec from the "
        "test data that is shown, which flatters both, and more the one with more to choose from: "
        "of says from how many. saves: bits that training-time compression saves, with its range "
        "of 95 % over seeds; over all models, each with one voice.",
        [table for table in tables if table.rows],
    )


def _table(
    title: str, about: str, contests: Iterable[Contest | None], overall: bool = True
) -> Table:
    held = [contest for contest in contests if contest]
    rows = [row for contest in held for row in _rows(contest)]
    mean = equal_accuracy.overall_saving(held) if overall else None
    if mean is not None:
        n, saves = mean
        what = f"geometric mean over {n} of {len(held)} models"
        rows.append(("all", "training-time", what, *[NOTHING] * 8, interval(saves)))
    return Table(title, about, COLUMNS, rows)


def _rows(contest: Contest) -> list[tuple[str, ...]]:
    sides = (
        ("post-training", contest.post_training, contest.tried[1]),
        ("training-time", contest.training_time, contest.tried[0]),
    )
    rows = []
    for side, line, tried in sides:
        if isinstance(line, str):
            rows.append((contest.model, side, line, *[NOTHING] * 9))
        else:
            saves = interval(contest.saving) if side == "training-time" else NOTHING
            of = str(tried) if tried else NOTHING
            rows.append((contest.model, side, *_line(line, contest.allowance), of, saves))
    return rows


def _line(line: Line, allowance: Allowance | None) -> tuple[str, ...]:
    loss, steps = line.loss, line.first.train_steps
    limit = equal_accuracy.limit(line, allowance)
    doubt = " ?" if loss is not None and loss <= limit < loss + line.loss_reach else ""
    return (
        line.first.recipe,
        line.first.codec,
        plus_minus(line.bits, line.bits_stderr),
        plus_minus(line.mean(lambda r: r.value), line.value_stderr),
        plus_minus(line.mean(lambda r: r.delta), line.delta_stderr, True),
        (number(loss, 2, True) if line.first.higher_is_better else percent(loss, sign=True))
        + doubt,
        number(line.mean(lambda r: r.train_s), 0),
        NOTHING if steps is None else str(steps),
    )
