"""Weights and the densities that fit them."""

from __future__ import annotations

import math

import altair as alt
import numpy as np

from slashbench.bench.report.boards.weights import described
from slashbench.bench.report.data.results import Results
from slashbench.bench.report.output.figures.vega import (
    Values,
    all_rounded,
    chart_of,
    choice,
    spec_of,
)
from slashbench.bench.report.sections import Figure
from slashbench.trainers.numerics import ggd

CHECKPOINTS = 80  # whose histograms are drawn


def histograms(results: Results) -> Figure | None:
    """Draw the weights of a checkpoint and the two densities that fit them best."""
    values: Values = []
    for point in described(results)[:CHECKPOINTS]:
        found = point.distribution
        if found is None or found.fit is None:
            continue
        edges = np.linspace(found.low, found.high, len(found.counts) + 1)
        centres, width = (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
        counts = np.array(found.counts, np.float64)
        inside = (counts.sum() + found.below + found.above) * width
        fit = found.fit
        # The fits look at weights that are not zero: drawn with their share of all.
        alive = 1 - found.zeros / found.n
        values.append(
            {
                "of": f"{point.model} · {point.recipe} · seed {point.seed}",
                "x": all_rounded(centres),
                "weights": all_rounded(counts / inside),
                "generalised Gaussian": all_rounded(
                    alive * ggd.density(centres, fit.shape, fit.scale)
                ),
                "Gaussian": all_rounded(
                    alive
                    * np.exp(-0.5 * (centres / fit.sigma) ** 2)
                    / (fit.sigma * math.sqrt(2 * math.pi))
                ),
            }
        )
    if not values:
        return None
    names = [str(v["of"]) for v in values]
    checkpoint = choice("of", names, label="checkpoint ")
    kinds = ["weights", "generalised Gaussian", "Gaussian"]
    base = (
        chart_of(values)
        .transform_filter(checkpoint)
        .transform_flatten(["x", *kinds])
        .transform_fold(kinds, as_=["what", "density"])
    )
    x = alt.X("x:Q", title="weight")
    y = alt.Y("density:Q", title="density")
    colour = alt.Color("what:N", title=None, sort=kinds).legend(orient="top")
    bars = (
        base.transform_filter("datum.what == 'weights'")
        .mark_area(interpolate="step", opacity=0.45)
        .encode(x, y, colour)
        .add_params(checkpoint)
    )
    curves = (
        base.transform_filter("datum.what != 'weights'")
        .mark_line(strokeWidth=2)
        .encode(x, y, colour, tooltip=["what:N", "x:Q", "density:Q"])
    )
    return Figure(
        "histograms",
        "Weights and their fits",
        "Over four standard deviations to either side.",
        spec_of(alt.layer(bars, curves)),
    )
