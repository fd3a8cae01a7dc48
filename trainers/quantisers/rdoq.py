"""Rate-distortion-optimised quantization: integers chosen for error and code length together."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from slashbench import validate
from slashbench.contracts import Quantiser, Quantized
from slashbench.grid import TensorScale
from slashbench.trainers.numerics.choice import improve
from slashbench.trainers.numerics.code_length import LengthTable
from slashbench.trainers.quantisers.quantize import Scope, Uniform, Unit

MAX_PASSES = 20  # until no integer changes; it is rarely more than ten


def choose(scaled: torch.Tensor, importance: torch.Tensor, lam: float) -> torch.Tensor:
    """Return integers k that make  sum importance (scaled - k)^2 + lam bits(k)  small.

    The choice of integers and the table of code lengths are improved in turn, from plain rounding
    on: neither ever raises the sum, with `bits` those of the order-0 entropy of the integers.
    scaled: weights in step sizes, float32, (rows, columns). importance: broadcasts to it.
    lam: squared step sizes a bit is worth. Returns whole numbers in float32.
    """
    best = scaled.round().contiguous()
    if lam == 0.0:
        return best
    flat = (1, -1) if importance.numel() == 1 else (len(scaled), -1)
    weights, integers = (t.contiguous().numpy().reshape(flat) for t in (scaled, best))
    rows = importance.float().flatten().numpy()
    for _ in range(MAX_PASSES):
        lengths = LengthTable(best)
        if not improve(weights, integers, rows, np.float32(lam), lengths.bits, lengths.low):
            break
    return best


class Rdoq(Quantiser):
    """Round where error and code length together are least, as DeepCABAC's quantiser does.

    Minimises  sum (w / step - k)^2 + lam bits(k)  over the integers k of a tensor. Bits are those
    of the empirical frequencies of these same integers, found by iteration, in place of CABAC's
    contexts.

    Parameters
    ----------
    lam : float
        Squared step sizes that a bit is worth. 0 is plain rounding; at fine steps the slope of
        distortion over rate is ln 2 / 6 = 0.1155.
    step : float
        Step size of the grid, in `unit`.
    unit : {"weight", "std"}
        `weight`: the weights' own unit. `std`: each tensor's standard deviation.
    scope : {"matrices", "all"}
        `matrices` keeps vectors in their native dtype.

    References
    ----------
    Wiedemann et al., DeepCABAC, arXiv 1907.11900, eq. 1, with unit importance.
    """

    hint_s: ClassVar[float] = 0.15
    always_spelled: ClassVar[tuple[str, ...]] = ("lam", "step")

    def __init__(
        self,
        lam: float = 0.1,
        step: float = 2.0**-6,
        unit: Unit = "weight",
        scope: Scope = "matrices",
    ) -> None:
        validate.not_negative(lam=lam)
        self.lam = lam
        self.rounding = Uniform(step, unit, scope=scope)

    def quantize(self, name: str, weight: npt.NDArray[Any]) -> Quantized | None:
        """Return int32 of the least cost."""
        plain = self.rounding.quantize(name, weight)
        if plain is None or not weight.size:
            return plain
        assert isinstance(plain.grid, TensorScale)
        scaled = torch.from_numpy(np.asarray(weight / np.float32(plain.grid.scale), np.float32))
        best = choose(scaled, torch.ones(()), self.lam)
        return Quantized(best.numpy().astype(np.int32), plain.grid)
