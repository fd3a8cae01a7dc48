"""How strongly the loss feels each direction of each matrix: row sensitivity times input moment.

To second order the loss rises by half of  sum_r f_r e_r S e_r^T  for errors e_r of the rows, S the
second moment of the inputs and f_r the sensitivity of a row, up to a factor that is measured: the
rise when a matrix is disturbed by noise, both ways, over the one that is predicted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from slashbench.contracts import Calibration, Weights
from slashbench.trainers.numerics.fisher import row_sensitivities
from slashbench.trainers.numerics.layer_inputs import LinearLayers
from slashbench.trainers.numerics.obs import inverse_factor

FLOOR = 0.1  # share of the mean sensitivity that a row has at least
DAMP = 1e-3  # share of the mean curvature that is added to each input's
NOISE_NATS = 0.02  # rise of the loss for which noise is chosen


@dataclass(frozen=True, slots=True)
class FeltMatrix:
    """One matrix: v of all its directions, flat, and what step sizes save, in bits a weight.

    v: curvature of the loss times the mean square of the weights.
    """

    felt: torch.Tensor
    columns_bits: float
    rows_bits: float


def felt_matrices(
    weights: Weights, calibration: Calibration, batches: int
) -> tuple[nn.Module, dict[str, FeltMatrix]]:
    """Return the model and, by name, how its matrices are felt by the training loss.

    batches: of calibration, for gradients, moments and the loss under noise.
    """
    layers = LinearLayers(weights, calibration, batches)
    rows = row_sensitivities(layers.module, layers.batches, calibration, FLOOR)
    named = dict(layers.module.named_parameters())
    moments = dict(layers.moments())
    found = {}
    for name, parameter in named.items():
        if parameter.ndim < 2 or not parameter.numel() or name not in rows:
            continue
        columns = parameter[0].numel()
        moment = moments.get(name, torch.eye(columns, dtype=torch.float64))
        if not moment.any():  # inputs that are always zero: no direction is felt
            found[name] = FeltMatrix(torch.zeros(parameter.numel(), dtype=torch.float64), 0.0, 0.0)
            continue
        curvature = rows[name] / moment.diagonal().mean()
        scale = _measured(name, curvature, moment, layers, calibration)
        found[name] = _felt(parameter.detach(), curvature * scale, moment)
    return layers.module, found


def saved_by_columns(moment: torch.Tensor, damp: float = DAMP) -> float:
    """Return the bits a weight that a step size for each column saves: half log2 of AM / GM.

    Of l_ii^2, the part of an input's second moment that those after it do not explain.
    """
    unexplained = inverse_factor(moment, damp).diagonal().reciprocal().square()
    return _spread_bits(unexplained)


def _felt(weight: torch.Tensor, curvature: torch.Tensor, moment: torch.Tensor) -> FeltMatrix:
    directions = torch.linalg.eigvalsh(moment).clamp(min=0)
    square = float(weight.double().square().mean())
    felt = torch.outer(curvature, directions).flatten() * square
    diagonal = torch.equal(moment, torch.eye(len(moment), dtype=moment.dtype))
    columns = 0.0 if diagonal else saved_by_columns(moment)
    return FeltMatrix(felt, columns, _spread_bits(curvature))


def _spread_bits(values: torch.Tensor) -> float:
    kept = values[values > 0]
    if not len(kept):
        return 0.0
    return 0.5 * math.log2(float(kept.mean())) - 0.5 * float(kept.log2().mean())


@torch.no_grad()
def _measured(
    name: str,
    curvature: torch.Tensor,
    moment: torch.Tensor,
    layers: LinearLayers,
    calibration: Calibration,
) -> float:
    """Return the rise of the loss under noise over the one that the curvature predicts."""
    parameter = dict(layers.module.named_parameters())[name]
    kept = parameter.detach().clone()
    generator = torch.Generator().manual_seed(calibration.seed)
    noise = torch.randn(kept.shape, generator=generator)
    scale = 1.0
    for _ in range(3):  # the first guess may be far from the rise that is wanted
        predicted = 0.5 * float(curvature.sum() * moment.diagonal().sum()) * scale
        size = math.sqrt(NOISE_NATS / predicted)
        losses = {}
        for sign in (-1.0, 0.0, 1.0):
            parameter.copy_(kept + sign * size * noise)
            losses[sign] = _loss(layers, calibration)
        parameter.copy_(kept)
        rise = 0.5 * (losses[-1.0] + losses[1.0]) - losses[0.0]
        if not (rise > 0 and math.isfinite(rise)):
            return scale
        scale *= rise / NOISE_NATS
        if 0.5 < rise / NOISE_NATS < 2:
            break
    return scale


def _loss(layers: LinearLayers, calibration: Calibration) -> float:
    total = sum(float(calibration.forward(layers.module, batch)) for batch in layers.batches)
    return total / len(layers.batches)
