"""GPTQ and RDOQ together, with the steps, and the price of an error, set by what the loss feels."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import torch

from slashbench.contracts import Calibration, Quantized
from slashbench.grid import ChannelScales, TensorScale
from slashbench.trainers.numerics.fisher import row_sensitivities
from slashbench.trainers.numerics.integers import float_of_scales, to_int32
from slashbench.trainers.numerics.layer_inputs import LinearLayers
from slashbench.trainers.quantisers import rdoq
from slashbench.trainers.quantisers.calibrated import AllQuantized, Arrays, Calibrated
from slashbench.trainers.quantisers.gptq import Factor, solve

SIDE_BITS = 16  # of a step that a row has for itself


class GPTQLoss(Calibrated):
    """GPTQ with steps set by how much the loss feels each row, and a price on code length.

    Minimises  loss + lam bits  to second order over the whole model: linear layers by GPTQ,
    embeddings and what else is left by RDOQ. Steps go as the squared gradient to the power -1/2, so
    that at fine steps a bit buys as much everywhere (reverse water-filling); `step` is their
    geometric mean over all weights. Rows of a tensor have steps of their own where that saves more
    than the 16 bits each takes. Ours; its parts are in `gptq`, `rdoq` and `sensitivity`. Codecs
    that model rows (`rans-classes`) suit it. Matrices only.

    lam: squared steps that a bit is worth. batches: number of calibration batches.
    damp: share of the mean curvature added to each input's. floor: share of the mean squared
        gradient added to each row's, against trusting that what the batches lack is worth nothing.
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("step", "lam")

    def __init__(
        self,
        step: float = 2.0**-3,
        lam: float = 0.0,
        batches: int = 16,
        damp: float = 0.1,
        floor: float = 0.3,
    ) -> None:
        if not (step > 0 and math.isfinite(step)):
            raise ValueError(f"step={step} must be a finite number > 0")
        if not (lam >= 0 and math.isfinite(lam)):
            raise ValueError(f"lam={lam} must be a finite number >= 0")
        if batches < 1 or damp < 0 or floor <= 0:
            raise ValueError(
                f"batches={batches} must be at least 1, {damp=} at least 0, {floor=} > 0"
            )
        self.step, self.lam, self.batches = step, lam, batches
        self.damp, self.floor = damp, floor

    def quantize_checkpoint(self, weights: Arrays, calibration: Calibration) -> AllQuantized:
        """Every matrix; vectors stay in their native dtype."""
        tensors = {name: torch.from_numpy(np.array(weight)) for name, weight in weights.items()}
        layers = LinearLayers(tensors, calibration, self.batches)
        felt = row_sensitivities(layers.module, layers.batches, calibration, self.floor)
        matrices = {n: w for n, w in tensors.items() if w.ndim >= 2 and w.numel() and n in felt}
        unit = self.unit(matrices, felt)
        result: AllQuantized = dict.fromkeys(weights)

        def put(name: str, best: torch.Tensor, steps: torch.Tensor) -> None:
            values = to_int32(name, best.numpy()).reshape(tensors[name].shape)
            shared = len(steps) == 1
            quantized = Quantized(
                values, TensorScale(float(steps)) if shared else ChannelScales(steps.numpy())
            )
            layers.put(name, torch.from_numpy(quantized.dequantize()))
            result[name] = quantized

        for name in sorted(matrices.keys() - set(layers.names)):
            scaled, importance, steps = scale(matrices[name], felt[name], unit)
            put(name, rdoq.choose(scaled, importance[:, None], self.lam), steps)
        for name, moment in layers.moments():
            scaled, importance, steps = scale(matrices[name], felt[name], unit)
            factor = Factor(moment, self.damp, "activity")
            put(name, solve(scaled, factor, self.lam, importance), steps)
        return result

    def unit(self, matrices: dict[str, torch.Tensor], felt: dict[str, torch.Tensor]) -> float:
        """u, where a row felt as f has step u / sqrt(f), for `step` as their geometric mean."""
        logs = sum(float(felt[n].log().mean()) * w.numel() for n, w in matrices.items())
        return self.step * math.exp(0.5 * logs / max(sum(w.numel() for w in matrices.values()), 1))


def scale(
    weight: torch.Tensor, felt: torch.Tensor, unit: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(weights in steps as (rows, columns), importance of a row's squared error in steps, steps).

    felt: (rows,). Steps are one for each row, or only one where that costs fewer bits: the rate
    that steps by row save is log2 of the arithmetic over the geometric mean of `felt`, halved.
    """
    rows = weight.float().reshape(len(weight), -1)
    saved = 0.5 * math.log2(float(felt.mean())) - 0.5 * float(felt.log2().mean())
    own = saved * rows.shape[1] > SIDE_BITS
    steps = unit * (felt if own else felt.mean(0, keepdim=True)).rsqrt()
    kind = float_of_scales(float(steps.min()), float(steps.max())) if own else np.float32
    steps = steps.half() if kind is np.float16 else steps.float()
    importance = felt * steps.double().square() / unit**2
    return rows / steps.float()[:, None], importance.float(), steps
