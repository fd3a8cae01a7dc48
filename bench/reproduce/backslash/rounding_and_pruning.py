"""Fig. 7 and 8: rounding and pruning after training."""

from __future__ import annotations

import math
from collections.abc import Iterator

from slashbench.bench.report.sections import Figure
from slashbench.bench.report.tables import NOTHING, Table
from slashbench.bench.reproduce import charts
from slashbench.bench.reproduce.backslash import paper
from slashbench.bench.reproduce.claims import Check, Claim, Sample, difference, estimate
from slashbench.bench.reproduce.evidence import PLAIN, Evidence, Method, Observation
from slashbench.bench.reproduce.losses import losses_after, tolerance
from slashbench.bench.reproduce.study import Rows, Study, chosen, label, percent, spelled

OCTAVE = 1.0  # steps no further apart than this are the same cliff
DESTROYED = 10.0  # tolerances lost
LOSS = charts.Axis("loss", "loss, in tolerances", "symlog", least=-2.0)
RUIN = 2.0**-4 / paper.BERT_SIGMA  # in standard deviations of a weight, the step that ruins BERT


def rounding(evidence: Evidence) -> Study:
    """Fig. 7: the quantization step."""
    flat, same, ruined = [], [], []
    unharmed = f"{paper.STEP / paper.BERT_SIGMA:.2f}"
    rows: Rows = [("BERT (paper)", "plain and BackSlash", "2^-8", unharmed, "2^-4", f"{RUIN:.2f}")]
    for model in evidence.models:
        most = tolerance(evidence, model)
        exact = model not in evidence.trained()
        coarsest: dict[Method, Sample] = {}
        for method in _both(evidence, model):
            steps = _steps(evidence, model, method)
            if len(steps) < 3:
                continue
            coarsest[method] = _harmless_steps(evidence, model, method, steps)
            fine = [step for step in steps if step <= paper.STEP]
            flat += [
                Check(f"{model}: {label(method)}, 2^{math.log2(step):g}, loss",
                      losses_after(evidence, model, method, step=step), most=most, exact=exact)
                for step in fine
            ]  # fmt: skip
            sigma = _sigma(evidence, model, method)
            near = [s for s in steps if sigma and s >= RUIN * sigma]
            if near and sigma:
                ruined.append(
                    Check(
                        f"{model}: {label(method)}, 2^{math.log2(min(near)):g} "
                        f"({min(near) / sigma:.1f} σ), loss in tolerances",
                        {s: v / most for s, v in
                         losses_after(evidence, model, method, step=min(near)).items()},
                        least=DESTROYED,
                        exact=exact,
                    )
                )  # fmt: skip
            ruin = _ruinous_step(evidence, model, method, steps)
            rows.append(
                (
                    model,
                    label(method),
                    *_step_in_sigma(_mean_step(coarsest[method]), sigma),
                    *_step_in_sigma(ruin, sigma),
                )
            )
        if len(coarsest) == 2:
            plain, backslash = coarsest.values()
            same.append(
                Check(f"{model}: octaves that BackSlash bears more", difference(backslash, plain),
                      least=-OCTAVE, most=OCTAVE)
            )  # fmt: skip
    claims = [
        Claim(
            "Fig. 7",
            "From 2^-8 on, finer steps change nothing, plain or BackSlash.",
            "at each measured step of 2^-8 and finer the loss to the float weights is within the "
            "tolerance",
            flat,
        ),
        Claim(
            "Fig. 7",
            "BackSlash neither helps nor hurts quantization: both fall off the same cliff.",
            "the coarsest step up to which nothing is lost differs by less than an octave",
            same,
        ),
        Claim(
            "Fig. 7",
            "At 2^-4 both models are destroyed.",
            f"2^-4 is {RUIN:.1f} standard deviations of BERT's weights: at the first measured step "
            f"of so many of ours, more than {DESTROYED:g} tolerances are lost",
            ruined,
        ),
    ]
    return Study(
        "figure-7",
        "Fig. 7: the quantization step",
        "Weights rounded to one step after training, against the same weights in float. A step "
        "means nothing without the scale of the weights: σ is their standard deviation, and for "
        "BERT follows from its code length.",
        [
            Table(
                title="Steps that do no harm",
                about="harmless: the coarsest step at which, and at all finer ones, no more than "
                "the tolerance is lost, mean exponent over seeds · ruinous: the finest measured "
                f"one at which more than {DESTROYED:g} tolerances are lost",
                columns=("model", "training", "harmless", "harmless, σ", "ruinous", "ruinous, σ"),
                rows=rows,
            ),
            *_step_chart(evidence),
        ],
        claims,
    )


def pruning(evidence: Evidence) -> Study:
    """Fig. 8: the pruning rate."""
    later, bears, fails = [], [], []
    rows: Rows = [
        ("BERT (paper)", "plain", percent(paper.PLAIN_KNEE)),
        ("BERT (paper)", "BackSlash", percent(paper.BACKSLASH_KNEE)),
        ("GPT-2, Llama-3, Gemma-2 (paper)", "plain", "below 60 %"),
        ("GPT-2, Llama-3, Gemma-2 (paper)", "BackSlash", "90 %"),
    ]
    for model in evidence.trained():
        knees = {
            method: _knees(evidence, model, method)
            for method in _both(evidence, model)
            if _rates(evidence, model, method)
        }
        rows += [
            (model, label(method), spelled(knee, 0, in_percent=True))
            for method, knee in knees.items()
        ]
        if len(knees) == 2:
            plain, backslash = knees.values()
            later.append(
                Check(f"{model}: BackSlash less plain", difference(backslash, plain), least=0.0)
            )
            bears.append(Check(f"{model}: BackSlash", backslash, least=paper.BACKSLASH_KNEE - 0.05))
            fails.append(Check(f"{model}: plain", plain, most=0.6))
    claims = [
        Claim(
            "Fig. 8",
            "BackSlash models bear more pruning than plain ones.",
            "the largest rate up to which no more than the tolerance is lost is larger",
            later,
        ),
        Claim(
            "Fig. 8",
            "BackSlash models hold up to a pruning rate of 80 %.",
            "that rate is 80 % or more",
            bears,
        ),
        Claim(
            "Fig. 8",
            "Plain models fail below 60 %.",
            "that rate is below 60 %",
            fails,
        ),
    ]
    return Study(
        "figure-8",
        "Fig. 8: the pruning rate",
        "The smallest weights of all matrices together set to zero after training, without "
        "retraining, then rounded to 2^-8; against the same weights unpruned in float.",
        [
            Table(
                title="Pruning that does no harm",
                about="the largest measured rate at which, and at all smaller ones, no more than "
                "the tolerance is lost; mean over seeds",
                columns=("model", "training", "rate"),
                rows=rows,
            ),
            *_rate_chart(evidence),
        ],
        claims,
    )


def _both(evidence: Evidence, model: str) -> list[Method]:
    backslash = chosen(evidence, model)
    return [PLAIN] if backslash is None else [PLAIN, backslash]


def _steps(evidence: Evidence, model: str, method: Method) -> list[float]:
    """Those measured, finest first."""
    return sorted({o.step for o in evidence.select(model, method)})


def _rates(evidence: Evidence, model: str, method: Method) -> list[float]:
    """Pruning rates measured at 2^-8, rising."""
    return sorted(
        {o.sparsity for o in evidence.all
         if o.model == model and o.method == method and o.step == paper.STEP and o.sparsity}
    )  # fmt: skip


def _harmless_steps(
    evidence: Evidence, model: str, method: Method, steps: list[float]
) -> dict[int, float]:
    """seed -> log2 of the coarsest step up to which no more than the tolerance is lost."""
    curves = {step: losses_after(evidence, model, method, step=step) for step in steps}
    found = _last_kept(curves, tolerance(evidence, model))
    return {seed: math.log2(step) for seed, step in found.items() if step is not None}


def _knees(evidence: Evidence, model: str, method: Method) -> dict[int, float]:
    """seed -> the largest pruning rate up to which no more than the tolerance is lost."""
    curves = {
        rate: losses_after(evidence, model, method, step=paper.STEP, sparsity=rate)
        for rate in _rates(evidence, model, method)
    }
    found = _last_kept(curves, tolerance(evidence, model))
    return {seed: rate or 0.0 for seed, rate in found.items()}


def _last_kept(curves: dict[float, Sample], most: float) -> dict[int, float | None]:
    """seed -> the last key, in order, up to which the loss is at most `most`; None: not the first.

    Only of seeds that have the whole curve.
    """
    seeds = set.intersection(*(set(sample) for sample in curves.values()))
    found: dict[int, float | None] = {}
    for seed in sorted(seeds):
        found[seed] = None
        for key, sample in curves.items():
            if sample[seed] > most:
                break
            found[seed] = key
    return found


def _sigma(evidence: Evidence, model: str, method: Method) -> float | None:
    def of(observation: Observation) -> float | None:
        found = observation.point.distribution
        return found.sigma if found else None

    found = evidence.sample(of, model, method)
    return estimate(found).mean if found else None


def _mean_step(exponents: Sample) -> float | None:
    return 2 ** estimate(exponents).mean if exponents else None


def _ruinous_step(
    evidence: Evidence, model: str, method: Method, steps: list[float]
) -> float | None:
    """Return the finest step size at which the mean loss is more than DESTROYED tolerances."""
    most = DESTROYED * tolerance(evidence, model)
    for step in steps:
        sample = losses_after(evidence, model, method, step=step)
        if sample and estimate(sample).mean > most:
            return step
    return None


def _step_in_sigma(step: float | None, sigma: float | None) -> tuple[str, str]:
    if step is None:
        return NOTHING, NOTHING
    return f"2^{math.log2(step):.3g}", f"{step / sigma:.2f}" if sigma else NOTHING


def _step_chart(evidence: Evidence) -> Iterator[Figure]:
    rows = [
        _point(model, method, "log2 step", math.log2(step), evidence, sample)
        for model in evidence.models
        for method in _both(evidence, model)
        for step in _steps(evidence, model, method)
        if len(_steps(evidence, model, method)) > 2
        and (sample := losses_after(evidence, model, method, step=step))
    ]
    if rows:
        yield Figure(
            "fig-7",
            "Loss by quantization step",
            "In tolerances of the model (1 is the most that counts as none), on the scale of a "
            "symmetric logarithm, with intervals of 95 % over seeds.",
            charts.lines(
                rows,
                charts.Axis("log2 step", "log2 of the step"),
                LOSS,
                "training",
            ),
        )


def _rate_chart(evidence: Evidence) -> Iterator[Figure]:
    rows = [
        _point(model, method, "rate", rate, evidence, sample)
        for model in evidence.trained()
        for method in _both(evidence, model)
        for rate in _rates(evidence, model, method)
        if (sample := losses_after(evidence, model, method, step=paper.STEP, sparsity=rate))
    ]
    if rows:
        yield Figure(
            "fig-8",
            "Loss by pruning rate",
            "In tolerances of the model (1 is the most that counts as none), on the scale of a "
            "symmetric logarithm, with intervals of 95 % over seeds.",
            charts.lines(
                rows,
                charts.Axis("rate", "pruning rate", format="%"),
                LOSS,
                "training",
            ),
        )


def _point(
    model: str, method: Method, x: str, at: float, evidence: Evidence, sample: Sample
) -> dict[str, float | str]:
    most = tolerance(evidence, model)
    found = estimate({seed: value / most for seed, value in sample.items()})
    width = found.half_width or 0.0
    return {
        "model": model,
        "training": label(method),
        x: round(at, 4),
        "loss": round(found.mean, 4),
        "low": round(found.mean - width, 4),
        "high": round(found.mean + width, 4),
    }
