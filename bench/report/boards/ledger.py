"""Where the bytes of a file go, and what of its bits is entropy, waste and side information."""

from __future__ import annotations

from slashbench.bench.report.data.results import Results
from slashbench.bench.report.data.seed_means import Line
from slashbench.bench.report.sections import Section
from slashbench.bench.report.tables import NOTHING, Table, number, percent


def section(results: Results) -> Section:
    """Build the board of each recipe's smallest codec."""
    lines = [block.smallest for block in results.blocks if block.smallest is not None]
    parts = sorted({part for line in lines for part in line.first.ledger}, key=_order)
    return Section(
        "ledger",
        "Where the bytes go",
        "The smallest codec of each recipe. bits = entropy + waste + side + floats, per parameter: "
        "entropy is the order-0 one of each tensor; waste what the coder takes beyond it, below 0 "
        "where it models a context; side the tables, scales, masks, headers and names; floats the "
        "tensors that the quantiser leaves as they are. Lossless codecs have no such entropy: "
        "their streams are payload.",
        [
            Table(
                "The headline taken apart",
                "bits per parameter",
                ("model", "recipe", "codec", "bits", "payload", "entropy", "waste", "side",
                 "floats"),
                [_shares(line) for line in lines],
            ),
            Table(
                "Bytes",
                "of the first seed's file",
                ("model", "recipe", "codec", "file", *parts),
                [_bytes(line, parts) for line in lines],
            ),
        ] if lines else [],
    )  # fmt: skip


def _shares(line: Line) -> tuple[str, ...]:
    row = line.first
    return (
        row.model,
        row.recipe,
        row.codec,
        number(line.bits, 3),
        number(line.mean(lambda r: r.payload_share), 3),
        number(line.mean(lambda r: r.entropy_share), 3),
        number(line.mean(lambda r: r.waste_share), 4, sign=True),
        number(line.mean(lambda r: r.side_share), 4),
        number(line.mean(lambda r: r.float_share), 4),
    )


def _bytes(line: Line, parts: list[str]) -> tuple[str, ...]:
    row = line.first
    total = row.file_bytes or 0
    cells = []
    for part in parts:
        size = row.ledger.get(part)
        cells.append(NOTHING if size is None else f"{size:,} ({percent(size / total)})")
    return (row.model, row.recipe, row.codec, f"{total:,.0f}", *cells)


def _order(part: str) -> tuple[bool, str]:
    return part != "payload", part
