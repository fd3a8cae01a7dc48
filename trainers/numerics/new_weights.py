"""New weights in the place of those of a checkpoint: what transforms return."""

from __future__ import annotations

import torch

from slashbench.contracts import Weights


def cast(weight: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """Return a weight in this dtype, finite: what lies beyond its end becomes its end."""
    largest = torch.finfo(dtype).max
    return weight.clamp(-largest, largest).to(dtype)


def replaced(weights: Weights, new: Weights) -> Weights:
    """`weights` with some replaced by name, and with them all names tied to those."""
    by_identity = {id(weights[name]): tensor for name, tensor in new.items()}
    return {name: by_identity.get(id(tensor), tensor) for name, tensor in weights.items()}
