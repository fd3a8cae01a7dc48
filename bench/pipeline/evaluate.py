"""The metric of some weights, beside those of the float model."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from slashbench.bench.pipeline.keys import Fields
from slashbench.contracts import Model, Reference, Split, Weights
from slashbench.errors import TrainingDiverged
from slashbench.trainers.training import loop


def module_of(model: Model, seed: int, weights: Weights) -> nn.Module:
    """Return the model's module with these weights, as it computes."""
    module = model.build(seed)
    module.load_state_dict(weights)
    return module.float() if model.widened else module


def evaluate(
    model: Model, module: nn.Module, split: Split, reference: Reference | None = None
) -> Fields:
    """Return the fields of an evaluation.

    reference: the model with the trained float weights, unless `module` is that.
    Raises TrainingDiverged where the metric is not finite, for all items or for one.
    """
    metrics = model.evaluate(module, split, reference)
    if not math.isfinite(metrics.value):
        raise TrainingDiverged(
            f"{metrics.name} is {metrics.value}: the weights or their outputs are not finite"
        )
    if not np.isfinite(metrics.per_item).all():
        place = int(np.flatnonzero(~np.isfinite(metrics.per_item))[0])
        raise TrainingDiverged(
            f"{metrics.name} of item {place} is {metrics.per_item[place]}: the weights or their "
            "outputs are not finite"
        )
    return {
        "metric": metrics.name,
        "value": metrics.value,
        "stderr": metrics.stderr if math.isfinite(metrics.stderr) else None,  # of one item: nan
        "n": metrics.n,
        "higher_is_better": metrics.higher_is_better,
        "per_item": [float(f"{item:.6g}") for item in metrics.per_item],
        "also": {n: v for n, v in metrics.also.items() if math.isfinite(v)},
        "noise": None if reference is not None else _noise(model, module, split, metrics.value),
    }


def _noise(model: Model, module: nn.Module, split: Split, value: float) -> float:
    """Return how much the metric changes when another number of threads computes it."""
    with loop.threads(1 if torch.get_num_threads() > 1 else 2):
        return abs(model.evaluate(module, split).value - value)
