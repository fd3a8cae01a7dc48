"""Decoding speed against size."""

from __future__ import annotations

import altair as alt

from slashbench.bench.report.boards.deployment import shown_machine
from slashbench.bench.report.data.results import Results
from slashbench.bench.report.output.figures.vega import (
    Values,
    chart_of,
    choice,
    most,
    rounded,
    spec_of,
)
from slashbench.bench.report.sections import Figure


def speed_size(results: Results) -> Figure | None:
    """Draw decoding speed against size: every codec on one recipe."""
    values: Values = []
    for block in results.blocks:
        for line in block.lines:
            speed = line.clock(lambda r: r.decode_mparams_s)
            if speed:
                rates = [r.decode_mparams_s or speed for r in line.clocks]
                values.append(
                    {
                        "of": f"{block.model} · {block.recipe}",
                        "codec": line.first.codec,
                        "bits": rounded(line.bits),
                        "decode": rounded(speed),
                        "low": rounded(min(rates)),
                        "high": rounded(max(rates)),
                        "encode": rounded(line.clock(lambda r: r.encode_mparams_s) or 0.0),
                    }
                )
    if not values:
        return None
    recipe = choice("of", [str(v["of"]) for v in values], most(values, "of"), label="recipe ")
    base = chart_of(values).transform_filter(recipe).add_params(recipe)
    x = alt.X("decode:Q", title="decoded million parameters a second, one thread").scale(type="log")
    y = alt.Y("bits:Q", title="bits per parameter, whole file").scale(zero=False)
    colour = alt.Color("codec:N", legend=None)
    rule = base.mark_rule().encode(
        alt.X("low:Q", title="decoded million parameters a second, one thread").scale(type="log"),
        y,
        colour,
        x2="high:Q",
    )
    dots = base.mark_point(filled=True, size=90).encode(
        x, y, colour, tooltip=["codec:N", "bits:Q", "decode:Q", "encode:Q", "of:N"]
    )
    text = base.mark_text(align="left", dx=8, fontSize=11).encode(x, y, text="codec:N")
    return Figure(
        "speed-size",
        "Speed against size",
        "Right and low is good. Every codec on the recipe chosen below; bars span the seeds."
        + shown_machine(results),
        spec_of(alt.layer(rule, dots, text)),
    )
