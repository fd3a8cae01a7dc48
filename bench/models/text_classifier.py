"""Models that classify short texts with an encoder, the mean of its states and a linear head."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from slashbench.bench.models import scoring
from slashbench.contracts import Metrics, Model, Prediction, Reference, Split

EVALUATED = 32  # texts at a time

Rows = tuple[list[list[int]], torch.Tensor]


class PooledClassifier(nn.Module):
    """Mean-pooled encoder states -> logits of the classes."""

    def __init__(self, encoder: Any, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(self.encoder.config.hidden_size, classes)

    def vectors(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Token ids and mask (B, T) -> mean states (B, width)."""
        states = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1).to(states.dtype)
        pooled: torch.Tensor = (states * weights).sum(1) / weights.sum(1)
        return pooled

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Token ids and mask (B, T) -> logits (B, classes)."""
        logits: torch.Tensor = self.head(self.vectors(ids, mask))
        return logits


class TextClassifier(Model):
    """A classifier of short texts; its cross-entropy in nats is the metric."""

    metric: ClassVar[str] = "cross-entropy, nats"
    tolerance: ClassVar[float] = scoring.TOLERANCE_NATS
    evaluation_texts: int = 600  # evenly spread over the held-out ones
    batch: int = 32  # texts of a training step
    padding: ClassVar[int] = 0  # token id

    @abstractmethod
    def examples(self, split: Split) -> tuple[list[str], list[int]]:
        """Return the texts of a split, and their classes."""

    @abstractmethod
    def tokenizer(self) -> Any:
        """Return the tokeniser, which does not pad."""

    def batches(self, seed: int) -> Iterator[Any]:
        """(ids, mask, labels) of `batch` texts of like length, in an order drawn every epoch."""
        rows, labels = self._part["train"]
        generator = np.random.default_rng(seed)
        while True:
            jitter = generator.uniform(-4, 4, len(rows))
            order = np.argsort(np.array([len(row) for row in rows]) + jitter, kind="stable")
            groups = np.array_split(order, max(1, len(rows) // self.batch))
            for index in generator.permutation(len(groups)):
                chosen = groups[index]
                yield (*self.padded([rows[i] for i in chosen]), labels[chosen])

    def predict(self, module: nn.Module, batch: Any) -> Prediction:
        """Logits of the classes, and the labels."""
        ids, mask, labels = batch
        return Prediction(module(ids, mask), labels)

    @torch.no_grad()
    def evaluate(
        self, module: nn.Module, split: Split, reference: Reference | None = None
    ) -> Metrics:
        """Return the mean cross-entropy in nats on texts of the split."""
        rows, labels = self._part[split]
        if split == "train":
            keep = _spread(len(rows), self.evaluation_texts)
            rows, labels = [rows[i] for i in keep], labels[keep]
        beside = reference.answers(split, lambda r: self.outputs(r, rows)) if reference else None
        return scoring.cross_entropy(scoring.answers(self.outputs(module, rows), labels, beside))

    def outputs(self, function: Any, rows: Sequence[list[int]]) -> torch.Tensor:
        """Return what a module puts out for tokenised texts, in batches of like length."""
        function.eval()
        found: torch.Tensor | None = None
        by_length = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        for start in range(0, len(rows), EVALUATED):
            chosen = by_length[start : start + EVALUATED]
            out = function(*self.padded([rows[i] for i in chosen]))
            if found is None:
                found = torch.empty(len(rows), out.shape[1])
            found[chosen] = out
        assert found is not None
        return found

    def padded(self, rows: Sequence[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids and attention mask, both (n, longest row)."""
        width = max(map(len, rows))
        ids = torch.tensor([row + [self.padding] * (width - len(row)) for row in rows])
        lengths = torch.tensor([len(row) for row in rows])
        return ids, (torch.arange(width) < lengths[:, None]).long()

    @cached_property
    def _part(self) -> dict[str, Rows]:
        tokenizer = self.tokenizer()
        parts = {}
        for split in ("train", "validation", "test"):
            texts, labels = self.examples(split)
            if split != "train":
                keep = _spread(len(texts), self.evaluation_texts)
                texts, labels = [texts[i] for i in keep], [labels[i] for i in keep]
            rows = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
            parts[split] = rows, torch.tensor(labels)
        return parts


def _spread(count: int, wanted: int) -> list[int]:
    """Return indices spread evenly over `count` examples."""
    found: list[int] = np.linspace(0, count - 1, min(wanted, count)).astype(int).tolist()
    return found
