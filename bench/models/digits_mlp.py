"""A multilayer perceptron on scikit-learn's digits: the model to try things on, in seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import nn

from slashbench.bench.data.digits import Digits
from slashbench.bench.models import scoring
from slashbench.contracts import Metrics, Model, Prediction, Reference, Split, TrainingPlan

BATCH = 64


class DigitsMLP(Model):
    """MLP 64-256-256-10 (85,002 parameters) trained from scratch on scikit-learn's digits."""

    source: ClassVar[str] = "trained here on scikit-learn's digits"
    licence: ClassVar[str] = "MIT"
    metric: ClassVar[str] = "cross-entropy, nats"
    tolerance: ClassVar[float] = scoring.TOLERANCE_NATS
    threads: ClassVar[int | None] = 1
    step_hint_s: ClassVar[float] = 0.0025
    evaluate_hint_s: ClassVar[float] = 0.06
    weights_hint: ClassVar[int] = 85_000
    # backslash: in the gradient (Algorithm 1). The default, the authors' decoupled step, is not
    # scaled by the learning rate; here AdamW weighs the term against the loss, weight by weight,
    # and its effect falls with the learning rate.
    tuned: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "backslash": {"lam": 20.0, "update": "gradient"},
        "backslash-q": {"lam": 0.3, "step": 2.0**-2, "scope": "all"},
    }

    def __init__(self, steps: int = 1200) -> None:
        self.steps = steps
        self.data = Digits()

    @property
    def plan(self) -> TrainingPlan:
        """AdamW at 1e-3, batches of 64."""
        return TrainingPlan(steps=self.steps, learning_rate=1e-3, warmup=20)

    def inputs(self) -> dict[str, str]:
        """The data; there are no pretrained weights."""
        return {"digits": self.data.sha256()}

    def build(self, seed: int) -> nn.Module:
        """Freshly initialised."""
        return nn.Sequential(
            nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)
        )

    def batches(self, seed: int) -> Iterator[Any]:
        """Images (64, 64) and labels (64,), reshuffled every epoch."""
        images, labels = map(torch.from_numpy, self.data.part("train"))
        generator = torch.Generator().manual_seed(seed)
        while True:
            order = torch.randperm(len(labels), generator=generator)
            for index in torch.split(order, BATCH):
                yield images[index], labels[index]

    def predict(self, module: nn.Module, batch: Any) -> Prediction:
        """Logits of the digits, and the labels."""
        images, labels = batch
        return Prediction(module(images), labels)

    @torch.no_grad()
    def evaluate(
        self, module: nn.Module, split: Split, reference: Reference | None = None
    ) -> Metrics:
        """Return the mean cross-entropy in nats per image."""
        images, labels = map(torch.from_numpy, self.data.part(split))
        beside = reference.answers(split, lambda known: known(images)) if reference else None
        return scoring.cross_entropy(scoring.answers(module.eval()(images), labels, beside))
