"""How sensitive the loss is to each weight: the Fisher information of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from slashbench.contracts import Calibration
from slashbench.errors import UsageError


def row_sensitivities(
    module: nn.Module, batches: Sequence[Any], calibration: Calibration, floor: float
) -> dict[str, torch.Tensor]:
    """Return the mean squared gradient of each row of every parameter, float64, by first name.

    To second order the loss gains half of the Fisher information times change^2, and that of a
    weight is, empirically, its mean squared gradient over batches. A row is all that shares the
    first index: of an embedding a token, whose information grows with its frequency; of a linear
    layer an output.
    floor: share of the mean over all weights that is added to each row: a row that no batch
    uses still counts. Where all gradients are zero, all rows count alike.
    """
    sums = {
        name: torch.zeros(len(_rows(parameter)), dtype=torch.float64)
        for name, parameter in module.named_parameters()
    }
    for batch in batches:
        module.zero_grad(set_to_none=True)
        calibration.forward(module, batch).backward()  # type: ignore[no-untyped-call]
        for name, parameter in module.named_parameters():
            if parameter.grad is not None and parameter.grad.numel():
                sums[name] += _rows(parameter.grad).float().square().mean(1)
    sizes = {name: p.numel() for name, p in module.named_parameters() if p.numel()}
    module.zero_grad(set_to_none=True)
    mean = sum(float(sums[n].mean()) * size for n, size in sizes.items()) / sum(sizes.values())
    if not mean < float("inf"):
        raise UsageError("the gradients of the calibration batches are not finite")
    return {name: rows + (floor * mean if mean else 1.0) for name, rows in sums.items()}


def _rows(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().reshape(len(tensor) if tensor.ndim else 1, -1)
