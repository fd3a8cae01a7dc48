"""Linear probes: what a frozen encoder knows of a task, read off by logistic regression."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from slashbench.bench.models.pretrained import kept
from slashbench.contracts import Split, Weights

#: Of the fit: raise it, and that of the models, when the same features give another probe.
REVISION = 2

#: Strengths of the L2 term among which validation data choose, per example.
STRENGTHS = (1e-3, 1e-2, 3e-2, 1e-1, 3e-1)
#: A feature's least standard deviation, as a share of the median one: what hardly varies on the
#: training part would get weights without bound, which no quantiser leaves as they are.
LEAST_SPREAD = 0.1
STEPS = 200  # of L-BFGS, at most

#: The features (n, width) and labels (n,) of a part.
Features = Callable[[Split], tuple[torch.Tensor, torch.Tensor]]


def fitted(name: str, features: Features, classes: int) -> Weights:
    """Return the weight and bias of a probe on a frozen encoder's features, kept in the cache.

    The strength of the L2 term is the one of least cross-entropy on validation data.

    name: with what it follows from, such as a hash of encoder and data.
    """

    def fit() -> Weights:
        inputs, labels = features("train")
        held_out, wanted = features("validation")
        probes = [_fit(inputs, labels, classes, strength) for strength in STRENGTHS]
        with torch.no_grad():
            losses = [float(functional.cross_entropy(p(held_out), wanted)) for p in probes]
        best = probes[losses.index(min(losses))]
        return {n: w.detach().contiguous() for n, w in best.state_dict().items()}

    return kept(f"probe-{name}-{REVISION}", fit)


def _fit(inputs: torch.Tensor, labels: torch.Tensor, classes: int, strength: float) -> nn.Linear:
    """Fit on standardised features in float64; return the probe of the features as they are."""
    mean, scale = inputs.double().mean(0), inputs.double().std(0)
    scale = scale.clamp(min=LEAST_SPREAD * float(scale.median()) + 1e-9)
    rows = (inputs.double() - mean) / scale
    probe = nn.Linear(inputs.shape[1], classes, dtype=torch.float64)
    nn.init.zeros_(probe.weight)
    nn.init.zeros_(probe.bias)
    optimizer = torch.optim.LBFGS(
        probe.parameters(), max_iter=STEPS, history_size=20, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = functional.cross_entropy(probe(rows), labels)
        loss = loss + strength * probe.weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        probe.weight /= scale
        probe.bias.sub_(probe.weight @ mean)
    return probe.float()
