"""Codecs over all models: by size, of integers and lossless."""

from __future__ import annotations

from collections.abc import Callable

from slashbench.bench.report.analysis.standings import Board, Standing, standings
from slashbench.bench.report.data.results import Results
from slashbench.bench.report.data.rows import Row
from slashbench.bench.report.sections import Section
from slashbench.bench.report.tables import NOTHING, Table, number, percent, place

RANKS = (
    "rank: those that the data can't tell apart share the places between them, paired over (model, "
    "seed) and held to one level together (95 %, Holm)"
)


def section(results: Results) -> Section:
    """Integers of all recipes."""
    rows = [row for row in results.rows if not row.lossless]
    return Section(
        "codecs",
        "Codecs",
        "Bits per parameter of whole files: tables, headers, names and left-over floats included. "
        "Sizes are geometric means over all recipes, every (model, seed) weighing the same. over "
        "entropy: coded bits over the order-0 entropy per tensor, which codes that model a context "
        f"go below. {RANKS}.",
        by_size("Codecs by size", rows, _over_entropy(rows)),
    )


def lossless_section(results: Results) -> Section:
    """Floats as they are."""
    rows = [row for row in results.rows if row.lossless]
    return Section(
        "lossless",
        "Lossless",
        "Checkpoints in their native dtype, given back bit for bit.",
        by_size("Lossless codecs by size", rows, {}),
    )


def by_size(title: str, rows: list[Row], over_entropy: dict[str, float]) -> list[Table]:
    """The board of sizes, or none without cells."""
    board = standings(rows, lambda row: row.bits_per_parameter)
    if board is None:
        return []
    models = list(board.standings[0].per_model)
    columns = ["rank", "codec", "size"]
    columns += ["over entropy"] if over_entropy else []
    columns += [f"{model} bits" for model in models] + ["cases"]

    def row_of(standing: Standing) -> tuple[str, ...]:
        over = [percent(over_entropy.get(standing.codec), 2, sign=True)] if over_entropy else []
        bits = [number(standing.per_model[model], 3) for model in models]
        cases = f"{standing.cases} of {board.cases}"
        return (place(standing.place), standing.codec, ratio(standing), *over, *bits, cases)

    alone = "one model and seed: exact for these files, and nothing is known of others"
    return [board_table(title, board, tuple(columns), row_of, alone)]


def board_table(
    title: str,
    board: Board,
    columns: tuple[str, ...],
    row_of: Callable[[Standing], tuple[str, ...]],
    alone: str,
) -> Table:
    """A board of standings; codecs with too few cases follow without a place.

    alone: what is to be said where there is one (model, seed).
    """
    rows = [row_of(standing) for standing in board.standings]
    blank = [NOTHING] * (len(columns) - 3)
    rows += [
        (NOTHING, codec, *blank, f"{n} of {board.cases}") for codec, n in board.unranked.items()
    ]
    return Table(
        title,
        f"{_worth(board, alone)} · {board.common} of {board.cases} cases are common to all ranked",
        columns,
        rows,
        frozenset(range(len(board.standings), len(rows))),
    )


def _worth(board: Board, alone: str) -> str:
    """What the order of a board is worth, in words."""
    if board.clusters < 2:
        return alone
    resolvable = "" if board.resolvable is None else f" · resolves {percent(board.resolvable, 1)}"
    return f"{board.clusters} (model, seed){resolvable}"


def ratio(standing: Standing) -> str:
    """How much larger than the first, and the range of it."""
    found = standing.ratio
    text = number(found.estimate, 3)
    if found.low is None or found.high is None or found.low == found.high:
        return text
    return f"{text} [{found.low:.3f}, {found.high:.3f}]"


def _over_entropy(rows: list[Row]) -> dict[str, float]:
    """Codec -> coded bits over entropy, less 1."""
    board = standings(rows, lambda row: None if row.gap is None else 1 + row.gap)
    return {standing.codec: standing.mean - 1 for standing in board.standings} if board else {}
