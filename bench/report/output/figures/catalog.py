"""The charts there are, by board. A new one is a line here."""

from __future__ import annotations

from collections.abc import Callable

from slashbench.bench.report.data.results import Results
from slashbench.bench.report.output.figures.byte_shares import shares
from slashbench.bench.report.output.figures.gain_against_drift import gain_drift
from slashbench.bench.report.output.figures.speed_against_size import speed_size
from slashbench.bench.report.output.figures.tensor_heat_map import heat_map
from slashbench.bench.report.output.figures.weight_histograms import histograms
from slashbench.bench.report.sections import Figure


def figures(results: Results) -> dict[str, list[Figure]]:
    """Return the figures of each board; none if there is nothing to draw."""
    every: dict[str, Callable[[Results], Figure | None]] = {
        "regimes": gain_drift,
        "speed": speed_size,
        "ledger": shares,
        "tensors": heat_map,
        "weights": histograms,
    }
    drawn = {name: draw(results) for name, draw in every.items()}
    return {name: [figure] for name, figure in drawn.items() if figure is not None}
