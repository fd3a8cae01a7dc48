"""Fig. 2 and 3: cost and shape in the course of training, from the log of every step."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from slashbench.bench.report.sections import Figure
from slashbench.bench.report.tables import Table
from slashbench.bench.reproduce import charts
from slashbench.bench.reproduce.backslash import paper
from slashbench.bench.reproduce.claims import Check, Claim, Sample, difference
from slashbench.bench.reproduce.evidence import Evidence, Method, Observation
from slashbench.bench.reproduce.study import Rows, Study, label, spelled

WINDOWS = 40  # of steps, whose mean is one point of a curve: single batches are noise
COMMON_START = 0.1  # largest difference of shape at the first step


def cost(evidence: Evidence) -> Study:
    """Fig. 2: log10(J - beta Jmin) in the course of training."""
    further: list[Check] = []
    sooner: list[Check] = []
    for model, methods in evidence.sweeps():
        for weak, strong in pairwise(methods[1:]):
            what = f"{model}: {label(strong)} against {label(weak)}"
            for of, checks in ((_fall, further), (_early, sooner)):
                more = difference(of(evidence, model, strong), of(evidence, model, weak))
                checks.append(Check(what, more, least=0.0))
    rows: Rows = [
        (
            model,
            label(method),
            spelled(evidence.sample(lambda o: _costs(o)[0], model, method)),
            spelled(evidence.sample(lambda o: _costs(o)[-1], model, method)),
            spelled(_fall(evidence, model, method)),
            spelled(_early(evidence, model, method), 0, in_percent=True),
        )
        for model, method in evidence.trainings()
        if not method.plain
    ]
    return Study(
        "figure-2",
        "Fig. 2: cost during training",
        "R_RD = log10(J - 0.995 Jmin), J = loss + λ / Np Σ (|w| + 1)^ν. The constants of the term "
        "stay in J, and Jmin with them, so that a large λ has a high floor: at the end "
        "R_RD is log10(0.005 Jmin), whatever was learnt. The paper does not say whether its J has "
        "them.",
        [
            Table(
                title="R_RD",
                about=f"of the first and last {WINDOWS}th of the steps; early: share of the fall "
                "that the first tenth of the steps brings",
                columns=("model", "training", "first", "last", "fall", "early"),
                rows=rows,
            ),
            *_chart(evidence, "fig-2", "R_RD during training", "cost", "R_RD", _costs),
        ],
        [
            Claim(
                "Fig. 2",
                "The larger λ, the more steeply the cost falls: further in the same steps.",
                "from each λ to the next, R_RD falls by more over the whole training",
                further,
            ),
            Claim(
                "Fig. 2",
                "The larger λ, the more steeply the cost falls: sooner to its end.",
                "from each λ to the next, the first tenth of the steps brings a larger share of "
                "the fall of R_RD",
                sooner,
            ),
        ],
    )


def shape(evidence: Evidence) -> Study:
    """Fig. 3: the estimated shape in the course of training."""
    starts, ends = [], []
    for model, methods in evidence.sweeps():
        for weak, strong in pairwise(methods[1:]):
            what = f"{model}: {label(strong)} against {label(weak)}"
            start, end = (
                difference(of(evidence, model, weak), of(evidence, model, strong))
                for of in (_first, _last)
            )
            starts.append(Check(what, start, least=-COMMON_START, most=COMMON_START))
            ends.append(Check(what, end, least=0.0))
    rows: Rows = [("BERT (paper)", "λ = 1000", "1.36", f"{paper.FINAL_SHAPE:.2f}")]
    rows += [
        (
            model,
            label(method),
            spelled(_first(evidence, model, method)),
            spelled(_last(evidence, model, method)),
        )
        for model, method in evidence.trainings()
        if not method.plain
    ]
    return Study(
        "figure-3",
        "Fig. 3: shape during training",
        "The shape ν that BackSlash estimates by moments at every step, over the weights in its "
        "scope. The paper fine-tunes pretrained weights, which begin at 1.36; some of ours begin "
        "at their random initial weights.",
        [
            Table(
                title="Shape", about="at the first and at the last step",
                columns=("model", "training", "first", "last"), rows=rows,
            ),
            *_chart(evidence, "fig-3", "Shape during training", "shape", "shape ν", _shapes),
        ],
        [
            Claim(
                "Fig. 3",
                "All λ begin at one shape.",
                f"from each λ to the next, shapes at the first step differ by under {COMMON_START}",
                starts,
            ),
            Claim(
                "Fig. 3",
                "The larger λ, the smaller the shape that training ends with.",
                "from each λ to the next, the shape at the last step is smaller",
                ends,
            ),
        ],
    )  # fmt: skip


def _methods(evidence: Evidence, model: str) -> list[Method]:
    """Those with a term, whose log has its rate and shape; as in the paper, plain is not shown."""
    return [method for method in evidence.methods(model) if not method.plain]


def _windows(values: list[float]) -> list[float]:
    """Means over WINDOWS equal parts of the steps, of each step where there are fewer."""
    parts = min(WINDOWS, len(values))
    edges = [round(i * len(values) / parts) for i in range(parts + 1)]
    return [statistics.fmean(values[a:b]) for a, b in pairwise(edges)]


def _logged(observation: Observation) -> list[dict[str, float]]:
    training = observation.point.training
    return [row for row in (training.log if training else []) if "rate" in row]


def _costs(observation: Observation) -> list[float]:
    """R_RD of each window."""
    rows = _logged(observation)
    costs = _windows([row["loss"] + row["lam"] * row["rate"] for row in rows])
    least = min(costs)
    return [math.log10(c - paper.BETA * least) for c in costs]


def _shapes(observation: Observation) -> list[float]:
    return _windows([row["shape"] for row in _logged(observation)])


def _fall(evidence: Evidence, model: str, method: Method) -> Sample:
    return evidence.sample(lambda o: _costs(o)[0] - _costs(o)[-1], model, method)


def _early(evidence: Evidence, model: str, method: Method) -> Sample:
    """Share of the fall that the first tenth of the steps brings."""

    def of(observation: Observation) -> float | None:
        costs = _costs(observation)
        fall = costs[0] - costs[-1]
        return (costs[0] - costs[len(costs) // 10]) / fall if fall else None

    return evidence.sample(of, model, method)


def _first(evidence: Evidence, model: str, method: Method) -> Sample:
    return evidence.sample(lambda o: _logged(o)[0]["shape"], model, method)


def _last(evidence: Evidence, model: str, method: Method) -> Sample:
    return evidence.sample(lambda o: _logged(o)[-1]["shape"], model, method)


def _chart(
    evidence: Evidence, name: str, title: str, field: str, unit: str, of: Any
) -> Iterator[Figure]:
    rows = []
    for model in evidence.trained():
        for method in _methods(evidence, model):
            curves = list({o.seed: of(o) for o in evidence.select(model, method)}.values())
            steps = len(_logged(evidence.select(model, method)[0]))
            for i, values in enumerate(zip(*curves, strict=False)):
                rows.append(
                    {
                        "model": model,
                        "training": label(method),
                        "step": round((i + 0.5) * steps / len(curves[0])),
                        field: float(f"{statistics.fmean(values):.4g}"),
                    }
                )
    if rows:
        yield Figure(
            name,
            title,
            f"Means over {WINDOWS} parts of the training and over seeds.",
            charts.curves(
                rows,
                charts.Axis("step", "step"),
                charts.Axis(field, unit, from_zero=False),
                "training",
            ),
        )
