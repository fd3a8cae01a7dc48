"""How fast codecs decode and encode whole checkpoints, a board for each machine."""

from __future__ import annotations

from slashbench.bench.report import ties
from slashbench.bench.report.analysis.standings import Standing, decoding, encoding
from slashbench.bench.report.boards.codecs import common_cells, elsewhere, with_unranked
from slashbench.bench.report.data.results import Results
from slashbench.bench.report.data.rows import Row
from slashbench.bench.report.sections import Section
from slashbench.bench.report.tables import Table, number, place


def section(results: Results) -> Section:
    """Build the board; decoding comes first: a file is read more often than written."""
    tables = []
    for machine in filter(None, results.machines):
        here = [row for row in results.rows if row.machine == machine]
        for what, is_lossless in (("integers", False), ("lossless", True)):
            rows = [row for row in here if row.lossless == is_lossless]
            where = f" · machine {machine}" if len(results.machines) > 1 else ""
            tables += _tables(f"{what}{where}", rows)
    return Section(
        "speed",
        "Speed",
        "Million parameters a second, one thread, in memory, histogram and tables included; each "
        "cell the median of its rounds. time: to decode, over that of the first. Rounds are paired "
        f"within a cell and a machine; machines are never mixed. {ties.OF_SPEEDS}. On a new "
        "model: as on the board of sizes. Ratios to peers in one process: `bench speed`.",
        tables,
    )


def _tables(title: str, rows: list[Row]) -> list[Table]:
    board, written = decoding(rows), encoding(rows)
    if board is None:
        return []
    encode = {s.codec: s.per_model for s in written.standings} if written else {}
    contended = {row.codec for row in rows if row.contended}
    models = list(board.standings[0].per_model)
    columns = ["rank", "codec", "time", "on a new model", *(f"{model} dec" for model in models)]
    columns += [*(f"{model} enc" for model in models), "contended", "cells"]

    def row_of(standing: Standing) -> tuple[str, ...]:
        codec = standing.codec
        return (
            place(standing.place),
            codec,
            number(standing.ratio, 3),
            elsewhere(standing.elsewhere),
            *(number(1 / standing.per_model[model], 1) for model in models),
            *(number(_inverse(encode.get(codec, {}).get(model)), 1) for model in models),
            "some" if codec in contended else "",
            f"{standing.cases} of {board.cases}",
        )

    shown, faint = with_unranked(board, [row_of(s) for s in board.standings], len(columns))
    return [Table(f"Decoding · {title}", common_cells(board), tuple(columns), shown, faint)]


def _inverse(value: float | None) -> float | None:
    return None if value is None else 1 / value
