"""One picture a model: quality against bits, both sides' curves and the Pareto front.

Laid out here and drawn as SVG by `page/picture.svg.j2`, so that it is there before any script has
run. Losses are drawn on a scale that is linear below the tolerance and logarithmic above.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from slashbench.bench.report.analysis.equal_accuracy import split
from slashbench.bench.report.analysis.pareto import staircase
from slashbench.bench.report.analysis.rate_curves import regimes
from slashbench.bench.report.analysis.short_names import names_by_model, spoken
from slashbench.bench.report.data.results import Results
from slashbench.bench.report.data.seed_means import Line
from slashbench.bench.report.sections import Dot, DrawnCurve, Family, Picture
from slashbench.bench.report.tables import number

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 84, 12, 12, 64
WORST = 1000  # tolerances at which a loss is drawn at the edge

#: One a family, in this order: told apart by people who see colours differently as well.
COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f3c8d", "#8c564b",
    "#b2182b", "#4d9221", "#636363", "#17becf",
)  # fmt: skip
AFTER = "after: "

HOW = (
    "Up and left is good. Up is less loss against the plain float model "
    "of the same seed; the dashed line is the tolerance. Squares are training-time compression, "
    "circles post-training. Each point is a recipe with its smallest codec and its interval of "
    "95 %; points of one regime and quantiser are joined. Filled points and the dark line are the "
    "Pareto front of bits and loss, as they are here. Point at a point, tap it, or use Tab and the "
    "arrow keys; press a family to see it alone."
)
X_TICKS = (0.1, 0.2, 0.5, 1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 12, 16, 32)
Y_TICKS = (-100, -10, -1, 0, 1, 10, 100, 1000)  # in tolerances

Scale = Callable[[float], float]


def pictures(results: Results) -> list[Picture]:
    """Draw each model whose losses are known."""
    names = names_by_model(results.rows)
    shown = {model: _shown(model, results.lines(model)) for model in results.models}
    # Families of training first, each side by name: a colour means the same on every picture.
    found = {family(line) for lines in shown.values() for line in lines}
    order = sorted(found, key=lambda name: (name.startswith(AFTER), name))
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(order)}
    return [_picture(model, lines, names, colours) for model, lines in shown.items() if lines]


def family(line: Line) -> str:
    """Return the name of a point's colour: its regime, or what is done after plain training."""
    first, *rest = line.first.links.split("+")
    if split([line])[0]:
        return spoken(first)
    return AFTER + " + ".join(map(spoken, rest))


def _shown(model: str, lines: Sequence[Line]) -> list[Line]:
    """Return each recipe with its smallest codec, where the loss is known; smallest first."""
    smallest = [line for regime in regimes(model, lines) for line in regime.lines]
    known = [line for line in smallest if line.loss is not None and line.bits > 0]
    return sorted(known, key=lambda line: line.bits)


def _picture(
    model: str,
    shown: Sequence[Line],
    names: Mapping[tuple[str, str], str],
    colours: Mapping[str, str],
) -> Picture:
    tolerance = shown[0].tolerance or 1.0
    x = _bits_scale([line.bits for line in shown])
    y = LossScale([line.loss or 0.0 for line in shown], tolerance)
    here = {family(line) for line in shown}
    families = {name: i for i, name in enumerate(n for n in colours if n in here)}
    front = staircase(shown)
    on_front = {id(line) for line in front}
    dots = [
        Dot(
            x(line.bits),
            y(line.loss or 0.0),
            y((line.loss or 0.0) - line.loss_reach),
            y((line.loss or 0.0) + line.loss_reach),
            families[family(line)],
            not family(line).startswith(AFTER),
            id(line) in on_front,
            _told(line, names[model, line.first.recipe]),
        )
        for line in shown
    ]
    curves: dict[tuple[str, str], list[Line]] = {}
    for line in shown:
        kind = line.first.quantiser.partition(":")[0]
        curves.setdefault((line.first.chain, kind), []).append(line)
    unit = shown[0].first.metric
    return Picture(
        name=f"picture-{model}",
        title=f"{model}: quality against bits per parameter",
        about=f"Loss of {unit}; the tolerance is {tolerance:.3g}.",
        width=WIDTH,
        height=HEIGHT,
        frame=(LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM),
        dots=dots,
        curves=[
            DrawnCurve(families[family(of[0])], _path([(x(p.bits), y(p.loss or 0.0)) for p in of]))
            for of in curves.values()
            if len(of) > 1
        ],
        front=_stairs([(x(line.bits), y(line.loss or 0.0)) for line in front]),
        x_ticks=[(x(tick), f"{tick:g}") for tick in _within(X_TICKS, [p.bits for p in shown])],
        y_ticks=[
            (y(tick * tolerance), f"{tick * tolerance:.3g}")
            for tick in Y_TICKS
            if TOP <= y(tick * tolerance, False) <= HEIGHT - BOTTOM
        ],
        tolerance=y(tolerance),
        x_title="bits per parameter, whole file (logarithmic)",
        y_title="loss (less is up)",
        families=[Family(name, colours[name], not name.startswith(AFTER)) for name in families],
    )


def _told(line: Line, name: str) -> list[str]:
    """Return the lines of a tooltip."""
    row = line.first
    spread = f" ± {line.quantile * line.bits_stderr:.3f}" if line.bits_stderr else ""
    loss = f"loss {number(line.loss, 4, sign=True)}"
    if line.loss_reach:
        low, high = (line.loss or 0.0) - line.loss_reach, (line.loss or 0.0) + line.loss_reach
        loss += f", 95 %: {low:+.4f} to {high:+.4f}"
    kept = "in doubt" if line.in_doubt else "within" if line.keeps_quality else "beyond"
    seeds = len(line.rows)
    return [
        name,
        row.recipe,
        f"{number(line.bits, 3)}{spread} bits with {row.codec}",
        f"{loss} ({kept} tolerance)" if kept != "in doubt" else f"{loss} (tolerance: in doubt)",
        f"{row.metric} {number(line.mean(lambda r: r.value), 4)}",
        f"{seeds} seed{'s' * (seeds > 1)}",
    ]


def _bits_scale(bits: Sequence[float]) -> Scale:
    low, high = math.log(min(bits) / 1.1), math.log(max(bits) * 1.1)
    span = WIDTH - RIGHT - LEFT
    return lambda value: round(LEFT + span * (math.log(value) - low) / (high - low), 1)


class LossScale:
    """A loss to its place: less loss is higher."""

    def __init__(self, losses: Sequence[float], tolerance: float) -> None:
        self.tolerance = tolerance
        places = [self._place(loss) for loss in [*losses, 0.0, 1.5 * tolerance]]
        margin = 0.06 * (max(places) - min(places))
        self.low, self.high = min(places) - margin, max(places) + margin

    def _place(self, loss: float) -> float:
        tolerances = loss / self.tolerance
        return math.copysign(math.log10(1 + min(abs(tolerances), WORST)), tolerances)

    def __call__(self, loss: float, clipped: bool = True) -> float:
        """Return the place of a loss; within the frame where `clipped`."""
        place = self._place(loss)
        if clipped:
            place = min(max(place, self.low), self.high)
        span = HEIGHT - BOTTOM - TOP
        return round(TOP + span * (place - self.low) / (self.high - self.low), 1)


def _within(ticks: Sequence[float], values: Sequence[float]) -> list[float]:
    return [tick for tick in ticks if min(values) / 1.1 <= tick <= max(values) * 1.1]


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x} {y}" for x, y in points)


def _stairs(points: Sequence[tuple[float, float]]) -> str:
    """Join points by steps: first along the bits, then in loss."""
    if not points:
        return ""
    text = f"M{points[0][0]} {points[0][1]}"
    return text + "".join(f"H{x}V{y}" for x, y in points[1:])
