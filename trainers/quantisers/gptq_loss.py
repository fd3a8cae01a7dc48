"""GPTQ and RDOQ together; the loss's sensitivity sets step sizes and the price of an error."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import torch

from slashbench import validate
from slashbench.contracts import Calibration, Quantized
from slashbench.grid import ChannelScales, TensorScale
from slashbench.trainers.numerics.fisher import row_sensitivities
from slashbench.trainers.numerics.integers import float_of_scales, to_int32
from slashbench.trainers.numerics.layer_inputs import LinearLayers
from slashbench.trainers.quantisers import rdoq
from slashbench.trainers.quantisers.calibrated import (
    AllQuantized,
    Arrays,
    Calibrated,
    as_tensors,
)
from slashbench.trainers.quantisers.gptq import Factor, solve
from slashbench.trainers.quantisers.quantize import Scope
from slashbench.trainers.quantisers.tuned_scales import tuned

SIDE_BITS = 16  # of a scale that a row has for itself


class GPTQLoss(Calibrated):
    """Quantize by GPTQ with step sizes from the loss's sensitivity and a price on code length.

    Minimises  loss + lam bits  to second order over the whole model: linear layers by GPTQ,
    embeddings and all other matrices by RDOQ. The step size of a row goes as its mean squared
    gradient to the power -1/2, so that at fine steps a bit buys the same everywhere (reverse
    water-filling). Rows of a tensor have step sizes of their own where that saves more than the 16
    bits that each takes. Codecs that model rows suit it
    (`rans-classes`).

    The combination is ours, its parts are not: a price per bit in GPTQ's rounding is OPTQ-RD's, and
    CERWU adds a quadratic rate to the update (`ridge`).

    Parameters
    ----------
    step : float
        Geometric mean of the step sizes over all weights.
    lam : float
        Squared step sizes that a bit is worth.
    batches : int
        Number of calibration batches.
    damp : float
        Share of the mean curvature that is added to each input's.
    floor : float
        Share of the mean squared gradient that is added to each row's: a row that no batch uses
        still counts.
    ridge : bool
        Take the part of the price that a Gaussian of the weights' variance would pay into the
        error, where compensation sees it (CERWU); the table pays the rest. Needs lam above 0.
    tune : int
        Steps, a calibration batch each, in which the scales alone are trained by distillation from
        the float model when the integers are fixed (WaterSIC-FT).
    scope : {"matrices", "all"}
        `matrices` keeps vectors in their native dtype; `all` quantizes them by RDOQ, each with one
        step size.
    correct : bool
        Let each layer aim at what it puts out in the float model, not at what it would on the
        inputs that the quantized layers before it leave (WaterSIC's E[X X^]). Takes a forward pass
        of the float model for every layer.

    References
    ----------
    GPTQ: Frantar, Ashkboos, Hoefler & Alistarh, arXiv 2210.17323, Algorithm 1. OPTQ-RD:
    Rate/Distortion Constrained Model Quantization for Efficient Storage and Inference, submission
    LnKDcqOfgy to ICLR 2025. CERWU: Conzelmann & Bamler, Reducing Storage of Pretrained Neural
    Networks by Rate-Constrained Quantization and Entropy Coding, arXiv 2505.18758. Precision set by
    gradients: Radio, arXiv 2505.03031; Optimal Formats, arXiv 2505.12988. RDOQ: see `rdoq`.
    """

    hint_s: ClassVar[float] = 1.2
    always_spelled: ClassVar[tuple[str, ...]] = ("step", "lam")
    added_settings: ClassVar[tuple[str, ...]] = ("ridge", "tune", "scope", "correct")

    def __init__(
        self,
        step: float = 2.0**-3,
        lam: float = 0.0,
        batches: int = 16,
        damp: float = 0.1,
        floor: float = 0.3,
        ridge: bool = False,
        tune: int = 0,
        scope: Scope = "matrices",
        correct: bool = False,
    ) -> None:
        validate.choice(Scope, scope=scope)
        validate.positive(step=step, floor=floor)
        validate.at_least(0, tune=tune)
        validate.not_negative(lam=lam, damp=damp)
        validate.at_least(1, batches=batches)
        self.step, self.lam, self.batches = step, lam, batches
        self.damp, self.floor, self.ridge, self.tune = damp, floor, ridge, tune
        self.scope = scope
        self.correct = correct

    def quantize_checkpoint(self, weights: Arrays, calibration: Calibration) -> AllQuantized:
        """Quantize every tensor in scope; others stay in their native dtype."""
        tensors = as_tensors(weights)
        layers = LinearLayers(tensors, calibration, self.batches)
        sensitivity = row_sensitivities(layers.module, layers.batches, calibration, self.floor)
        matrices = {
            n: w
            for n, w in tensors.items()
            if (w.ndim >= 2 or self.scope == "all") and w.numel() and n in sensitivity
        }
        unit = self.unit(matrices, sensitivity)
        result: AllQuantized = dict.fromkeys(weights)

        for name in sorted(matrices.keys() - set(layers.names)):
            scaled, importance, steps = scale(matrices[name], sensitivity[name], unit)
            best = rdoq.choose(scaled, importance[:, None], self.lam)
            result[name] = made = on_steps(name, best, steps, matrices[name].shape)
            layers.put(name, torch.from_numpy(made.dequantize()))
        floats = calibration.module(tensors) if self.correct else None
        for name, moment in layers.moments():
            weight = matrices[name]
            if floats is not None:
                whole = calibration.whole(name, weight)
                change = corrected(whole, moment, layers.cross(name, floats), self.damp) - whole
                weight = weight + change
            result[name] = made = self.layer(name, weight, sensitivity[name], unit, moment)
            layers.put(name, torch.from_numpy(made.dequantize()))
        if self.tune:
            return tuned(result, tensors, calibration, layers.batches, self.tune)
        return result

    def layer(
        self,
        name: str,
        weight: torch.Tensor,
        sensitivity: torch.Tensor,
        unit: float,
        moment: torch.Tensor,
    ) -> Quantized:
        """Quantize one weight (rows, columns), given the second moment of its inputs."""
        scaled, importance, steps = scale(weight, sensitivity, unit)
        factor = Factor(moment, self.damp, "activity")
        quadratic = 0.0
        if self.ridge and self.lam:
            quadratic = _gaussian_bits(scaled)
            scaled, moment = _ridged(scaled, moment, self.lam * quadratic * factor.scale)
            factor = Factor(moment, self.damp, "activity")
        integers = solve(scaled, factor, self.lam, importance, quadratic)
        return on_steps(name, integers, steps, weight.shape)

    def unit(
        self, matrices: dict[str, torch.Tensor], sensitivity: dict[str, torch.Tensor]
    ) -> float:
        """Return u: a row of sensitivity f has step size u / sqrt(f), `step` in geometric mean."""
        logs = sum(float(sensitivity[n].log().mean()) * w.numel() for n, w in matrices.items())
        return self.step * math.exp(0.5 * logs / max(sum(w.numel() for w in matrices.values()), 1))


def _gaussian_bits(scaled: torch.Tensor) -> float:
    """Return a: a Gaussian of the weights' variance spends a z^2 bits, and a constant, on z."""
    variance = float(scaled.double().square().mean())
    return 1.0 / (2.0 * math.log(2.0) * variance) if variance else 0.0


def _ridged(
    scaled: torch.Tensor, moment: torch.Tensor, ridge: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return w' = w H H'^-1 and H' = H + ridge I.

    (w - z) H (w - z)^T + ridge z z^T is (w' - z) H' (w' - z)^T and a constant.
    """
    higher = moment + ridge * torch.eye(len(moment), dtype=moment.dtype)
    wanted = torch.linalg.solve(higher, moment @ scaled.double().T).T
    return wanted.float(), higher


def corrected(
    weight: torch.Tensor, moment: torch.Tensor, cross: torch.Tensor, damp: float
) -> torch.Tensor:
    """Return W C H^-1: on today's inputs y it is nearest to W x, x the float model's inputs.

    moment: H, of y. cross: C, the mean of x y^T. Both are damped alike, so that W stays where the
    inputs are the same.
    """
    ridge = damp * moment.diagonal().mean() * torch.eye(len(moment), dtype=moment.dtype)
    right = (cross + ridge).T @ weight.double().flatten(1).T  # (columns, rows)
    found: torch.Tensor = torch.linalg.solve(moment + ridge, right).T
    return found.to(weight.dtype).reshape(weight.shape)


def on_steps(
    name: str, integers: torch.Tensor, steps: torch.Tensor, shape: torch.Size
) -> Quantized:
    """Return integers with the step sizes that `scale` found, in the shape of the weight."""
    values = to_int32(name, integers.numpy()).reshape(shape)
    if len(steps) == 1:
        return Quantized(values, TensorScale(float(steps)))
    return Quantized(values, ChannelScales(steps.numpy()))


def scale(
    weight: torch.Tensor, sensitivity: torch.Tensor, unit: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return weights in step sizes (rows, columns), importance of each row's error, step sizes.

    sensitivity: (rows,). There is one step size for each row, or only one where that costs fewer
    bits: the rate that one for each row saves is half the log2 of the arithmetic over the geometric
    mean of `sensitivity`.
    """
    rows = weight.float().reshape(len(weight), -1)
    saved = 0.5 * math.log2(float(sensitivity.mean())) - 0.5 * float(sensitivity.log2().mean())
    own = saved * rows.shape[1] > SIDE_BITS
    steps = unit * (sensitivity if own else sensitivity.mean(0, keepdim=True)).rsqrt()
    kind = float_of_scales(float(steps.min()), float(steps.max())) if own else np.float32
    steps = steps.half() if kind is np.float16 else steps.float()
    importance = sensitivity * steps.double().square() / unit**2
    return rows / steps.float()[:, None], importance.float(), steps
