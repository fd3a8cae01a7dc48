"""From weights to what differs from the public weights they were trained from."""

from __future__ import annotations

from typing import ClassVar

from slashbench.contracts import Calibration, Transform, Weights
from slashbench.errors import UsageError
from slashbench.trainers.numerics.new_weights import replaced


class FromBase(Transform):
    """Subtract the public base that the model declares: all links that follow see differences.

    The file then names the base by hash, and a decoder is given it. Weights that are not in the
    base, such as a new head, go whole.
    """

    gives_differences: ClassVar[bool] = True

    def apply(self, weights: Weights, calibration: Calibration) -> Weights:
        """Return the differences. Raises UsageError for a model that has no base."""
        base = calibration.model.base()
        if not base:
            raise UsageError(
                f"{type(calibration.model).__name__} is trained from scratch, so there is no "
                "public base to subtract; choose a model that is fine-tuned, such as minilm-kjv"
            )
        unlike = [n for n, w in base.items() if n not in weights or weights[n].shape != w.shape]
        if unlike:
            raise UsageError(f"the base has {unlike[0]!r}, which the model has not in that shape")
        return replaced(weights, {name: weights[name] - tensor for name, tensor in base.items()})
