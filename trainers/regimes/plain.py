"""Training with nothing but the loss."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from slashbench.contracts import Regime, TrainingHook, TrainingPlan

if TYPE_CHECKING:
    from torch import nn


class Plain(Regime):
    """Minimise the loss alone; for a model that is not trained here, its weights as they came.

    longer: factor on the number of steps, for a comparison at equal compute or with extra steps.
    """

    shards: ClassVar[bool] = True

    def __init__(self, longer: float = 1.0) -> None:
        if not (longer > 0 and math.isfinite(longer)):
            raise ValueError(f"longer={longer} must be a finite number > 0")
        self.longer = longer

    def plan(self, plan: TrainingPlan) -> TrainingPlan:
        """The model's own plan with its steps and warm-up times `longer`."""
        steps = max(1, round(plan.steps * self.longer))
        return dataclasses.replace(plan, steps=steps, warmup=round(plan.warmup * self.longer))

    def hook(self, parameters: Mapping[str, nn.Parameter], plan: TrainingPlan) -> TrainingHook:
        """Return a hook that does nothing."""
        return TrainingHook()

    @property
    def requires_training(self) -> bool:
        """Plain also stands for pretrained weights left as they are."""
        return self.longer != 1.0
