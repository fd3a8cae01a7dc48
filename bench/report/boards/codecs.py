"""Codecs over all models: by size, of integers and lossless; what holds here, and elsewhere."""

from __future__ import annotations

from itertools import pairwise

from slashbench.bench.report import ties
from slashbench.bench.report.analysis.standings import Board, Standing, duel, standings
from slashbench.bench.report.data.results import Results
from slashbench.bench.report.data.rows import Row
from slashbench.bench.report.sections import Section
from slashbench.bench.report.statistics import FEWEST, Interval
from slashbench.bench.report.tables import NOTHING, Table, number, percent, place

HERE = (
    f"Here: {ties.OF_SIZES}. size, least, most: the file over that of the first, geometric mean "
    "and the two extreme cells; smallest in: cells in which no codec was smaller; beats next in: "
    "cells in which it is smaller than the codec below it. Elsewhere: the ratio on one more model "
    "would lie in this interval (95 %, a prediction from the models here, each with one voice)"
)


def section(results: Results) -> Section:
    """Build the board of integer codecs over all recipes."""
    rows = [row for row in results.rows if not row.lossless]
    return Section(
        "codecs",
        "Codecs",
        "Bits per parameter of whole files: tables, headers, names and left-over floats included. "
        "over entropy: coded bits over the order-0 entropy of each tensor, which codecs that model "
        f"a context can undercut. {HERE}.",
        by_size("Codecs by size", rows, over_entropy(rows)),
    )


def lossless_section(results: Results) -> Section:
    """Build the board of codecs that keep floats as they are."""
    rows = [row for row in results.rows if row.lossless]
    return Section(
        "lossless",
        "Lossless",
        f"Checkpoints in their native dtype, given back bit for bit. {HERE}.",
        by_size("Lossless codecs by size", rows, {}),
    )


def by_size(title: str, rows: list[Row], over: dict[str, float]) -> list[Table]:
    """Return the board of sizes; no table without cells."""
    board = standings(rows, lambda row: row.bits_per_parameter)
    if board is None:
        return []
    models = list(board.standings[0].per_model)
    columns = [
        "rank",
        "codec",
        "size",
        "least",
        "most",
        "smallest in",
        "beats next in",
        "on a new model",
    ]
    columns += ["over entropy"] if over else []
    columns += [f"{model} bits" for model in models] + ["cells"]

    codecs = [standing.codec for standing in board.standings]
    beaten = dict.fromkeys(codecs, NOTHING)
    for codec, after in pairwise(codecs):
        met = duel(rows, codec, after, lambda row: row.bits_per_parameter)
        beaten[codec] = f"{met.wins} of {met.cells}" if met else NOTHING

    def row_of(standing: Standing) -> tuple[str, ...]:
        beyond = [percent(over.get(standing.codec), 2, sign=True)] if over else []
        bits = [number(standing.per_model[model], 3) for model in models]
        return (
            place(standing.place),
            standing.codec,
            number(standing.ratio, 3),
            number(standing.least, 3),
            number(standing.most, 3),
            f"{standing.wins} of {board.common}",
            beaten[standing.codec],
            elsewhere(standing.elsewhere),
            *beyond,
            *bits,
            f"{standing.cases} of {board.cases}",
        )

    rows_shown, faint = with_unranked(board, [row_of(s) for s in board.standings], len(columns))
    return [Table(title, common_cells(board), tuple(columns), rows_shown, faint)]


def with_unranked(
    board: Board, rows: list[tuple[str, ...]], columns: int
) -> tuple[list[tuple[str, ...]], frozenset[int]]:
    """Add the codecs that ran too few cells, without a place; return the rows and which are so."""
    blank = [NOTHING] * (columns - 3)
    more = [
        (NOTHING, codec, *blank, f"{n} of {board.cases}") for codec, n in board.unranked.items()
    ]
    return [*rows, *more], frozenset(range(len(rows), len(rows) + len(more)))


def common_cells(board: Board) -> str:
    """Say which cells count, and how far the order reaches."""
    of = f"{board.common} of {board.cases} cells are common to all ranked codecs and count"
    if board.models >= FEWEST:
        return f"{of} · {board.models} models"
    few = "one model" if board.models == 1 else f"{board.models} models"
    return f"{of} · {few}: too few to say anything of others"


def elsewhere(found: Interval | None) -> str:
    """Spell the interval of a ratio on one more model."""
    if found is None or found.low is None or found.high is None:
        return NOTHING
    return f"{found.low:.3f} to {found.high:.3f}"


def over_entropy(rows: list[Row]) -> dict[str, float]:
    """Return codec -> coded bits over entropy, less 1, on the cells that all ranked codecs ran."""
    board = standings(rows, lambda row: None if row.gap is None else 1 + row.gap)
    return {standing.codec: standing.mean - 1 for standing in board.standings} if board else {}
