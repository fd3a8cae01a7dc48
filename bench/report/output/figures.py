"""The charts of the page, as Vega-Lite specifications; a model or recipe is chosen from a list."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import altair as alt
import numpy as np

from slashbench.bench.report.boards.deployment import shown_machine
from slashbench.bench.report.boards.weights import described
from slashbench.bench.report.data.results import Results
from slashbench.bench.report.sections import Figure
from slashbench.trainers.numerics import ggd

HEIGHT = 380
TENSORS = 150  # of a model on the heat map, the largest
RECIPES = 12  # of a model on the heat map, the smallest
CHECKPOINTS = 80  # whose histograms are drawn

Values = list[dict[str, Any]]


def figures(results: Results) -> dict[str, list[Figure]]:
    """Return the figures of each board; none if there is nothing to draw."""
    every: dict[str, Callable[[Results], Figure | None]] = {
        "speed": speed_size,
        "ledger": shares,
        "tensors": heat_map,
        "weights": histograms,
    }
    drawn = {name: draw(results) for name, draw in every.items()}
    return {name: [figure] for name, figure in drawn.items() if figure is not None}


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
                        "bits": _round(line.bits),
                        "decode": _round(speed),
                        "low": _round(min(rates)),
                        "high": _round(max(rates)),
                        "encode": _round(line.clock(lambda r: r.encode_mparams_s) or 0.0),
                    }
                )
    if not values:
        return None
    recipe = _choice("of", [str(v["of"]) for v in values], _most(values, "of"), label="recipe ")
    base = _chart(values).transform_filter(recipe).add_params(recipe)
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
        _spec(alt.layer(rule, dots, text)),
    )


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
                        "bits": _round(bits),
                    }
                )
    if not values:
        return None
    model = _choice("model", [str(v["model"]) for v in values], _most(values, "model"))
    chart = (
        _chart(values)
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
                    "bits": _round(8 * tensor.n_bytes / tensor.n),
                    "at": at,
                }
                for at, tensor in enumerate(size.tensors)
                if tensor.name in chosen and tensor.n and tensor.coded
            ]
    if not values:
        return None
    model_of = _choice("model", [str(v["model"]) for v in values])
    chart = (
        _chart(values)
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
                "x": _rounded(centres),
                "weights": _rounded(counts / inside),
                "generalised Gaussian": _rounded(
                    alive * ggd.density(centres, fit.shape, fit.scale)
                ),
                "Gaussian": _rounded(
                    alive
                    * np.exp(-0.5 * (centres / fit.sigma) ** 2)
                    / (fit.sigma * math.sqrt(2 * math.pi))
                ),
            }
        )
    if not values:
        return None
    names = [str(v["of"]) for v in values]
    checkpoint = _choice("of", names, label="checkpoint ")
    kinds = ["weights", "generalised Gaussian", "Gaussian"]
    base = (
        _chart(values)
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
        _spec(alt.layer(bars, curves)),
    )


def _chart(values: Values) -> Any:
    data: Any = alt.Data
    return alt.Chart(data(values=values))


def _choice(field: str, names: Sequence[str], first: str | None = None, label: str = "") -> Any:
    """Return a list under a chart from which one value of a field is chosen."""
    options = list(dict.fromkeys(names))
    return alt.selection_point(
        fields=[field],
        bind=alt.binding_select(options=options, name=label or f"{field} "),
        value=first or options[0],
        empty=False,
    )


def _most(values: Values, field: str) -> str:
    """Return the most frequent value of a field."""
    return Counter(str(value[field]) for value in values).most_common(1)[0][0]


def _spec(chart: Any) -> dict[str, Any]:
    made: dict[str, Any] = chart.properties(width="container", height=HEIGHT).to_dict()
    return made


def _round(value: float) -> float:
    return float(f"{value:.5g}")


def _rounded(values: Any) -> list[float]:
    return [float(f"{value:.4g}") for value in values]
