"""What the headline of each recipe is made of."""

from __future__ import annotations

import altair as alt

from slashbench.bench.report.data.results import Results
from slashbench.bench.report.output.figures.vega import (
    Values,
    chart_of,
    choice,
    most,
    rounded,
)
from slashbench.bench.report.sections import Figure


def shares(results: Results) -> Figure | None:
    """Draw the headline of each recipe's smallest codec as stacked bars."""
    parts = {
        "entropy": lambda r: r.entropy_share and min(r.entropy_share, r.payload_share or 0.0),
        "waste": lambda r: None if r.waste_share is None else max(r.waste_share, 0.0),
        "side": lambda r: r.side_share,
        "floats": lambda r: r.float_share,
    }
    values: Values = []
    for block in results.blocks:
        line = block.smallest
        if line is None or line.first.lossless:
            continue
        for part, of in parts.items():
            bits = line.mean(of)
            if bits is not None:
                values.append(
                    {
                        "model": block.model,
                        "recipe": block.recipe,
                        "codec": line.first.codec,
                        "part": part,
                        "at": list(parts).index(part),
                        "bits": rounded(bits),
                    }
                )
    if not values:
        return None
    model = choice("model", [str(v["model"]) for v in values], most(values, "model"))
    chart = (
        chart_of(values)
        .transform_filter(model)
        .add_params(model)
        .mark_bar()
        .encode(
            x=alt.X("bits:Q", title="bits per parameter"),
            y=alt.Y("recipe:N", title=None, sort="x").axis(labelLimit=320),
            color=alt.Color("part:N", title=None, sort=list(parts)).legend(orient="top"),
            order=alt.Order("at:Q"),
            tooltip=["recipe:N", "codec:N", "part:N", "bits:Q"],
        )
        .properties(width="container", height=alt.Step(18))
    )
    return Figure(
        "shares",
        "The headline taken apart",
        "Bits per parameter of the smallest codec of each recipe. Where a coder goes below the "
        "entropy, its payload stands for it.",
        chart.to_dict(),
    )
