"""Fig. 1 and 6: how weights are distributed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from slashbench.bench.report.sections import Figure
from slashbench.bench.report.tables import NOTHING, Table, number
from slashbench.bench.reproduce import charts
from slashbench.bench.reproduce.backslash import paper
from slashbench.bench.reproduce.claims import Check, Claim, Sample, difference
from slashbench.bench.reproduce.evidence import PLAIN, Evidence, Method, Observation
from slashbench.bench.reproduce.study import Rows, Study, label, spelled
from slashbench.record import Distribution

LEAST_GAIN = 0.01  # bits per weight: a fit that gains less says nothing of the tails
HALF_WIDTH = 0.2  # of the paper's histograms, in units of a weight


def fits(evidence: Evidence) -> Study:
    """Fig. 1: a generalised Gaussian against a Gaussian, on plainly trained weights."""
    models = [m for m in evidence.models if _distribution(evidence.first(m))]
    better, shapes = [], []
    for model in models:
        exact = model not in evidence.trained()
        closer = difference(
            _fits(evidence, model, lambda f: f.gaussian_distance),
            _fits(evidence, model, lambda f: f.distance),
        )
        gain = _fits(evidence, model, lambda f: f.gain_bits)
        better += [
            Check(f"{model}: Kolmogorov-Smirnov distance of the Gaussian less that of the GGD",
                  closer, least=0.0, exact=exact),
            Check(f"{model}: gain of likelihood, bits per weight", gain, least=LEAST_GAIN,
                  exact=exact),
        ]  # fmt: skip
        shapes.append(
            Check(f"{model}: shape by moments", _moment_shapes(evidence, model),
                  least=min(paper.SHAPES.values()) - 0.005,
                  most=max(paper.SHAPES.values()) + 0.005, exact=exact)
        )  # fmt: skip
    claims = [
        Claim(
            "Fig. 1",
            "A generalised Gaussian fits trained weights better than a Gaussian.",
            "for each model a smaller Kolmogorov-Smirnov distance, and more than "
            f"{LEAST_GAIN} bits of likelihood per weight gained",
            better,
        ),
        Claim(
            "Fig. 1",
            "The shape of trained weights lies between 0.85 and 1.54.",
            "for each model the shape by moments, as BackSlash estimates it, in that range",
            shapes,
        ),
    ]
    return Study(
        "figure-1",
        "Fig. 1: fits of a generalised Gaussian",
        "Weights of two and more dimensions of plainly trained or published models. Both densities "
        "are those of greatest likelihood over 100,000 weights with zero mean; the paper gives no "
        "goodness of fit. Shape 1 is Laplace, 2 is Gaussian.",
        [_fit_table(evidence, models), *_fit_chart(evidence, models)],
        claims,
    )


def histograms(evidence: Evidence) -> Study:
    """Fig. 6: histograms as lambda rises."""
    sharper = []
    for model, methods in evidence.sweeps():
        for weak, strong in pairwise(methods):
            what = f"{model}: {label(strong)} against {label(weak)}"
            zeros = difference(_zeros(evidence, model, strong), _zeros(evidence, model, weak))
            shape = difference(
                _moment_shapes(evidence, model, weak), _moment_shapes(evidence, model, strong)
            )
            sharper += [
                Check(f"{what}: more weights that round to zero (share)", zeros, least=0.0),
                Check(f"{what}: less shape, by moments", shape, least=0.0),
            ]
    claim = Claim(
        "Fig. 6",
        "The larger λ, the more sharply weights gather around zero.",
        "from each λ to the next, more weights round to zero at 2^-8, and the shape by moments "
        "falls",
        sharper,
    )
    return Study(
        "figure-6",
        "Fig. 6: histograms of weights",
        "The paper shows λ = 0, 10 and 1000, on an axis it calls the square of frequency, which is "
        "its square root, it seems; so is ours.",
        [_shape_table(evidence), *_histogram_chart(evidence)],
        [claim],
    )


def _distribution(observation: Observation | None) -> Distribution | None:
    return observation.point.distribution if observation else None


def _fits(
    evidence: Evidence, model: str, quantity: Any, method: Method = PLAIN
) -> dict[int, float]:
    def of(observation: Observation) -> float | None:
        found = _distribution(observation)
        return quantity(found.fit) if found and found.fit else None

    return evidence.sample(of, model, method)


def _moment_shapes(evidence: Evidence, model: str, method: Method = PLAIN) -> Sample:
    def of(observation: Observation) -> float | None:
        found = _distribution(observation)
        return found.moment_shape if found else None

    return evidence.sample(of, model, method)


def _zeros(evidence: Evidence, model: str, method: Method) -> Sample:
    return evidence.sample(lambda o: o.size.zeros, model, method)


def _fit_table(evidence: Evidence, models: list[str]) -> Table:
    rows: Rows = [
        (name, "paper", NOTHING, f"{shape:.2f}", *[NOTHING] * 5)
        for name, shape in paper.SHAPES.items()
    ]
    for model in models:
        first = evidence.first(model)
        found = _distribution(first)
        assert first is not None and found is not None
        rows.append(
            (
                model,
                "trained here" if model in evidence.trained() else "as published",
                f"{found.n:,}",
                spelled(_moment_shapes(evidence, model)),
                spelled(_fits(evidence, model, lambda f: f.shape)),
                number(found.moment_shape_of_all),
                spelled(_fits(evidence, model, lambda f: f.distance), 4),
                spelled(_fits(evidence, model, lambda f: f.gaussian_distance), 4),
                spelled(_fits(evidence, model, lambda f: f.gain_bits), 4),
            )
        )
    return Table(
        title="Shapes and goodness of fit",
        about="shape: by moments, and of greatest likelihood; of all: by moments with vectors too, "
        "as published (first seed) · KS: Kolmogorov-Smirnov distance to each density · gain: mean "
        "log-likelihood of the generalised Gaussian over the Gaussian's",
        columns=("model", "weights", "n", "shape", "shape (ML)", "of all", "KS, GGD",
                 "KS, Gaussian", "gain, bits/weight"),
        rows=rows,
    )  # fmt: skip


def _fit_chart(evidence: Evidence, models: list[str]) -> Iterator[Figure]:
    rows = [row for model in models for row in _fit_rows(model, evidence.first(model))]
    if rows:
        yield Figure(
            "fig-1",
            "Weights and both fits",
            "Density of the weights of the first seed, the generalised Gaussian and the Gaussian "
            "of greatest likelihood.",
            charts.densities(
                rows,
                charts.Axis("weight", "weight"),
                charts.Axis("density", "density"),
                "what",
            ),
        )


def _fit_rows(model: str, observation: Observation | None) -> Iterator[dict[str, Any]]:
    found = _distribution(observation)
    if found is None or found.fit is None:
        return
    shape, scale, sigma = found.fit.shape, found.fit.scale, found.fit.sigma
    peak = math.log(shape / (2 * scale)) - math.lgamma(1 / shape)
    gaussian_peak = -math.log(sigma * math.sqrt(2 * math.pi))
    for weight, density in _densities(found):
        generalised = math.exp(peak - abs(weight / scale) ** shape)
        gaussian = math.exp(gaussian_peak - 0.5 * (weight / sigma) ** 2)
        yield _row(model, "counted", weight, density)
        yield _row(model, "generalised Gaussian", weight, generalised)
        yield _row(model, "Gaussian", weight, gaussian)


def _row(model: str, what: str, weight: float, density: float) -> dict[str, Any]:
    return {
        "model": model,
        "what": what,
        "weight": float(f"{weight:.4g}"),
        "density": float(f"{density:.4g}"),
    }


def _densities(found: Distribution) -> Iterator[tuple[float, float]]:
    """(middle of a bin, density in it)."""
    width = (found.high - found.low) / len(found.counts)
    for i, count in enumerate(found.counts):
        yield found.low + (i + 0.5) * width, count / found.n / width


def _shape_table(evidence: Evidence) -> Table:
    rows: Rows = [
        (
            model,
            label(method),
            spelled(_zeros(evidence, model, method), 1, in_percent=True),
            spelled(_moment_shapes(evidence, model, method)),
            spelled(_fits(evidence, model, lambda f: f.shape, method)),
            spelled(_fits(evidence, model, lambda f: f.distance, method), 3),
            spelled(evidence.sample(_sigma, model, method), 4),
        )
        for model, method in evidence.trainings()
    ]
    return Table(
        title="How sharply weights gather around zero",
        about="zeros: weights that round to zero at 2^-8 · KS: Kolmogorov-Smirnov distance to the "
        "generalised Gaussian of greatest likelihood (ML), which follows the spike of tiny weights "
        "where there is one, as the moments follow the tails",
        columns=("model", "training", "zeros", "shape (moments)", "shape (ML)", "KS", "σ"),
        rows=rows,
    )


def _sigma(observation: Observation) -> float | None:
    found = _distribution(observation)
    return found.sigma if found else None


def _histogram_chart(evidence: Evidence) -> Iterator[Figure]:
    rows = []
    for model in evidence.trained():
        methods = evidence.methods(model)
        # the least, the middle and the largest lambda: fewer where fewer were run
        for method in dict.fromkeys(methods[i] for i in (0, len(methods) // 2, -1) if methods):
            found = _distribution(evidence.first(model, method))
            rows += [
                {"model": model, "training": label(method), "weight": float(f"{weight:.4g}"),
                 "density": float(f"{density:.4g}")}
                for weight, density in (_densities(found) if found else ())
                if abs(weight) <= HALF_WIDTH
            ]  # fmt: skip
    if rows:
        yield Figure(
            "fig-6",
            "Weights at three λ",
            "Density of the weights of the first seed; the axis is that of a square root.",
            charts.curves(
                rows,
                charts.Axis("weight", "weight"),
                charts.Axis("density", "density", "sqrt"),
                "training",
            ),
        )
