"""Training with nothing but the loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from slashbench import validate
from slashbench.contracts import Regime, TrainingHook, TrainingPlan

if TYPE_CHECKING:
    from torch import nn


class Plain(Regime):
    """Minimise the loss alone; for a model that is not trained here, keep its weights.

    Parameters
    ----------
    longer : float
        Factor on the number of training steps, for a comparison at equal compute or with extra
        steps.
    """

    shards: ClassVar[bool] = True

    def __init__(self, longer: float = 1.0) -> None:
        validate.positive(longer=longer)
        self.longer = longer

    def plan(self, plan: TrainingPlan) -> TrainingPlan:
        """Return the model's own plan with its steps and warm-up times `longer`."""
        steps = max(1, round(plan.steps * self.longer))
        return dataclasses.replace(plan, steps=steps, warmup=round(plan.warmup * self.longer))

    def hook(self, parameters: Mapping[str, nn.Parameter], plan: TrainingPlan) -> TrainingHook:
        """Return a hook that does nothing."""
        return TrainingHook()

    @property
    def requires_training(self) -> bool:
        """Whether it is other than keeping pretrained weights as they are."""
        return self.longer != 1.0
