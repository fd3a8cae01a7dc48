"""One piece of a pretrained model, small enough for the smoke suite."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from slashbench.bench.data.kjv import KingJames
from slashbench.bench.models import minilm
from slashbench.bench.models.scoring import standard_error
from slashbench.contracts import Metrics, Model, Reference, Split

VERSES = 64
BATCH = 16


class MiniLMBlock(Model):
    """First transformer block of all-MiniLM-L6-v2 (1.77M weights), post-training recipes only."""

    source: ClassVar[str] = f"{minilm.SOURCE}, encoder layer 0"
    licence: ClassVar[str] = minilm.LICENCE
    metric: ClassVar[str] = "relative output error"
    tolerance: ClassVar[float] = 0.01  # 1 % of the output's energy: no task says more
    evaluate_hint_s: ClassVar[float] = 0.9
    weights_hint: ClassVar[int] = 1_770_000

    def __init__(self) -> None:
        self.data = KingJames()

    @property
    def plan(self) -> None:
        """Not trained here."""
        return

    def inputs(self) -> dict[str, str]:
        """The text and the pretrained checkpoint."""
        return {"kjv": self.data.sha256(), "all-MiniLM-L6-v2": minilm.SHA256}

    def build(self, seed: int) -> nn.Module:
        """The pretrained block."""
        return copy.deepcopy(self._block)

    def calibration(self, seed: int) -> Iterator[Any]:
        """(states, the float block's output), both (16, T, 384), of verses that are not held out.

        All are cut to the shortest verse of their batch.
        """
        verses = self.data.by_chapter("train")
        tokenizer = minilm.tokenizer()
        generator = np.random.default_rng(seed)
        while True:
            chosen = generator.choice(len(verses), BATCH, replace=False)
            rows = [e.ids for e in tokenizer.encode_batch([verses[i].text for i in chosen])]
            width = min(map(len, rows))
            with torch.no_grad():
                ids = torch.tensor([row[:width] for row in rows])
                states = self._encoder.embeddings(input_ids=ids)
                wanted = _first(self._block(states))
            yield states, wanted

    def loss(self, module: nn.Module, batch: Any) -> torch.Tensor:
        """Squared error of the output relative to the float block's."""
        states, wanted = batch
        error: torch.Tensor = (_first(module(states)) - wanted).square().sum()
        relative: torch.Tensor = error / wanted.square().sum()
        return relative

    @torch.no_grad()
    def evaluate(
        self, module: nn.Module, split: Split, reference: Reference | None = None
    ) -> Metrics:
        """Return |y - y0|^2 / |y0|^2, with y0 the pretrained block's output; one item a verse.

        The pretrained block is the reference already: `reference` adds nothing.
        """
        module.eval()
        verses = self.data.by_chapter(split)
        chosen = [verses[i].text for i in np.linspace(0, len(verses) - 1, VERSES).astype(int)]
        errors = []
        for encoding in minilm.tokenizer().encode_batch(chosen):
            states = self._encoder.embeddings(input_ids=torch.tensor([encoding.ids]))
            wanted = _first(self._block(states))
            error = (_first(module(states)) - wanted).square().sum() / wanted.square().sum()
            errors.append(float(error))
        values = np.array(errors)
        return Metrics(
            name="relative output error",
            value=float(values.mean()),
            stderr=standard_error(values),
            n=len(errors),
            higher_is_better=False,
            per_item=errors,
        )

    @cached_property
    def _encoder(self) -> Any:
        encoder = minilm.encoder()
        encoder.train(False)
        return encoder

    @property
    def _block(self) -> nn.Module:
        block: nn.Module = self._encoder.encoder.layer[0]
        return block


def _first(output: Any) -> torch.Tensor:
    """A block's hidden states, whether this transformers returns them alone or in a tuple."""
    states: torch.Tensor = output[0] if isinstance(output, tuple) else output
    return states
