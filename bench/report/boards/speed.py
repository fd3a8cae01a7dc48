"""How fast codecs decode and encode whole checkpoints, a board for each machine."""

from __future__ import annotations

from slashbench.bench.report.analysis.pareto import CLOCK
from slashbench.bench.report.analysis.standings import Standing, standings
from slashbench.bench.report.boards.codecs import RANKS, board_table, ratio
from slashbench.bench.report.data.results import Results
from slashbench.bench.report.data.rows import Row
from slashbench.bench.report.sections import Section
from slashbench.bench.report.tables import Table, number, percent, place


def section(results: Results) -> Section:
    """Decoding first: a file is read more often than written."""
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
        "cell the median of its rounds. time: to decode, over the first's. Machines are never "
        f"mixed. {RANKS}. For ratios to peers in one process: `bench speed`.",
        tables,
    )


def _tables(title: str, rows: list[Row]) -> list[Table]:
    decoding = standings(
        rows, lambda row: row.decode_mparams_s and 1 / row.decode_mparams_s, noise=CLOCK
    )
    if decoding is None:
        return []
    encoding = standings(rows, lambda row: row.encode_mparams_s and 1 / row.encode_mparams_s)
    encode = {s.codec: s.per_model for s in encoding.standings} if encoding else {}
    contended = {row.codec for row in rows if row.contended}
    models = list(decoding.standings[0].per_model)
    columns = ["rank", "codec", "time", *(f"{model} dec" for model in models)]
    columns += [*(f"{model} enc" for model in models), "contended", "cases"]

    def row_of(standing: Standing) -> tuple[str, ...]:
        codec = standing.codec
        return (
            place(standing.place),
            codec,
            ratio(standing),
            *(number(1 / standing.per_model[model], 1) for model in models),
            *(number(_inverse(encode.get(codec, {}).get(model)), 1) for model in models),
            "some" if codec in contended else "",
            f"{standing.cases} of {decoding.cases}",
        )

    alone = f"one model and seed: within {percent(CLOCK, 0)} codecs tie"
    return [board_table(f"Decoding · {title}", decoding, tuple(columns), row_of, alone)]


def _inverse(value: float | None) -> float | None:
    return None if value is None else 1 / value
