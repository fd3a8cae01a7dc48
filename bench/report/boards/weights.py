"""How weights are distributed before they are quantized, and how well two densities fit them."""

from __future__ import annotations

from slashbench.bench.report.data.results import Results
from slashbench.bench.report.sections import Section
from slashbench.bench.report.tables import NOTHING, Table, number, percent
from slashbench.record import CheckpointRecord


def section(results: Results) -> Section:
    """Build the board of checkpoints whose record has a distribution."""
    points = described(results)
    return Section(
        "weights",
        "Weights",
        "Matrices and embeddings of float checkpoints. shape and scale: the generalised Gaussian "
        "of greatest likelihood (1 Laplace, 2 Gaussian) over a sample, exact zeros left out; KS: "
        "the largest distance of the distribution functions; gain: bits per weight that the "
        "generalised Gaussian saves over a Gaussian as a model of the weights.",
        [
            Table(
                "Distributions of weights",
                "",
                ("model", "checkpoint", "seed", "weights", "sigma", "zeros", "shape", "scale", "KS",
                 "KS Gaussian", "gain"),
                [_row(point) for point in points],
            )
        ] if points else [],
    )  # fmt: skip


def described(results: Results) -> list[CheckpointRecord]:
    """Return checkpoints with a distribution, the one measured last of those that are alike."""
    points = sorted(results.records.points.values(), key=lambda p: p.provenance.measured_at)
    last = {(p.model, p.recipe, p.seed): p for p in points if p.distribution is not None}
    return [last[key] for key in sorted(last)]


def _row(point: CheckpointRecord) -> tuple[str, ...]:
    found = point.distribution
    assert found is not None
    fit = found.fit
    return (
        point.model,
        point.recipe,
        str(point.seed),
        f"{found.n:,}",
        f"{found.sigma:.3g}",
        percent(found.zeros / found.n),
        number(fit.shape if fit else None, 3),
        NOTHING if fit is None else f"{fit.scale:.3g}",
        number(fit.distance if fit else None, 4),
        number(fit.gaussian_distance if fit else None, 4),
        number(fit.gain_bits if fit else None, 3, sign=True),
    )
