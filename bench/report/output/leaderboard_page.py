"""The boards of a store as one page."""

from __future__ import annotations

import dataclasses

from slashbench.bench.report.boards.catalog import BOARDS, sections
from slashbench.bench.report.data.export_rows import COLUMNS, flat, to_parquet
from slashbench.bench.report.data.results import Results
from slashbench.bench.report.output import html
from slashbench.bench.report.output.fitted_screen import fitted
from slashbench.bench.report.output.html import Cells, Download
from slashbench.bench.report.output.pictures import HOW, pictures
from slashbench.bench.report.sections import Section

#: Boards that the page has in another form: the first screen, and the table of all cells.
LEFT_OUT = ("summary", "recipes")

LEGEND = {
    "bits_per_parameter": "whole file over all parameters",
    "bits_per_coded": "streams of the coded tensors over their values",
    "entropy_bits": "order-0 per tensor, per coded value",
    "gap": "bits_per_coded over entropy_bits, less 1",
    "ratio_to_native": "native bytes over file bytes",
    "loss": "how much worse than the plain float model, in the metric's unit",
    "kl": "nats per answer, against the float weights of the recipe",
    "flips": "percent of answers right on one side and wrong on the other",
    "same_top": "percent of answers with the same most probable one",
    "noise": "change of the float model's metric by another number of threads",
    "side_share": "bits per parameter of tables, scales, headers, names",
    "float_share": "bits per parameter of tensors stored as they were",
    "decode_mb_s": "native bytes, one thread, median",
    "contended": "something else ran while it was timed",
}
SHOWN = ("model", "recipe", "codec", "seed", "status", "bits_per_parameter", "bits_per_coded",
           "entropy_bits", "gap", "ratio_to_native", "side_share", "float_share", "zeros", "metric",
           "value", "stderr", "float_value", "delta", "loss", "keeps_accuracy", "accuracy", "kl",
           "flips", "same_top", "encode_mb_s",
           "decode_mb_s", "contended", "machine", "train_s", "train_steps", "file_bytes", "bound",
           "reason")  # fmt: skip


def to_html(results: Results) -> str:
    """Return the page as text."""
    html.prepare()
    from slashbench.bench.report.output.figures.catalog import (
        figures,  # altair takes a second to import
    )

    drawn = figures(results)
    first = [fitted(results), Section("pictures", "Quality against bits", HOW, pictures(results))]
    shown = [
        dataclasses.replace(section, parts=[*drawn.get(section.name, []), *section.parts])
        for section in [*first, *sections(results, [n for n in BOARDS if n not in LEFT_OUT])]
        if section.parts
    ]
    return html.page(
        "slashbench",
        "How many bits does a trained weight really need, at what accuracy, and how fast can those "
        "bits be written and read?",
        shown,
        Cells(
            COLUMNS,
            [flat(row) for row in results.every_row],
            SHOWN,
            ("model", "recipe", "codec", "status"),
            LEGEND,
        ),
        [Download("cells.parquet", "application/vnd.apache.parquet", to_parquet(results))],
    )
