"""Weights that were trained onto a grid of their own, as the integers they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from slashbench import validate
from slashbench.contracts import BlockwiseQuantiser, RowBlocks
from slashbench.errors import Unencodable
from slashbench.grid import ChannelScales, TensorScale
from slashbench.trainers.numerics.integers import as_matrix, check_finite, rounded
from slashbench.trainers.numerics.row_scale import scale_of
from slashbench.trainers.quantisers.quantize import Uniform


class OnGrid(BlockwiseQuantiser):
    """Find the scale of each channel whose weights are multiples of one; round nothing.

    For the matrices that `backslash-q:granularity=channel` leaves on their grid. A matrix that lies
    on no grid in any channel was not trained (it was frozen): it is rounded, where `step` says to
    what. A matrix that lies on a grid in some channels only is refused. Vectors stay in their
    native dtype.

    Parameters
    ----------
    step : float
        Step size that matrices on no grid are rounded to, as `quantize` does; 0 refuses them.
    """

    def __init__(self, step: float = 0.0) -> None:
        validate.not_negative(step=step)
        self.step = step

    def in_blocks(self, name: str, weight: npt.NDArray[Any]) -> RowBlocks | None:
        """Return integers and a scale a channel. Raise Unencodable for one that is on no grid."""
        if weight.ndim < 2:
            return None
        check_finite(name, weight)
        rows = as_matrix(weight)
        scales = np.array([scale_of(row.astype(np.float32)) for row in rows], np.float16)
        off = np.isnan(scales)
        if off.any():
            if self.step and all(off[i] or not rows[i].any() for i in range(len(rows))):
                return Uniform(self.step).in_blocks(name, weight)
            raise Unencodable(
                f"channel {off.argmax()} of {name} does not lie on a grid; train it with "
                "backslash-q:granularity=channel, or end the recipe with quantize"
            )
        if len(scales) and (scales == scales[0]).all():
            one = np.float32(scales[0])
            return RowBlocks(
                weight, TensorScale(float(one)), lambda part, _: rounded(name, part, one)
            )
        wide = scales.astype(np.float32)
        return RowBlocks(
            weight, ChannelScales(scales), lambda part, rows: rounded(name, part, wide[rows])
        )
