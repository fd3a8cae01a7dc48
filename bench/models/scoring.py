"""Metrics with their standard errors, computed from one number per test item."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from slashbench.contracts import Metrics


def accuracy(correct: npt.NDArray[np.bool_], nll: npt.NDArray[np.float64], name: str) -> Metrics:
    """Share of correct items in percent; standard error over items; mean NLL in nats beside it."""
    hits = correct.astype(np.float64) * 100.0
    return Metrics(
        name=name,
        value=float(hits.mean()),
        stderr=standard_error(hits),
        n=hits.size,
        higher_is_better=True,
        per_item=hits.tolist(),
        also={"nll": float(nll.mean()), "perplexity": math.exp(min(float(nll.mean()), 700.0))},
    )


def standard_error(values: npt.NDArray[np.float64]) -> float:
    """Standard error of the mean of independent values; 0 for a single one."""
    return float(values.std(ddof=1) / math.sqrt(values.size)) if values.size > 1 else 0.0
