"""Every recipe of every model, with all its codecs."""

from __future__ import annotations

from slashbench.bench.report.boards.deployment import shown_machine
from slashbench.bench.report.data.results import Results
from slashbench.bench.report.data.seed_means import Line, RecipeBlock
from slashbench.bench.report.sections import Section
from slashbench.bench.report.tables import Table, number, percent, place, plus_minus

LEGEND = """\
bits/param: bits of the whole file over all parameters (tables, headers, names and left-over \
floats included; integer buffers are not parameters) · coded: bits per coded value; embed, other: \
the same for embedding tables and for the rest · entropy: order-0 per tensor, a bound of codes \
that model no context · gap: coded over entropy · ratio: native bytes over file bytes · enc, dec: \
MB/s of native bytes, one thread, median; ! contended · codecs that noise can't tell apart share \
a rank"""


def section(results: Results) -> Section:
    """Build one table per recipe of each model."""
    columns = ("rank", "codec", "bits/param", "coded", "embed", "other", "entropy", "gap", "ratio",
               "enc MB/s", "dec MB/s")  # fmt: skip
    return Section(
        "recipes",
        "Recipes",
        LEGEND + shown_machine(results),
        [
            Table(
                title=f"{block.model} · {block.recipe}",
                about=_about(block),
                columns=columns,
                rows=[_row(line) for line in block.lines],
                faint=frozenset(i for i, line in enumerate(block.lines) if line.first.bound),
            )
            for block in results.blocks
        ],
    )


def _about(block: RecipeBlock) -> str:
    line = block.lines[0]
    row = line.first
    parts = [
        f"{row.metric} {plus_minus(line.mean(lambda r: r.value), line.value_stderr)}",
        f"Δ to plain float {plus_minus(line.mean(lambda r: r.delta), line.delta_stderr, True)}",
        f"float {number(line.mean(lambda r: r.float_value), 3)}",
        f"zeros {percent(line.mean(lambda r: r.zeros))}",
        f"trained {number(line.mean(lambda r: r.train_s), 1)} s",
        f"{row.n_parameters:,} parameters" if row.n_parameters else "",
        f"{len(line.rows)} seed{'s' if len(line.rows) > 1 else ''}",
    ]
    return " · ".join(part for part in parts if part)


def _row(line: Line) -> tuple[str, ...]:
    row = line.first
    mark = "!" if any(r.contended for r in line.clocks) else ""
    return (
        "bound" if row.bound else place(line.place),
        row.codec,
        plus_minus(line.bits, line.bits_stderr),
        number(line.mean(lambda r: r.bits_per_coded), 3),
        number(line.mean(lambda r: r.bits_per_coded_embedding), 3),
        number(line.mean(lambda r: r.bits_per_coded_matrix), 3),
        number(line.mean(lambda r: r.entropy_bits), 3),
        percent(line.mean(lambda r: r.gap), sign=True),
        number(line.mean(lambda r: r.ratio_to_native), 2),
        number(line.clock(lambda r: r.encode_mb_s), 0) + mark,
        number(line.clock(lambda r: r.decode_mb_s), 0) + mark,
    )
