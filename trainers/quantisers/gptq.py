"""GPTQ: rounding column by column; the columns still to come make up for the errors."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch

from slashbench import validate
from slashbench.contracts import Calibration, Quantized
from slashbench.grid import TensorScale
from slashbench.trainers.numerics import obs
from slashbench.trainers.numerics.choice import cheapest
from slashbench.trainers.numerics.code_length import SMOOTHING, LengthTable
from slashbench.trainers.numerics.integers import to_int32
from slashbench.trainers.numerics.layer_inputs import LinearLayers
from slashbench.trainers.quantisers.calibrated import (
    AllQuantized,
    Arrays,
    Calibrated,
    as_tensors,
)
from slashbench.trainers.quantisers.quantize import Scope, Uniform, Unit

Order = Literal["activity", "given"]

PASSES = 2  # over a layer's columns, the second with the code lengths that the first led to


class GPTQ(Calibrated):
    """Round each linear layer for the least output error, with a price on code length if wanted.

    Layer by layer, each layer sees what the quantized ones before it put out. The grid is uniform,
    with one step size a tensor, since an entropy coder follows. Embeddings are rounded plainly:
    their input is one-hot, so their second moment is diagonal and plain rounding is what GPTQ
    gives. A table tied to a head is quantized for the head, before all other layers. Convolutions
    are rounded plainly.

    Parameters
    ----------
    step : float
        Step size of the grid, in `unit`.
    lam : float
        Squared step sizes that a bit is worth; 0 is GPTQ of the paper. Above 0 each weight becomes,
        of the nearest integer, its neighbours towards zero, and zero, the one of least
        (error)^2 / [H^-1]_jj + lam bits, with code lengths as in `rdoq`.
    unit : {"weight", "std"}
        `weight`: the weights' own unit. `std`: each tensor's standard deviation.
    batches : int
        Number of calibration batches.
    damp : float
        Share of the mean curvature that is added to each input's.
    order : {"activity", "given"}
        Columns by falling activity (the authors' act-order), or as they stand.
    scope : {"matrices", "all"}
        `matrices` keeps vectors in their native dtype.

    References
    ----------
    Frantar, Ashkboos, Hoefler & Alistarh, GPTQ, arXiv 2210.17323, Algorithm 1. The price on bits is
    OPTQ-RD's: Rate/Distortion Constrained Model Quantization for Efficient Storage and Inference,
    submission LnKDcqOfgy to ICLR 2025; rates there are NNCodec's adaptive model, here a table.
    """

    hint_s: ClassVar[float] = 1.0
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
        validate.not_negative(lam=lam, damp=damp)
        validate.at_least(1, batches=batches)
        validate.choice(Order, order=order)
        self.lam, self.batches, self.damp, self.order = lam, batches, damp, order
        self.rounding = Uniform(step, unit, scope=scope)

    def quantize_checkpoint(self, weights: Arrays, calibration: Calibration) -> AllQuantized:
        """Quantize linear layers by GPTQ and all other tensors by plain rounding."""
        tensors = as_tensors(weights)
        layers = LinearLayers(tensors, calibration, self.batches)
        result = {
            name: self.rounding.quantize(name, weight)
            for name, weight in weights.items()
            if name not in layers.names
        }
        for name, quantized in result.items():
            if quantized is not None:
                layers.put(name, torch.from_numpy(quantized.dequantize()))
        for name, moment in layers.moments():
            quantized = self.layer(name, weights[name], moment)
            layers.put(name, torch.from_numpy(quantized.dequantize()))
            result[name] = quantized
        return {name: result[name] for name in weights}

    def layer(self, name: str, weight: npt.NDArray[Any], moment: torch.Tensor) -> Quantized:
        """Quantize one weight (rows, columns), given the second moment of its inputs."""
        step = np.float32(self.rounding.tensor_step(weight))
        scaled = torch.from_numpy(weight / step)
        factor = Factor(moment, self.damp, self.order)
        integers = solve(scaled, factor, self.lam, torch.ones(len(weight)))
        return Quantized(to_int32(name, integers.numpy()), TensorScale(float(step)))


class Factor:
    """The second moment of a layer's inputs, ready for a sweep in the order of its columns."""

    def __init__(self, moment: torch.Tensor, damp: float, order: Order) -> None:
        self.columns = torch.arange(len(moment))
        if order == "activity":
            self.columns = moment.diagonal().argsort(descending=True, stable=True)
        self.inverse = obs.inverse_factor(moment[self.columns][:, self.columns], damp)
        curvature = self.inverse.diagonal().reciprocal().square()
        self.scale = float(curvature.mean())
        self.curvature = curvature / curvature.mean()


def solve(
    scaled: torch.Tensor,
    factor: Factor,
    lam: float,
    importance: torch.Tensor,
    quadratic: float = 0.0,
) -> torch.Tensor:
    """Return integers, in float64, for a layer's weights, which are given in step sizes.

    scaled: (rows, columns). importance: of a row's squared error, (rows,), 1 on average.
    quadratic: bits for each squared integer that the factor has the price of already.
    """
    ordered = scaled[:, factor.columns]
    integers = ordered.round().double()
    for _ in range(PASSES if lam else 1):
        rule = _cheapest(integers, factor, lam, importance, quadratic) if lam else _nearest
        integers = obs.sweep(ordered, factor.inverse, partial(same_for_all_blocks, rule))
    return integers[:, factor.columns.argsort()]


def same_for_all_blocks(rule: obs.Rule, start: int, block: torch.Tensor) -> obs.Rule:
    """Return the rule: no block of columns has one of its own."""
    return rule


def _nearest(j: int, column: torch.Tensor) -> torch.Tensor:
    return column.round()


def _cheapest(
    integers: torch.Tensor,
    factor: Factor,
    lam: float,
    importance: torch.Tensor,
    quadratic: float,
) -> obs.Rule:
    """Return the rule of least error plus code length. integers: those whose lengths count."""
    lengths = LengthTable(integers, smoothing=SMOOTHING)
    price = np.float32(lam)
    places = np.arange(len(lengths.bits), dtype=np.float32) + lengths.low
    table = lengths.bits - np.float32(quadratic) * places**2 if quadratic else lengths.bits

    def rule(j: int, column: torch.Tensor) -> torch.Tensor:
        result = torch.empty_like(column)
        weights = (factor.curvature[j] * importance).numpy()
        cheapest(column.numpy(), weights, price, table, lengths.low, result.numpy())
        return result

    return rule
