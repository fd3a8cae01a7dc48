"""BitFit: fine-tune vectors only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import nn

from slashbench import validate
from slashbench.contracts import Course, Regime, TrainingHook, TrainingPlan


class BitFit(Regime):
    """Fine-tune biases and the parameters of norms, and a new head; matrices stay as they are.

    Parameters
    ----------
    peak : float
        Factor on the peak learning rate.

    References
    ----------
    Ben Zaken, Ravfogel & Goldberg, BitFit: Simple Parameter-efficient Fine-tuning for
    Transformer-based Masked Language-models, arXiv 2106.10199, section 3; with the gains of norms.
    """

    always_spelled: ClassVar[tuple[str, ...]] = ("peak",)

    def __init__(self, peak: float = 25.0) -> None:
        validate.positive(peak=peak)
        self.peak = peak

    def plan(self, plan: TrainingPlan) -> TrainingPlan:
        """Return the model's own plan at another learning rate."""
        return Course(peak=self.peak).of(plan)

    def hook(self, parameters: Mapping[str, nn.Parameter], plan: TrainingPlan) -> TrainingHook:
        """Freeze matrices that are not new; nothing else is to do."""
        for name, parameter in parameters.items():
            if parameter.ndim > 1 and name not in plan.new:
                parameter.requires_grad_(False)
        return TrainingHook()
