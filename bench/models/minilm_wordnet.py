"""all-MiniLM-L6-v2 fine-tuned to say what kind of thing a gloss describes."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import nn

from slashbench.bench.data.wordnet import CLASSES, WordNet
from slashbench.bench.models import minilm
from slashbench.bench.models.text_classifier import PooledClassifier, TextClassifier
from slashbench.contracts import Split, TrainingPlan


class MiniLMWordNet(TextClassifier):
    """all-MiniLM-L6-v2 (22.6M pretrained weights) fine-tuned on WordNet glosses, 45 classes."""

    source: ClassVar[str] = f"{minilm.SOURCE}, fine-tuned here on WordNet 3.1"
    licence: ClassVar[str] = minilm.LICENCE
    evaluation_texts = 2000
    step_hint_s: ClassVar[float] = 0.6
    evaluate_hint_s: ClassVar[float] = 20.0
    weights_hint: ClassVar[int] = 22_600_000

    def __init__(self, steps: int = 750) -> None:
        self.steps = steps
        self.data = WordNet()

    @property
    def plan(self) -> TrainingPlan:
        """AdamW at 2e-4, batches of 32 glosses."""
        return TrainingPlan(steps=self.steps, learning_rate=2e-4, warmup=self.steps // 10)

    def inputs(self) -> dict[str, str]:
        """The glosses and the pretrained checkpoint."""
        return {"wordnet": self.data.sha256(), "all-MiniLM-L6-v2": minilm.SHA256}

    def build(self, seed: int) -> nn.Module:
        """The pretrained encoder under a fresh head."""
        return PooledClassifier(minilm.encoder(), CLASSES)

    def examples(self, split: Split) -> tuple[list[str], list[int]]:
        """Glosses of the split, and their classes."""
        return self.data.glosses(split)

    def tokenizer(self) -> Any:
        """WordPiece."""
        return minilm.tokenizer()
