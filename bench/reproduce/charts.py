"""Charts as Vega-Lite specifications: one panel for each model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import altair as alt

Data = Sequence[Mapping[str, Any]]  # each with `model`, and the fields of the axes

WIDTH, HEIGHT, COLUMNS = 280, 200, 3
COLOURS = ("#4c78a8", "#f58518", "#54a24b", "#b279a2", "#e45756", "#72b7b2")


@dataclass(frozen=True, slots=True)
class Axis:
    """A field of the rows on an axis. categories: in the order of the rows, not on a scale.

    least: what lies below is cut off.
    """

    field: str
    title: str
    scale: Literal["linear", "sqrt", "symlog"] = "linear"
    from_zero: bool = True
    least: float | None = None
    categories: bool = False
    format: str = ""

    @property
    def shorthand(self) -> str:
        """Return the field with its type, as altair writes it."""
        return f"{self.field}:{'N' if self.categories else 'Q'}"

    @property
    def options(self) -> dict[str, Any]:
        """Return the options of altair's channels."""
        axis = alt.Axis(labelAngle=0, format=self.format or alt.Undefined)
        if self.categories:
            return {"title": self.title, "axis": axis, "sort": None}
        scale = alt.Scale(type=self.scale, zero=self.from_zero)
        if self.least is not None:
            scale = alt.Scale(type=self.scale, domainMin=self.least)
        return {"title": self.title, "axis": axis, "scale": scale}


def lines(rows: Data, x: Axis, y: Axis, colour: str) -> dict[str, Any]:
    """Points with intervals from `low` to `high`, joined, one colour for each value of a field."""
    base = _base(rows, x, colour)
    line = base.mark_line(point=True, strokeWidth=1.8, clip=True).encode(
        y=alt.Y(y.shorthand, **y.options)
    )
    rule = base.mark_rule(strokeWidth=1.2, clip=True).encode(
        y=alt.Y("low:Q", **y.options), y2=alt.Y2("high:Q")
    )
    return _panels(alt.layer(rule, _told(line, x, y, colour)), rows)


def curves(rows: Data, x: Axis, y: Axis, colour: str) -> dict[str, Any]:
    """Lines alone."""
    line = _base(rows, x, colour).mark_line(strokeWidth=1.6)
    line = line.encode(y=alt.Y(y.shorthand, **y.options))
    return _panels(_told(line, x, y, colour), rows)


def densities(rows: Data, x: Axis, y: Axis, colour: str) -> dict[str, Any]:
    """Draw the first value of the field as an area, the others as lines over it."""
    first = rows[0][colour]
    base = _base(rows, x, colour).encode(y=alt.Y(y.shorthand, **y.options))
    area = base.mark_area(opacity=0.35, interpolate="step").transform_filter(
        alt.datum[colour] == first
    )
    line = base.mark_line(strokeWidth=1.6).transform_filter(alt.datum[colour] != first)
    return _panels(alt.layer(area, _told(line, x, y, colour)), rows)


def _base(rows: Data, x: Axis, colour: str) -> alt.Chart:
    values = list(dict.fromkeys(row[colour] for row in rows))
    return alt.Chart().encode(
        x=alt.X(x.shorthand, **x.options),
        color=alt.Color(
            f"{colour}:N",
            title=colour,
            scale=alt.Scale(domain=values, range=COLOURS[: len(values)]),
        ),
    )


def _told(chart: alt.Chart, x: Axis, y: Axis, colour: str) -> alt.Chart:
    """With what one reads where one points."""
    return chart.encode(
        tooltip=[
            alt.Tooltip("model:N"),
            alt.Tooltip(f"{colour}:N"),
            alt.Tooltip(x.shorthand, title=x.title),
            alt.Tooltip(y.shorthand, title=y.title),
        ]
    )


def _panels(chart: alt.Chart | alt.LayerChart | alt.FacetChart, rows: Data) -> dict[str, Any]:
    models = list(dict.fromkeys(row["model"] for row in rows))
    header = alt.Header(labelFontSize=12, labelFontWeight="bold")
    faceted = (
        chart.properties(width=WIDTH, height=HEIGHT)
        .facet(
            facet=alt.Facet("model:N", sort=models, title=None, header=header),
            columns=min(COLUMNS, len(models)),
            data=alt.InlineData(values=list(rows)),
        )
        .resolve_scale(x="independent", y="independent")
        .resolve_axis(x="independent", y="independent")
    )
    spec: dict[str, Any] = faceted.to_dict()
    return spec
