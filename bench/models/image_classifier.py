"""Models that classify small images."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import nn

from slashbench.bench.data.fashion_mnist import FashionMnist
from slashbench.bench.models import scoring
from slashbench.contracts import Metrics, Model, Prediction, Reference, Split

CHUNK = 250  # images that are evaluated at a time


class FashionClassifier(Model):
    """A classifier of Fashion-MNIST; its cross-entropy in nats is the metric."""

    metric: ClassVar[str] = "cross-entropy, nats"
    tolerance: ClassVar[float] = scoring.TOLERANCE_NATS
    batch: ClassVar[int] = 128
    evaluation_images: ClassVar[int] = 10_000  # the first of the held-out ones, at most

    def __init__(self) -> None:
        self.data = FashionMnist()

    def inputs(self) -> dict[str, str]:
        """The images; there are no pretrained weights."""
        return {"fashion-mnist": self.data.sha256()}

    def batches(self, seed: int) -> Iterator[Any]:
        """Images (B, 1, 28, 28) and labels (B,), reshuffled every epoch."""
        images, labels = self.tensors["train"]
        generator = torch.Generator().manual_seed(seed)
        while True:
            order = torch.randperm(len(labels), generator=generator)
            for index in torch.split(order, self.batch)[: len(order) // self.batch]:
                yield images[index], labels[index]

    def predict(self, module: nn.Module, batch: Any) -> Prediction:
        """Logits of the classes, and the labels."""
        images, labels = batch
        return Prediction(module(images), labels)

    @torch.no_grad()
    def evaluate(
        self, module: nn.Module, split: Split, reference: Reference | None = None
    ) -> Metrics:
        """Return the mean cross-entropy in nats per image."""
        images, labels = (part[: self.evaluation_images] for part in self.tensors[split])
        beside = reference.answers(split, lambda m: self.outputs(m, images)) if reference else None
        found = scoring.answers(self.outputs(module, images), labels, beside)
        return scoring.cross_entropy(found)

    def outputs(self, function: nn.Module, images: torch.Tensor) -> torch.Tensor:
        """Return what a module puts out for images, some at a time."""
        function.eval()
        return torch.cat([function(chunk) for chunk in torch.split(images, CHUNK)])

    @cached_property
    def tensors(self) -> dict[Split, tuple[torch.Tensor, torch.Tensor]]:
        """Images and labels of each split."""
        found: dict[Split, tuple[torch.Tensor, torch.Tensor]] = {}
        for split in ("train", "validation", "test"):
            images, labels = self.data.images(split)
            found[split] = torch.from_numpy(images), torch.from_numpy(labels)
        return found
