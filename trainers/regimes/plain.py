"""Training with nothing but the loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from slashbench import validate
from slashbench.contracts import Course, Regime, TrainingHook, TrainingPlan
from slashbench.trainers.training.weight_average import WeightAverage

if TYPE_CHECKING:
    from torch import nn


class Plain(Regime):
    """Minimise the loss alone; for a model that is not trained here, keep its weights.

    Parameters
    ----------
    longer : float
        Factor on the number of training steps, for a comparison at equal compute or with extra
        steps.
    peak, distil, fresh
        See `Course`.
    decay : float
        Weight decay of AdamW.
    average : float
        Share of the running average that each step keeps (Polyak averaging); the average is what
        training ends with. 0: no average. The first steps keep less, (1 + step) / (10 + step).
    """

    shards: ClassVar[bool] = True
    added_settings: ClassVar[tuple[str, ...]] = ("peak", "distil", "fresh", "decay", "average")

    def __init__(
        self,
        longer: float = 1.0,
        peak: float = 1.0,
        distil: float = 0.0,
        fresh: bool = False,
        decay: float = 0.0,
        average: float = 0.0,
    ) -> None:
        validate.not_negative(decay=decay)
        validate.share(average=average)
        self.course = Course(longer=longer, peak=peak, distil=distil, fresh=fresh)
        self.decay, self.average = decay, average

    def plan(self, plan: TrainingPlan) -> TrainingPlan:
        """Return the model's own plan as the course changes it, with this weight decay."""
        own = self.course.of(plan)
        return dataclasses.replace(own, weight_decay=self.decay or own.weight_decay)

    def hook(self, parameters: Mapping[str, nn.Parameter], plan: TrainingPlan) -> TrainingHook:
        """Return a hook that averages weights, or does nothing."""
        return WeightAverage(parameters, self.average) if self.average else TrainingHook()

    @property
    def requires_training(self) -> bool:
        """Whether it is other than keeping pretrained weights as they are."""
        return self.course != Course() or bool(self.decay or self.average)
