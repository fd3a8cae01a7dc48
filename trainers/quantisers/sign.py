"""One bit: the sign of a weight, and a magnitude for the tensor or channel."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from slashbench import validate
from slashbench.contracts import Quantiser, Quantized
from slashbench.grid import ChannelScales, TensorScale
from slashbench.trainers.numerics.integers import as_matrix, check_finite, float_of_scales
from slashbench.trainers.quantisers.quantize import Granularity, Scope


class Sign(Quantiser):
    """Keep the sign of each weight, and their mean magnitude: BitDelta's code of differences.

    Zeros stay zeros and do not count in the mean, so that after `prune` it is ComPEFT's ternary
    code.

    Parameters
    ----------
    granularity : {"tensor", "channel"}
        What has a magnitude of its own.
    scope : {"matrices", "all"}
        `matrices` keeps vectors in their native dtype.

    References
    ----------
    Liu, Xiao, Li, Lee, Stoica, Han & Cai, BitDelta: Your Fine-Tune May Only Be Worth One Bit, arXiv
    2402.10193, eq. 1 to 3, without the distillation of scales. Yadav, Choshen, Raffel & Bansal,
    ComPEFT, arXiv 2311.13171.
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("granularity",)

    def __init__(self, granularity: Granularity = "tensor", scope: Scope = "matrices") -> None:
        validate.choice(Granularity, granularity=granularity)
        validate.choice(Scope, scope=scope)
        self.granularity, self.scope = granularity, scope

    def quantize(self, name: str, weight: npt.NDArray[Any]) -> Quantized | None:
        """Return -1, 0 and 1."""
        if self.scope == "matrices" and weight.ndim < 2:
            return None
        check_finite(name, weight)
        signs = np.sign(weight).astype(np.int32)
        by_channel = self.granularity == "channel" and weight.ndim >= 2 and weight.size
        rows = as_matrix(weight) if by_channel else weight.reshape(1, -1)
        sums = np.abs(rows).sum(axis=1, dtype=np.float64)
        means = sums / np.maximum(np.count_nonzero(rows, axis=1), 1)
        means[means == 0] = 1.0  # of nothing but zeros
        if not by_channel:
            return Quantized(signs, TensorScale(float(np.float32(means[0]))))
        kind = float_of_scales(float(means.min()), float(means.max()))
        return Quantized(signs, ChannelScales(means.astype(kind)))
