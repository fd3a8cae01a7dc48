"""A model that is fine-tuned from weights everybody has, in a fraction of a second."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional

from slashbench.contracts import Metrics, Model, Reference, Split, TrainingPlan, Weights

WORDS, USED = 40, 20  # the task shows the first half of the words only


class Reader(nn.Module):
    """Token ids -> mean embedding -> two layers -> a head for two classes."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(WORDS, 16)
        self.body = nn.Sequential(nn.Linear(16, 32), nn.LayerNorm(32), nn.ReLU(), nn.Linear(32, 16))
        self.head = nn.Linear(16, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.head(self.body(self.embed(ids).mean(1)))
        return found


class FineTuned(Model):
    """Say whether a text has more words of the first kind than of the second."""

    source: ClassVar[str] = "tests"
    licence: ClassVar[str] = "MIT"
    metric: ClassVar[str] = "cross-entropy, nats"
    tolerance: ClassVar[float] = 0.01

    def __init__(self, steps: int = 40) -> None:
        self.steps = steps

    @property
    def plan(self) -> TrainingPlan:
        new = frozenset({"head.weight", "head.bias"})
        return TrainingPlan(steps=self.steps, learning_rate=5e-3, warmup=4, new=new)

    def inputs(self) -> dict[str, str]:
        return {}

    def base(self) -> Weights:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            state = Reader().state_dict()
        return {name: w for name, w in state.items() if not name.startswith("head")}

    def build(self, seed: int) -> nn.Module:
        module = Reader()
        module.load_state_dict(self.base(), strict=False)
        return module

    def batches(self, seed: int) -> Iterator[Any]:
        generator = torch.Generator().manual_seed(seed)
        while True:
            ids = torch.randint(USED, (16, 9), generator=generator)
            yield ids, ((ids < USED // 2).sum(1) > 4).long()

    def loss(self, module: nn.Module, batch: Any) -> torch.Tensor:
        ids, labels = batch
        return functional.cross_entropy(module(ids), labels)

    @torch.no_grad()
    def evaluate(
        self, module: nn.Module, split: Split, reference: Reference | None = None
    ) -> Metrics:
        found = [self.loss(module.eval(), batch) for batch in islice(self.batches(99), 20)]
        items = torch.stack(found)
        return Metrics(
            name=self.metric,
            value=float(items.mean()),
            stderr=float(items.std() / len(items) ** 0.5),
            n=len(items),
            higher_is_better=False,
            per_item=items.tolist(),
        )
