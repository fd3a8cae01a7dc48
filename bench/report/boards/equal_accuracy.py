"""Training-time against post-training compression: the main comparison."""

from __future__ import annotations

from collections.abc import Iterable

from slashbench.bench.report.analysis import equal_accuracy
from slashbench.bench.report.analysis.equal_accuracy import Contest
from slashbench.bench.report.data.results import Results
from slashbench.bench.report.data.seed_means import Line
from slashbench.bench.report.sections import Section
from slashbench.bench.report.tables import (
    NOTHING,
    Table,
    interval,
    limits,
    number,
    percent,
    plus_minus,
)

COLUMNS = ("model", "side", "recipe", "codec", "bits/param", "metric", "loss", "tolerance",
           "train s", "steps", "above limit", "candidates", "saves", "on a new model")  # fmt: skip


def section(results: Results) -> Section:
    """Build the board: at equal quality, then at equal training steps, compute, step size."""
    fields = [(model, results.lines(model)) for model in results.models]

    tables = [
        _table(
            "Within each model's tolerance",
            "as its entry states it",
            [equal_accuracy.best(model, lines) for model, lines in fields],
        )
    ]
    if any(equal_accuracy.split(lines)[0] for _, lines in fields):
        tables += [
            _table(
                "At equal training steps",
                "within the tolerance; after-training recipes of as many steps only",
                (equal_accuracy.best_at_equal_steps(m, lines) for m, lines in fields),
            ),
            _table(
                "At equal compute",
                "within the tolerance; after-training recipes whose training took as much CPU "
                "time, as `plain:longer` does",
                (equal_accuracy.best_at_equal_compute(m, lines) for m, lines in fields),
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
        "marks a loss whose interval goes beyond what is allowed. Each side chooses its recipe and "
        "codec on the test data shown here. That flatters both sides, and more the side with more "
        "candidates. saves: bits that training-time compression saves here, with Student's "
        "interval of 95 % over seeds; over all models their geometric mean, each model with one "
        "voice. on a new model: where the saving on one more model would lie (95 %, a prediction "
        "from the models here). above limit: bits beyond what reverse water-filling allows any "
        "coder of the plain float model's weights at a loss of the tolerance (board `limit`); "
        "training may go below, since it changes the weights.",
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
        here, new = percent(saves.estimate, sign=True), limits(saves)
        rows.append(("all", "training-time", what, *[NOTHING] * 9, here, new))
    return Table(title, about, COLUMNS, rows)


def _rows(contest: Contest) -> list[tuple[str, ...]]:
    sides = (
        ("post-training", contest.post_training, contest.candidates[1]),
        ("training-time", contest.training_time, contest.candidates[0]),
    )
    rows = []
    for side, line, candidates in sides:
        if isinstance(line, str):
            rows.append((contest.model, side, line, *[NOTHING] * 11))
        else:
            saves = interval(contest.saving) if side == "training-time" else NOTHING
            tried = str(candidates) if candidates else NOTHING
            shown = _line(line)
            rows.append((contest.model, side, *shown, tried, saves, NOTHING))
    return rows


def _line(line: Line) -> tuple[str, ...]:
    steps = line.first.train_steps
    doubt = " ?" if line.in_doubt else ""
    return (
        line.first.recipe,
        line.first.codec,
        plus_minus(line.bits, line.bits_stderr),
        plus_minus(line.mean(lambda r: r.value), line.value_stderr),
        plus_minus(line.loss, line.delta_stderr, True) + doubt,
        number(line.tolerance, 3),
        number(line.mean(lambda r: r.train_s), 0),
        NOTHING if steps is None else str(steps),
        number(line.mean(lambda r: r.above_limit), 3, sign=True),
    )
