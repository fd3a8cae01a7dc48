"""A small convolutional network on Fashion-MNIST."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from slashbench.bench.models.image_classifier import FashionClassifier
from slashbench.contracts import TrainingPlan


class FashionCnn(FashionClassifier):
    """LeNet-like CNN (215k parameters) trained from scratch on Fashion-MNIST."""

    source: ClassVar[str] = "trained here on Fashion-MNIST"
    licence: ClassVar[str] = "MIT"
    step_hint_s: ClassVar[float] = 0.06
    evaluate_hint_s: ClassVar[float] = 3.0
    weights_hint: ClassVar[int] = 215_000

    def __init__(self, steps: int = 1200) -> None:
        super().__init__()
        self.steps = steps

    @property
    def plan(self) -> TrainingPlan:
        """AdamW at 2e-3, batches of 128."""
        return TrainingPlan(steps=self.steps, learning_rate=2e-3, warmup=self.steps // 20)

    def build(self, seed: int) -> nn.Module:
        """Freshly initialised."""
        return nn.Sequential(
            nn.Conv2d(1, 16, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * 7 * 7, 128),
            nn.ReLU(),
            nn.Linear(128, 10),
        )
