"""Bits per tensor."""

from __future__ import annotations

import altair as alt

from slashbench.bench.report.data.results import Results
from slashbench.bench.report.output.figures.vega import (
    Values,
    chart_of,
    choice,
    rounded,
)
from slashbench.bench.report.sections import Figure

TENSORS = 150  # of a model on the heat map, the largest
RECIPES = 12  # of a model on the heat map, the smallest


def heat_map(results: Results) -> Figure | None:
    """Draw the bits per value of every tensor under the smallest recipes of a model."""
    values: Values = []
    for model in results.models:
        found = [block.smallest for block in results.blocks if block.model == model]
        lines = [line for line in found if line and not line.first.lossless]
        for line in lines[:RECIPES]:
            size = results.records.sizes.get(line.first.compress)
            if size is None:
                continue
            largest = sorted(size.tensors, key=lambda t: -t.n)[:TENSORS]
            chosen = {tensor.name for tensor in largest if tensor.kind != "buffer"}
            values += [
                {
                    "model": model,
                    "recipe": line.first.recipe,
                    "tensor": tensor.name,
                    "n": tensor.n,
                    "bits": rounded(8 * tensor.n_bytes / tensor.n),
                    "at": at,
                }
                for at, tensor in enumerate(size.tensors)
                if tensor.name in chosen and tensor.n and tensor.coded
            ]
    if not values:
        return None
    model_of = choice("model", [str(v["model"]) for v in values])
    chart = (
        chart_of(values)
        .transform_filter(model_of)
        .add_params(model_of)
        .mark_rect()
        .encode(
            x=alt.X("recipe:N", title=None).axis(labelAngle=-30, labelLimit=260),
            y=alt.Y("tensor:N", title=None, sort=alt.EncodingSortField("at")).axis(labelLimit=260),
            color=alt.Color("bits:Q", title="bits/value").scale(scheme="viridis"),
            tooltip=["tensor:N", "recipe:N", "bits:Q", alt.Tooltip("n:Q", title="values")],
        )
        .properties(width="container", height=alt.Step(14))
    )
    return Figure(
        "heat-map",
        "Bits per tensor",
        f"Coded tensors in the order of the model (the {TENSORS} largest), under the {RECIPES} "
        "smallest recipes, each with its smallest codec.",
        chart.to_dict(),
    )
