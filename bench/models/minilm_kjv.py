"""all-MiniLM-L6-v2 fine-tuned to name the part of the Bible a verse stands in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from slashbench.bench.data.kjv import DIVISIONS, KingJames
from slashbench.bench.models import minilm, scoring
from slashbench.contracts import Metrics, Model, Prediction, Reference, Split, TrainingPlan

BATCH = 32
EVALUATION_VERSES = 600  # evenly spread over the held-out chapters

Rows = tuple[list[list[int]], torch.Tensor]


class VerseClassifier(nn.Module):
    """Mean-pooled encoder states -> logits of the ten divisions."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = minilm.encoder()
        self.head = nn.Linear(self.encoder.config.hidden_size, len(DIVISIONS))

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Token ids and mask (B, T) -> logits (B, 10)."""
        states = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1).to(states.dtype)
        pooled = (states * weights).sum(1) / weights.sum(1)
        logits: torch.Tensor = self.head(pooled)
        return logits


class MiniLMKjv(Model):
    """all-MiniLM-L6-v2 (22.6M pretrained weights) fine-tuned to place a King James verse."""

    source: ClassVar[str] = f"{minilm.SOURCE}, fine-tuned here on the King James Bible"
    licence: ClassVar[str] = minilm.LICENCE
    metric: ClassVar[str] = "cross-entropy, nats"
    tolerance: ClassVar[float] = scoring.TOLERANCE_NATS
    step_hint_s: ClassVar[float] = 1.66
    evaluate_hint_s: ClassVar[float] = 16.0
    weights_hint: ClassVar[int] = 22_600_000
    # backslash: in the gradient (Algorithm 1). The default, the authors' decoupled step, is not
    # scaled by the learning rate; here AdamW weighs the term against the loss, weight by weight,
    # and its effect falls with the learning rate. Matrices only: vectors stay floats in a file.
    tuned: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "backslash": {"lam": 200.0, "update": "gradient", "scope": "matrices"},
        "backslash-q": {"lam": 1.0, "step": 0.08, "begin": 0.5, "granularity": "channel"},
    }

    def __init__(self, steps: int = 250) -> None:
        self.steps = steps
        self.data = KingJames()

    @property
    def plan(self) -> TrainingPlan:
        """AdamW at 2e-4, batches of 32 verses."""
        return TrainingPlan(steps=self.steps, learning_rate=2e-4, warmup=self.steps // 10)

    def inputs(self) -> dict[str, str]:
        """The text and the pretrained checkpoint."""
        return {"kjv": self.data.sha256(), "all-MiniLM-L6-v2": minilm.SHA256}

    def build(self, seed: int) -> nn.Module:
        """The pretrained encoder under a fresh head."""
        return VerseClassifier()

    def batches(self, seed: int) -> Iterator[Any]:
        """(ids, mask, labels) of 32 verses of like length, in an order drawn anew every epoch."""
        rows, labels = self._part["train"]
        generator = np.random.default_rng(seed)
        while True:
            jitter = generator.uniform(-4, 4, len(rows))
            order = np.argsort(np.array([len(row) for row in rows]) + jitter, kind="stable")
            groups = np.array_split(order, len(rows) // BATCH)
            for index in generator.permutation(len(groups)):
                chosen = groups[index]
                yield (*minilm.pad([rows[i] for i in chosen]), labels[chosen])

    def predict(self, module: nn.Module, batch: Any) -> Prediction:
        """Logits of the divisions, and the labels."""
        ids, mask, labels = batch
        return Prediction(module(ids, mask), labels)

    def loss(self, module: nn.Module, batch: Any) -> torch.Tensor:
        """Cross-entropy in nats."""
        answered = self.predict(module, batch)
        return functional.cross_entropy(answered.logits, answered.targets)

    @torch.no_grad()
    def evaluate(
        self, module: nn.Module, split: Split, reference: Reference | None = None
    ) -> Metrics:
        """Return the mean cross-entropy in nats on 600 verses of the split's chapters."""
        rows, labels = self._part[split]
        if split == "train":
            keep = np.linspace(0, len(rows) - 1, EVALUATION_VERSES).astype(int)
            rows, labels = [rows[i] for i in keep], labels[keep]
        beside = reference.answers(split, lambda r: self._logits(r, rows)) if reference else None
        return scoring.cross_entropy(scoring.answers(self._logits(module, rows), labels, beside))

    def _logits(self, module: nn.Module, rows: list[list[int]]) -> torch.Tensor:
        """The logits (n, 10) of tokenised verses, computed in batches of like length."""
        module.eval()
        logits = torch.empty(len(rows), len(DIVISIONS))
        by_length = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        for start in range(0, len(rows), BATCH):
            chosen = by_length[start : start + BATCH]
            logits[chosen] = module(*minilm.pad([rows[i] for i in chosen]))
        return logits

    @cached_property
    def _part(self) -> dict[str, Rows]:
        tokenizer = minilm.tokenizer()
        parts = {}
        for split in ("train", "validation", "test"):
            verses = self.data.by_chapter(split)
            if split != "train":
                keep = np.linspace(0, len(verses) - 1, EVALUATION_VERSES).astype(int)
                verses = [verses[i] for i in keep]
            rows = [e.ids for e in tokenizer.encode_batch([verse.text for verse in verses])]
            parts[split] = rows, torch.tensor([verse.division for verse in verses])
        return parts
