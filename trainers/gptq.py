"""GPTQ: rounding column by column, errors made up for by the columns that are still to come."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch

from slashbench.contracts import Calibration, Quantised
from slashbench.grid import OneStep
from slashbench.trainers import obs
from slashbench.trainers.calibrated import AllQuantised, Arrays, Calibrated
from slashbench.trainers.integers import check_finite, to_int32
from slashbench.trainers.layers import LinearLayers
from slashbench.trainers.quantize import Scope, Unit, rounding_in
from slashbench.trainers.rate import UNSEEN, CodeLengths, nearer_zero

Order = Literal["activity", "given"]

PASSES = 2  # over a layer's columns, the second with the code lengths that the first led to


class GPTQ(Calibrated):
    """Round each linear layer for least output error, with a price on code length if wanted.

    Frantar, Ashkboos, Hoefler & Alistarh, arXiv 2210.17323, Algorithm 1, layer by layer, each layer
    seeing what the quantised ones before it put out, on a uniform grid of one step a tensor, which
    an entropy coder follows. Embeddings are rounded plainly: their input is one-hot, so that their
    second moment is diagonal and plain rounding is GPTQ's own answer. A table tied to a head is
    quantised for the head, before all other layers. Convolutions are rounded plainly.

    lam: squared steps that a bit is worth: not in the paper. Above 0 each weight becomes, of the
        nearest integer, its neighbours towards zero, and zero, the one of least
        (error)^2 / [H^-1]_jj + lam bits, code lengths as in `rdoq`.
    unit: of the step: the weights' own, or each tensor's standard deviation.
    batches: number of calibration batches. damp: share of the mean curvature added to each.
    order: columns by falling activity (the authors' act-order), or as given.
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("step",)

    def __init__(
        self,
        step: float = 2.0**-6,
        lam: float = 0.0,
        unit: Unit = "weight",
        batches: int = 8,
        damp: float = 0.01,
        order: Order = "activity",
        scope: Scope = "matrices",
    ) -> None:
        if not (lam >= 0 and math.isfinite(lam)):
            raise ValueError(f"lam={lam} must be a finite number >= 0")
        if batches < 1 or damp < 0:
            raise ValueError(f"batches={batches} must be at least 1, damp={damp} at least 0")
        self.lam, self.batches, self.damp, self.order = lam, batches, damp, order
        self.rounding = rounding_in(unit, step, scope)

    def quantise_all(self, weights: Arrays, calibration: Calibration) -> AllQuantised:
        """Linear layers by GPTQ, what is left by plain rounding."""
        for name, weight in weights.items():
            check_finite(name, weight)
        tensors = {name: torch.from_numpy(np.array(weight)) for name, weight in weights.items()}
        layers = LinearLayers(tensors, calibration, self.batches)
        result = {
            name: self.rounding.quantise(name, weight)
            for name, weight in weights.items()
            if name not in layers.names
        }
        for name, quantised in result.items():
            if quantised is not None:
                layers.put(name, torch.from_numpy(quantised.dequantise()))
        for name, moment in layers.moments():
            quantised = self.layer(name, weights[name], moment)
            layers.put(name, torch.from_numpy(quantised.dequantise()))
            result[name] = quantised
        return {name: result[name] for name in weights}

    def layer(self, name: str, weight: npt.NDArray[Any], moment: torch.Tensor) -> Quantised:
        """One weight (rows, columns), given the second moment of its inputs (columns, columns)."""
        step = np.float32(self.rounding.step_of(weight))
        scaled = torch.from_numpy(weight / step).double()
        columns = torch.arange(len(moment))
        if self.order == "activity":
            columns = moment.diagonal().argsort(descending=True, stable=True)
        factor = obs.inverse_factor(moment[columns][:, columns], self.damp)
        scaled = scaled[:, columns]
        integers = scaled.round()
        for _ in range(PASSES if self.lam else 1):
            rule = self._rule(integers, factor)
            integers = obs.sweep(scaled, factor, lambda start, block: rule)  # noqa: B023
        back = columns.argsort()
        return Quantised(to_int32(name, integers[:, back].numpy()), OneStep(float(step)))

    def _rule(self, integers: torch.Tensor, factor: torch.Tensor) -> obs.Rule:
        """How a column in steps becomes integers. integers: what code lengths are taken from."""
        if self.lam == 0.0:
            return lambda j, column: column.round()
        lengths = CodeLengths(integers, smoothing=UNSEEN, margin=2)
        curvature = factor.diagonal().reciprocal().square()
        curvature /= curvature.mean()

        def cheapest(j: int, column: torch.Tensor) -> torch.Tensor:
            nearest = column.round()
            choices = torch.stack([nearest, *nearer_zero(nearest)])
            cost = curvature[j] * (column - choices).square() + self.lam * lengths.of(choices)
            return choices.gather(0, cost.argmin(0, keepdim=True))[0]

        return cheapest
