"""A GPT of ten million parameters on the King James text, for those who give it hours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from slashbench.bench.models.gpt import GptConfig
from slashbench.bench.models.kjv_gpt import KjvGpt
from slashbench.contracts import TrainingPlan


class KjvGpt10M(KjvGpt):
    """GPT 5x384 (10.5M parameters, tied head), from scratch on the King James Bible, byte BPE."""

    chunks: ClassVar[int] = 128
    step_hint_s: ClassVar[float] = 4.0
    evaluate_hint_s: ClassVar[float] = 30.0
    weights_hint: ClassVar[int] = 10_500_000
    tuned: ClassVar[Mapping[str, Mapping[str, Any]]] = {}  # nobody swept it yet

    def __init__(self, steps: int = 3000) -> None:
        super().__init__(steps)
        self.config = GptConfig(vocabulary=4096, context=256, layers=5, heads=6, width=384)

    @property
    def plan(self) -> TrainingPlan:
        """AdamW at 1e-3, batches of 16 x 256 tokens."""
        return TrainingPlan(steps=self.steps, learning_rate=1e-3, warmup=200)
