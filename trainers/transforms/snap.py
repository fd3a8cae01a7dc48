"""Weights moved to where a quantiser puts them, for training to go on from there."""

from __future__ import annotations

from typing import ClassVar

import torch

from slashbench.contracts import Calibration, Transform, Weights
from slashbench.trainers.numerics.new_weights import cast, replaced
from slashbench.trainers.quantisers.gptq_loss import GPTQLoss
from slashbench.weight_rule import as_array


class Snap(Transform):
    """Move every matrix to the grid point that `gptq-loss` chooses for it.

    What follows starts from post-training compression at full strength and can only improve on it:
    `plain+snap:step=0.2:lam=0.1+backslash-q:granularity=channel:grid=found:begin=0:distil=0.7`.

    Parameters
    ----------
    step, lam, batches, damp, floor
        As in `gptq-loss`.
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
        self.quantiser = GPTQLoss(step, lam, batches, damp, floor)

    def apply(self, weights: Weights, calibration: Calibration) -> Weights:
        """Return the weights that the integers stand for."""
        arrays = {
            name: as_array(weight)
            for name, weight in weights.items()
            if not calibration.why_kept(name, weight)
        }
        kept = {name: w for name, w in weights.items() if name not in arrays}
        calibration.others = {**calibration.others, **kept}  # buffers, which the model needs
        found = self.quantiser.quantize_all(arrays, calibration)
        moved = {
            name: cast(torch.from_numpy(quantized.dequantize()), weights[name].dtype)
            for name, quantized in found.items()
            if quantized is not None
        }
        return replaced(weights, moved)
