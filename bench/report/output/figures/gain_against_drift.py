"""What training through rounding saves against how far it could move the weights."""

from __future__ import annotations

import altair as alt

from slashbench.bench.report.analysis.equal_accuracy import saving, smallest_kept, split
from slashbench.bench.report.data.results import Results
from slashbench.bench.report.output.figures.vega import Values, chart_of, rounded, spec_of
from slashbench.bench.report.sections import Figure


def gain_drift(results: Results) -> Figure | None:
    """Draw the bits that training-time recipes save at equal quality against their drift."""
    values: Values = []
    for model in results.models:
        trained, after = split(results.lines(model))
        rival = smallest_kept(after)
        if isinstance(rival, str):
            continue
        for line in trained:
            drift = line.mean(lambda r: r.drift)
            if not drift or not line.keeps_quality:
                continue
            saves = saving(line, rival)
            low, high = saves.low, saves.high
            values.append(
                {
                    "model": model,
                    "recipe": line.first.recipe,
                    "drift": rounded(drift),
                    "saves": rounded(saves.estimate),
                    "low": rounded(saves.estimate if low is None else low),
                    "high": rounded(saves.estimate if high is None else high),
                    "bits": rounded(line.bits),
                    "moved": rounded(line.mean(lambda r: r.moved) or 0.0),
                }
            )
    if not values:
        return None
    base = chart_of(values)
    about = "drift: sum of learning rates since rounding began, in step sizes"
    x = alt.X("drift:Q", title=about).scale(type="log")
    axis = alt.Axis(format="%")
    colour = alt.Color("model:N")
    bars = base.mark_rule().encode(
        x, alt.Y("low:Q", title="bits saved at equal quality", axis=axis), colour, y2="high:Q"
    )
    dots = base.mark_point(filled=True, size=90).encode(
        x,
        alt.Y("saves:Q", title="bits saved at equal quality", axis=axis),
        colour,
        tooltip=["model:N", "recipe:N", "saves:Q", "drift:Q", "moved:Q", "bits:Q"],
    )
    return Figure(
        "gain-drift",
        "Gain against drift",
        "Each training-time recipe within the tolerance: the bits it saves against the smallest "
        "after-training file within the tolerance, whatever either cost to train, and how many "
        "step sizes training could move a weight. Bars: 95 % over seeds.",
        spec_of(alt.layer(bars, dots)),
    )
