"""How much worse the metric is, in units that a model's tolerance is in."""

from __future__ import annotations

from slashbench.bench.reproduce.claims import Sample
from slashbench.bench.reproduce.evidence import PLAIN, Evidence, Method, Observation
from slashbench.record import loss_of


def losses(
    evidence: Evidence,
    model: str,
    method: Method,
    *,
    step: float = 2.0**-8,
    sparsity: float = 0.0,
    on_training_data: bool = False,
) -> Sample:
    """Of rounded weights against plain ones at 2^-8, seed by seed."""

    def of(observation: Observation) -> float | None:
        found = observation.trained_on if on_training_data else observation.decoded
        return found.value if found else None

    ours = evidence.sample(of, model, method, step=step, sparsity=sparsity)
    theirs = evidence.sample(of, model, PLAIN)
    return _paired(evidence, model, ours, theirs)


def losses_after(
    evidence: Evidence, model: str, method: Method, *, step: float, sparsity: float = 0.0
) -> Sample:
    """Of rounded weights against the same training's, neither pruned nor rounded, seed by seed."""
    ours = evidence.sample(lambda o: o.decoded.value, model, method, step=step, sparsity=sparsity)
    theirs = {o.seed: o.floats.value for o in evidence.select(model, method)}
    return _paired(evidence, model, ours, theirs)


def tolerance(evidence: Evidence, model: str) -> float:
    """The largest loss that counts as none."""
    return evidence.any_of(model).tolerance


def _paired(evidence: Evidence, model: str, ours: Sample, theirs: Sample) -> Sample:
    higher = evidence.any_of(model).decoded.higher_is_better
    return {
        seed: loss_of(ours[seed], theirs[seed], higher)
        for seed in sorted(ours.keys() & theirs.keys())
    }
