"""all-MiniLM-L6-v2 fine-tuned to name the part of the Bible a verse stands in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from slashbench import validate
from slashbench.bench.data.kjv import DIVISIONS, KingJames
from slashbench.bench.models import minilm
from slashbench.bench.models.text_classifier import PooledClassifier, TextClassifier
from slashbench.contracts import Split, TrainingPlan, Weights


class MiniLMKjv(TextClassifier):
    """all-MiniLM-L6-v2 (22.6M pretrained weights) fine-tuned to place a King James verse."""

    source: ClassVar[str] = f"{minilm.SOURCE}, fine-tuned here on the King James Bible"
    licence: ClassVar[str] = minilm.LICENCE
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

    def __init__(self, steps: int = 250, batch: int = 32) -> None:
        validate.at_least(1, steps=steps, batch=batch)
        self.steps, self.batch = steps, batch
        self.data = KingJames()

    @property
    def plan(self) -> TrainingPlan:
        """AdamW at 2e-4; the head starts anew."""
        new = frozenset({"head.weight", "head.bias"})
        return TrainingPlan(steps=self.steps, learning_rate=2e-4, warmup=self.steps // 10, new=new)

    def inputs(self) -> dict[str, str]:
        """The text and the pretrained checkpoint."""
        return {"kjv": self.data.sha256(), "all-MiniLM-L6-v2": minilm.SHA256}

    def build(self, seed: int) -> nn.Module:
        """The pretrained encoder under a fresh head."""
        return PooledClassifier(minilm.encoder(), len(DIVISIONS))

    def base(self) -> Weights:
        """The encoder as it was published; the head is new."""
        return {f"encoder.{name}": tensor for name, tensor in minilm.weights().items()}

    def examples(self, split: Split) -> tuple[list[str], list[int]]:
        """Verses of the split's chapters, and the divisions they stand in."""
        return self.data.with_divisions(split)

    def tokenizer(self) -> Any:
        """WordPiece."""
        return minilm.tokenizer()
