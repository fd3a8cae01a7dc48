"""Parts of Vega-Lite specifications that charts share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import altair as alt

HEIGHT = 380

Values = list[dict[str, Any]]


def chart_of(values: Values) -> Any:
    """Return a chart of these values."""
    data: Any = alt.Data
    return alt.Chart(data(values=values))


def choice(field: str, names: Sequence[str], first: str | None = None, label: str = "") -> Any:
    """Return a list under a chart from which one value of a field is chosen."""
    options = list(dict.fromkeys(names))
    return alt.selection_point(
        fields=[field],
        bind=alt.binding_select(options=options, name=label or f"{field} "),
        value=first or options[0],
        empty=False,
    )


def most(values: Values, field: str) -> str:
    """Return the most frequent value of a field."""
    return Counter(str(value[field]) for value in values).most_common(1)[0][0]


def spec_of(chart: Any) -> dict[str, Any]:
    """Return the specification of a chart as wide as its place."""
    made: dict[str, Any] = chart.properties(width="container", height=HEIGHT).to_dict()
    return made


def rounded(value: float) -> float:
    """Round to five significant digits: a page needs no more."""
    return float(f"{value:.5g}")


def all_rounded(values: Any) -> list[float]:
    """Round each of many values to four significant digits."""
    return [float(f"{value:.4g}") for value in values]
