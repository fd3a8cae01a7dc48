"""The first screen: which side wins on each model, which codec, and what the records say.

It answers the main questions in at most one screen. Every other board has the details.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from slashbench.bench.report.analysis import equal_accuracy
from slashbench.bench.report.analysis.equal_accuracy import Contest
from slashbench.bench.report.analysis.findings import contests, findings, native_share
from slashbench.bench.report.analysis.short_names import names_by_model
from slashbench.bench.report.analysis.standings import Standing, decoding, encoding, standings
from slashbench.bench.report.boards import updates
from slashbench.bench.report.boards.codecs import over_entropy
from slashbench.bench.report.data.results import Results
from slashbench.bench.report.data.rows import Row
from slashbench.bench.report.data.seed_means import Line
from slashbench.bench.report.sections import Section
from slashbench.bench.report.tables import NOTHING, Table, number, percent


@dataclass(frozen=True, slots=True)
class Limits:
    """How many rows and sentences are shown; the rest is counted in a note."""

    models: int = 8
    codecs: int = 9
    lossless: int = 3
    findings: int = 6

    def smaller(self) -> Limits | None:
        """Return the next smaller screen; None when there is nothing left to leave out."""
        for name, least in _LEAST:
            if getattr(self, name) > least:
                values = {f: getattr(self, f) for f in ("models", "codecs", "lossless", "findings")}
                return Limits(**values | {name: getattr(self, name) - 1})
        return None


SAVES = "training saves [95 %]"

#: What is left out first, and down to how many.
_LEAST = (("codecs", 6), ("lossless", 2), ("findings", 5), ("codecs", 4), ("findings", 4),
          ("lossless", 1), ("models", 4), ("findings", 3), ("codecs", 2),
          ("models", 1))  # fmt: skip


def section(results: Results, limits: Limits | None = None) -> Section:
    """Build the first screen: tables, then sentences."""
    limits = limits or Limits()
    tables = [
        _sides(results, limits.models),
        _codecs(results, limits.codecs),
        _lossless(results, limits.lossless),
        updates.short_table(results, limits.models),
    ]
    parts = [table for table in tables if table.rows]
    said = findings(results, limits.findings)
    return Section("summary", "Summary", headline(results), [*parts, *said])


def headline(results: Results) -> str:
    """Say how much was run."""
    last = {(r.model, r.recipe, r.codec, r.seed): r.status for r in _by_time(results.every_row)}
    good = sum(status == "ok" for status in last.values())
    counts = [
        _count(len({model for model, *_ in last}), "model"),
        _count(len({recipe for _, recipe, *_ in last}), "recipe"),
        _count(len({codec for _, _, codec, _ in last}), "codec"),
        _count(len({seed for *_, seed in last}), "seed"),
    ]
    return f"{', '.join(counts)}: {good:,} of {len(last):,} cells are good."


def names_section(results: Results) -> Section:
    """Build the list of short names with the selectors they stand for."""
    names = names_by_model(results.rows)
    models: dict[tuple[str, str], list[str]] = {}
    for (model, recipe), name in names.items():
        models.setdefault((name, recipe), []).append(model)
    rows: list[tuple[str, ...]] = [
        (name, recipe, ", ".join(sorted(of))) for (name, recipe), of in sorted(models.items())
    ]
    return Section(
        "names",
        "Recipes by name",
        "The full recipe, as `--recipes` takes it. A name means one recipe of a model.",
        [Table("Names of recipes", "", ("name", "recipe", "models"), rows)] if rows else [],
    )


def _sides(results: Results, most: int) -> Table:
    """Return the best of either side on each model, the difference and its interval."""
    names = names_by_model(results.rows)
    # Those with both sides first: they answer the question.
    found = sorted(contests(results), key=lambda contest: contest.saving is None)
    rows: list[tuple[str, ...]] = []
    details: dict[int, str] = {}
    for contest in found[:most]:
        lines = [
            line
            for line in (contest.post_training, contest.training_time)
            if isinstance(line, Line)
        ]
        details |= {len(rows) + i: _details(line) for i, line in enumerate(lines)}
        rows += _contest(contest, names)
    overall = equal_accuracy.overall_saving(found)
    if overall is not None:
        n, saving = overall
        new = ""
        if saving.low is not None and saving.high is not None:
            sure = saving.low > 0 or saving.high < 0
            likely = _ends(saving.low, saving.high) if sure else "may gain or lose"
            new = f"; a new model: {likely}"
        rows.append((f"{n} models", "", "geometric mean", "", "", _saved(saving.estimate) + new))
    doubt = " · ?: its 95 % interval is not" if any(row[4].endswith("?") for row in rows) else ""
    return Table(
        "Smallest file of each side at equal quality"
        + _rest(len(found), most, "models", "equal-accuracy"),
        f"bits a parameter of the file · loss over plain float, within tolerance{doubt}",
        ("model", "side", "recipe", "bits", "loss", SAVES),
        rows,
        details=details,
    )


def _details(line: Line) -> str:
    return f"{line.first.recipe} with {line.first.codec}"


def _contest(contest: Contest, names: Mapping[tuple[str, str], str]) -> list[tuple[str, ...]]:
    """Return a row for each side with a file; the other side is named in that row."""
    sides = (("post", contest.post_training), ("training", contest.training_time))
    saving = contest.saving
    missing = [f"{side}: {line}" for side, line in sides if isinstance(line, str)]
    rows: list[tuple[str, ...]] = []
    for side, line in sides:
        if isinstance(line, str):
            continue
        said = NOTHING if not missing else missing[0]
        if side == "training" and saving is not None:
            said = _saved(saving.estimate)
            if saving.low is not None and saving.high is not None:
                said += f" [{_ends(saving.low, saving.high)}]"
        loss = number(line.loss, 3, sign=True) + (" ?" if line.in_doubt else "")
        name = names[contest.model, line.first.recipe]
        rows.append(("" if rows else contest.model, side, name, number(line.bits, 3), loss, said))
    reasons = "; ".join(missing)
    return rows or [(contest.model, "", "", NOTHING, NOTHING, reasons)]


def _codecs(results: Results, most: int) -> Table:
    rows = [row for row in results.rows if not row.lossless]
    over = over_entropy(rows)
    return _by_size(
        results,
        rows,
        most,
        "Codecs on the integers",
        "over entropy",
        lambda codec: percent(over.get(codec), 1, sign=True),
        "codecs",
        "size: over that of the first · encode, decode: million parameters a second, one thread",
    )


def _lossless(results: Results, most: int) -> Table:
    rows = [row for row in results.rows if row.lossless]
    return _by_size(
        results,
        rows,
        most,
        "Lossless, on native floats",
        "of native",
        lambda codec: percent(native_share(rows, codec), 1),
        "lossless",
    )


def _by_size(
    results: Results,
    rows: list[Row],
    most: int,
    title: str,
    column: str,
    figure: Callable[[str], str],
    board_name: str,
    about: str = "",
) -> Table:
    board = standings(rows, lambda row: row.bits_per_parameter)
    if board is None:
        return Table(title, "", (), [])
    here = [row for row in rows if row.machine and row.machine == results.machines[0]]
    speeds = [
        {s.codec: 1 / s.mean for s in times.standings} if times else {}
        for times in (encoding(here), decoding(here))
    ]
    shown = [
        (
            standing.codec,
            figure(standing.codec),
            number(standing.ratio, 3),
            f"{standing.wins} of {board.common}",
            *(_speed(speed.get(standing.codec)) for speed in speeds),
        )
        for standing in _chosen(board.standings, most, speeds[1])
    ]
    return Table(
        title + _rest(len(board.standings) + len(board.unranked), most, "codecs", board_name),
        about,
        ("codec", column, "size", "smallest in", "encode", "decode"),
        shown,
    )


def _chosen(
    found: Sequence[Standing], most: int, decode: Mapping[str, float]
) -> Sequence[Standing]:
    """Return the smallest codecs; the fastest decoder takes the last row if it is none of them."""
    if len(found) <= most or most < 2:
        return found[:most]
    fastest = max(found, key=lambda standing: decode.get(standing.codec, 0.0))
    return found[:most] if fastest in found[:most] else [*found[: most - 1], fastest]


def _rest(every: int, shown: int, what: str, board: str) -> str:
    """Say what a table leaves out, and where it is."""
    return f" · {shown} of {every} {what}: --boards {board}" if every > shown else ""


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _speed(value: float | None) -> str:
    return number(value, 0 if value is None or value >= 10 else 1)


def _saved(share: float) -> str:
    return percent(share, 1, sign=True)


def _ends(low: float, high: float) -> str:
    return f"{100 * low:+.0f} to {100 * high:+.0f}"


def _by_time(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row.measured_at)
