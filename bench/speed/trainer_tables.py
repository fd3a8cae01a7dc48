"""The board of `bench speed --trainers`: what a regime adds to a training step."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from slashbench.bench.report.tables import Table, number
from slashbench.record import TrainerSpeed

LEGEND = """\
ms/step: median over the rounds · in the regime: time in its own code, summed, over that of plain \
steps on the same batches · whole step: median over the rounds of its time over the plain step's, \
less one; noisier"""


def table(speeds: Sequence[TrainerSpeed]) -> Table:
    """Regimes of one run, the plain step (the first) at the top."""
    plain = speeds[0]
    rows: list[tuple[str, ...]] = []
    for speed in speeds:
        ratios = [
            mine / theirs - 1
            for mine, theirs in zip(speed.step.wall_ns, plain.step.wall_ns, strict=True)
        ]
        own = sum(speed.regime_ns) / sum(plain.step.wall_ns)
        rows.append(
            (
                speed.regime,
                number(statistics.median(speed.step.wall_ns) / 1e6, 1),
                number(statistics.mean(speed.regime_ns) / 1e6, 2),
                f"{100 * own:+.1f} %",
                f"{100 * statistics.median(ratios):+.1f} %",
                str(len(ratios)),
            )
        )
    return Table(
        title=f"Cost of regimes · {plain.model}",
        about=f"{plain.n_parameters:,} parameters",
        columns=("regime", "ms/step", "ms in the regime", "in the regime", "whole step", "rounds"),
        rows=rows,
    )
