"""Fig. 5: the metric by lambda, on test and on training data."""

from __future__ import annotations

from collections.abc import Iterator

from slashbench.bench.report.sections import Figure
from slashbench.bench.report.tables import Table
from slashbench.bench.reproduce import charts
from slashbench.bench.reproduce.backslash import paper
from slashbench.bench.reproduce.claims import Check, Claim, Sample, estimate, ratio
from slashbench.bench.reproduce.evidence import PLAIN, Evidence, Method, Observation, bits, metric
from slashbench.bench.reproduce.losses import losses, tolerance
from slashbench.bench.reproduce.study import (
    CODERS,
    Rows,
    Study,
    label,
    paper_label,
    per_parameter,
    percent,
    spelled,
)

SMALL = 2  # so many of the smallest lambdas should cost nothing
PAPER_SHARE = paper.LENGTHS[1000][0] / paper.LENGTHS[0][0]  # of plain EG, that is left


def by_lambda(evidence: Evidence) -> Study:
    """Fig. 5."""
    small, strong, trained = [], [], []
    for model, methods in evidence.sweeps():
        most = tolerance(evidence, model)
        small += [
            Check(f"{model}: {label(m)}, loss", losses(evidence, model, m), most=most)
            for m in methods[1 : 1 + SMALL]
        ]
        reached = next(
            (m for m in methods[1:] if _mean_share(evidence, model, m) <= PAPER_SHARE), None
        )
        if reached is not None:
            lost = {seed: v / most for seed, v in losses(evidence, model, reached).items()}
            strong.append(
                Check(f"{model}: {label(reached)}, loss in tolerances", lost,
                      most=paper.LOSS_IN_TEXT)
            )  # fmt: skip
        trained += [
            Check(f"{model}: {label(m)}, loss on training data",
                  losses(evidence, model, m, on_training_data=True), most=most)
            for m in methods[1:]
        ]  # fmt: skip
    drop = paper.ACCURACIES[0][0] - paper.ACCURACIES[1000][0]
    claims = [
        Claim(
            "Fig. 5",
            "A small λ costs no accuracy.",
            f"at each of the {SMALL} smallest λ the loss on test data is within the tolerance",
            small,
        ),
        Claim(
            "Fig. 5",
            f"Where EG is down to {percent(PAPER_SHARE)} of the plain model's, about a point is "
            "lost.",
            f"at the smallest λ run with EG (k = 0) at most {percent(PAPER_SHARE)} of the plain "
            f"model's, the loss on test data is below {paper.LOSS_IN_TEXT} tolerances, a point "
            f"each: the paper's table says {drop:.2f}, its text {paper.LOSS_IN_TEXT:.2f}",
            strong,
        ),
        Claim(
            "Fig. 5",
            "Accuracy on training data does not suffer at any λ.",
            "at each λ the loss on training data is within the tolerance",
            trained,
        ),
    ]
    rows: Rows = [
        ("BERT (paper)", paper_label(lam), per_parameter(lam, paper.BERT_PARAMETERS),
         f"{test:.2f}",
         f"{paper.ACCURACIES[0][0] - test:+.2f}", f"{train:.2f}",
         percent(paper.LENGTHS[lam][0] / paper.LENGTHS[0][0]))
        for lam, (test, train) in paper.ACCURACIES.items()
    ]  # fmt: skip
    for model, method in evidence.trainings():
        first = evidence.first(model, method)
        if first is None or model not in evidence.trained():
            continue
        points = first.decoded.higher_is_better
        rows.append(
            (
                f"{model}, {first.decoded.metric}",
                label(method),
                per_parameter(method.lam, first.point.n_parameters),
                spelled(evidence.sample(metric, model, method), 2 if points else 3),
                spelled(losses(evidence, model, method), 2 if points else 3, sign=True),
                spelled(evidence.sample(_on_training_data, model, method), 2 if points else 3),
                spelled(_share(evidence, model, method), 0, in_percent=True),
            )
        )
    return Study(
        "figure-5",
        "Fig. 5: accuracy by λ",
        f"Of weights rounded to 2^-8. Table 4 and this figure give a loss of {drop:.2f} points at "
        f"λ = 1000; the paper's text says {paper.LOSS_IN_TEXT:.2f}. The tolerance is the model's "
        "own tolerance. Intervals are over seeds.",
        [
            Table(
                title="Metric by λ",
                about="loss: against the plain model of the same seed, in the unit of the "
                "metric · EG: of the plain model's, k = 0",
                columns=("model", "training", "λ / Np", "test", "loss", "training data", "EG left"),
                rows=rows,
            ),
            *_chart(evidence),
        ],
        claims,
    )


def _on_training_data(observation: Observation) -> float | None:
    return observation.trained_on.value if observation.trained_on else None


def _share(evidence: Evidence, model: str, method: Method) -> Sample:
    """EG over that of the plain model."""
    ours, theirs = (evidence.sample(bits, model, m, codec=CODERS["EG"]) for m in (method, PLAIN))
    return ratio(ours, theirs)


def _mean_share(evidence: Evidence, model: str, method: Method) -> float:
    found = _share(evidence, model, method)
    return estimate(found).mean if found else 1.0


def _chart(evidence: Evidence) -> Iterator[Figure]:
    rows = []
    for lam, values in paper.ACCURACIES.items():
        for data, value in zip(("test", "training"), values, strict=True):
            rows.append({"model": "BERT (paper), accuracy in %", "λ": str(lam), "data": data,
                         "metric": value, "low": value, "high": value})  # fmt: skip
    for model in evidence.trained():
        for method in evidence.methods(model):
            first = evidence.first(model, method)
            for data, quantity in (("test", metric), ("training", _on_training_data)):
                sample = evidence.sample(quantity, model, method)
                if sample and first:
                    found = estimate(sample)
                    width = found.half_width or 0.0
                    rows.append(
                        {"model": f"{model}, {first.decoded.metric}", "λ": f"{method.lam:g}",
                         "data": data, "metric": round(found.mean, 4),
                         "low": round(found.mean - width, 4), "high": round(found.mean + width, 4)}
                    )  # fmt: skip
    if rows:
        yield Figure(
            "fig-5",
            "Metric by λ",
            "Of rounded weights on test and on training data, with intervals of 95 % over seeds.",
            charts.lines(
                rows,
                charts.Axis("λ", "λ", categories=True),
                charts.Axis("metric", "metric", from_zero=False),
                "data",
            ),
        )
