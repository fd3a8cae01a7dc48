"""WaterSIC: a step size for each column, from how much of an input the others leave unexplained."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import numpy as np
import torch

from slashbench import validate
from slashbench.contracts import Quantized
from slashbench.grid import ChannelScales
from slashbench.trainers.numerics import obs
from slashbench.trainers.numerics.choice import cheapest
from slashbench.trainers.numerics.code_length import SMOOTHING, LengthTable
from slashbench.trainers.numerics.integers import float_of_scales, to_int32
from slashbench.trainers.quantisers.gptq import PASSES, Factor, same_for_all_blocks
from slashbench.trainers.quantisers.gptq_loss import GPTQLoss, scale

Columns = Literal["own", "one"]

RESCALINGS = 8  # rounds of rescaling rows and columns in turn, at most
_SETTLED = 3e-4  # share of the error that a round must gain for another one
_RIDGE = 1e-6  # share of the mean curvature, for columns that are all zero


class WaterSIC(GPTQLoss):
    """Quantize by GPTQ with a step size for each column too, shrinkage, and rescaled rows, columns.

    The step size of a column goes as 1 / L_ii, L the Cholesky factor of the second moment of the
    inputs: reverse water-filling over what a column's input has that those still to come do not
    explain. Integers of a column are shrunk to their least-squares multiple while errors are
    compensated for, and afterwards factors of rows and columns are fitted in turn to the least
    output error. As in `gptq-loss`, whose steps of rows it keeps, `step` holds for the whole model,
    and embeddings are quantized by RDOQ.

    Parameters
    ----------
    step : float
        Geometric mean of the step sizes that rows would have without those of columns.
    lam : float
        Squared step sizes that a bit is worth; the paper's is 0.
    batches, damp, floor
        As in `gptq-loss`.
    columns : {"own", "one"}
        `one` takes 1 for all columns: an ablation.
    shrink : bool
        Shrink integers while errors are compensated for (LMMSE).
    rescale : bool
        Fit the factors of rows and columns afterwards.
    tune, correct
        As in `gptq-loss`: WaterSIC-FT, and the paper's targets.

    Notes
    -----
    The paper allots each matrix the same rate; here the loss's sensitivity allots it, as for
    `gptq-loss`, which is stronger. Of its corrections of targets that of a layer's inputs is
    `correct`; that of the residual stream is not here.

    References
    ----------
    WaterSIC: Information-Theoretically (Near) Optimal Linear Layer Quantization. ICML 2026,
    arXiv 2603.04956, whose symbols these are: column steps c / L_ii, LMMSE shrinkage gamma_i, row
    and column rescalers T and Gamma.
    """

    hint_s: ClassVar[float] = 4.0
    added_settings: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        step: float = 2.0**-3,
        lam: float = 0.0,
        batches: int = 16,
        damp: float = 0.1,
        floor: float = 0.3,
        columns: Columns = "own",
        shrink: bool = True,
        rescale: bool = True,
        tune: int = 0,
        correct: bool = False,
    ) -> None:
        super().__init__(step, lam, batches, damp, floor, tune=tune, correct=correct)
        validate.choice(Columns, columns=columns)
        self.columns, self.shrink, self.rescale = columns, shrink, rescale

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
        found = self.sweep(scaled, importance, factor, moment)
        if self.rescale:
            found = rescaled(found, scaled.double(), importance.double(), moment)
        rows = (steps.double() * found.rows).numpy()
        columns = found.columns.numpy()
        kind = float_of_scales(
            float(min(np.abs(rows).min(), np.abs(columns).min())),
            float(max(np.abs(rows).max(), np.abs(columns).max())),
        )
        values = to_int32(name, found.integers.numpy()).reshape(tuple(weight.shape))
        return Quantized(values, ChannelScales(rows.astype(kind), columns.astype(kind)))

    def sweep(
        self,
        scaled: torch.Tensor,
        importance: torch.Tensor,
        factor: Factor,
        moment: torch.Tensor,
    ) -> Fitted:
        """Return integers, and factors of columns in units of the rows' step sizes."""
        n = len(moment)
        widths = torch.ones(n, dtype=torch.float64)
        if self.columns == "own":
            widths = factor.inverse.diagonal() * moment.diagonal().mean().sqrt()
            widths = torch.where(widths > 0, widths, 1.0)
        ordered = scaled.double()[:, factor.columns]
        integers = (ordered / widths).round()
        gains = torch.ones(n, dtype=torch.float64)
        weights, price = importance.float().numpy(), np.float32(self.lam)
        for _ in range(PASSES if self.lam else 1):
            lengths = LengthTable(integers, smoothing=SMOOTHING) if self.lam else None
            found = torch.empty_like(integers)

            def rule(
                j: int,
                column: torch.Tensor,
                lengths: LengthTable | None = lengths,
                found: torch.Tensor = found,
            ) -> torch.Tensor:
                y = column / widths[j]
                z = y.round()
                if lengths is not None:
                    cheapest(y.numpy(), weights, price, lengths.bits, lengths.low, z.numpy())
                found[:, j] = z
                if self.shrink:
                    energy = (importance * z * z).sum()
                    gains[j] = (importance * z * y).sum() / energy if energy > 0 else 1.0
                return z * (gains[j] * widths[j])

            obs.sweep(ordered, factor.inverse, partial(same_for_all_blocks, rule))
            integers = found
        back = factor.columns.argsort()
        ones = torch.ones(len(scaled), dtype=torch.float64)
        return Fitted(integers[:, back], ones, (gains * widths)[back])


@dataclass(frozen=True, slots=True)
class Fitted:
    """integers (rows, columns) times a factor for each row and each column: what weights become."""

    integers: torch.Tensor
    rows: torch.Tensor
    columns: torch.Tensor

    def weights(self) -> torch.Tensor:
        """Return the weights that they stand for."""
        return self.rows[:, None] * self.integers * self.columns


def rescaled(
    found: Fitted, wanted: torch.Tensor, importance: torch.Tensor, moment: torch.Tensor
) -> Fitted:
    """Return the factors of rows and columns, fitted in turn, of the least output error.

    wanted: weights, in the same units. The error is the sum over rows of importance times
    e moment e^T; neither fit ever raises it.
    """
    target = wanted @ moment  # (rows, columns)
    last = _error(found, wanted, importance, moment)
    for _ in range(RESCALINGS):
        better = _columns_fitted(_rows_fitted(found, target, moment), target, importance, moment)
        error = _error(better, wanted, importance, moment)
        if not error <= last:
            break
        found, gained, last = better, last - error, error
        if gained <= _SETTLED * last:
            break
    return found


def _rows_fitted(found: Fitted, target: torch.Tensor, moment: torch.Tensor) -> Fitted:
    plain = found.integers * found.columns
    energy = ((plain @ moment) * plain).sum(1)
    rows = torch.where(energy > 0, (target * plain).sum(1) / energy.clamp(min=1e-300), found.rows)
    return Fitted(found.integers, torch.where(rows > 0, rows, found.rows), found.columns)


def _columns_fitted(
    found: Fitted, target: torch.Tensor, importance: torch.Tensor, moment: torch.Tensor
) -> Fitted:
    plain = found.rows[:, None] * found.integers
    gram = moment * (plain.T @ (importance[:, None] * plain))
    right = (importance[:, None] * target * plain).sum(0)
    ridge = _RIDGE * float(gram.diagonal().mean()) or 1.0
    # towards the factors there are, so that a column of zeros keeps its own
    left = gram + ridge * torch.eye(len(gram), dtype=gram.dtype)
    columns: torch.Tensor = torch.linalg.solve(left, right + ridge * found.columns)
    return Fitted(found.integers, found.rows, torch.where(columns > 0, columns, found.columns))


def _error(
    found: Fitted, wanted: torch.Tensor, importance: torch.Tensor, moment: torch.Tensor
) -> float:
    change = found.weights() - wanted
    return float((importance * ((change @ moment) * change).sum(1)).sum())
