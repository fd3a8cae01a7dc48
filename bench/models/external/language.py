"""Language models on a text file: bits per byte, and how far their answers are from the float's."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from slashbench.bench.models import scoring
from slashbench.bench.models.external import loading
from slashbench.bench.models.external.checkpoint import ExternalModel
from slashbench.bench.models.external.spelling import CALIBRATION, CHUNKS, CONTEXT, TEXT
from slashbench.bench.models.external.text_file import Rows, TextFile
from slashbench.contracts import Metrics, Reference, Split

HIDDEN = 0.15  # share of the tokens that a masked model must name
ROWS, WIDTH = 64, 256  # of an evaluation, unless the user says otherwise
BATCH = 8  # rows of a batch of calibration
_LOGITS = 1 << 25  # values computed at a time

#: What a module is asked, and the tokens that are the right answers.
Question = tuple[dict[str, torch.Tensor], torch.Tensor]


class LanguageModel(ExternalModel):
    """A model whose logits name tokens of a text."""

    @cached_property
    def tokenizer(self) -> Any:
        """The checkpoint's own."""
        return loading.tokenizer_of(self.folder)

    @cached_property
    def config(self) -> Any:
        """The checkpoint's own."""
        return loading.config_of(self.folder)

    @cached_property
    def _text(self) -> TextFile:
        return TextFile(self.name.settings[TEXT], self.tokenizer)

    @cached_property
    def _calibration_text(self) -> TextFile:
        return TextFile(self.name.settings[CALIBRATION], self.tokenizer)

    @cached_property
    def _special(self) -> tuple[list[int], list[int]]:
        """Tokens that the tokenizer puts before and behind a text."""
        mark = self.tokenizer("a", add_special_tokens=False)["input_ids"]
        whole = self.tokenizer("a")["input_ids"]
        for begin in range(len(whole) - len(mark) + 1):
            if whole[begin : begin + len(mark)] == mark:
                return whole[:begin], whole[begin + len(mark) :]
        return [], []

    @property
    def width(self) -> int:
        """Tokens of a row: as the user says, but no more than the model takes."""
        config = self.config.get_text_config()
        places = [
            getattr(config, name, None) for name in ("max_position_embeddings", "n_positions")
        ]
        most = min((n for n in places if isinstance(n, int) and n > 0), default=1 << 20)
        room = most - sum(map(len, self._special)) - 2  # RoBERTa's positions begin at 2
        return max(2, min(self.name.number(CONTEXT, WIDTH), room))

    def calibration(self, seed: int) -> Iterator[Any]:
        """Rows from anywhere in the text of `--calibration`, as questions."""
        if CALIBRATION not in self.name.settings:
            yield from super().calibration(seed)
        generator = torch.Generator().manual_seed(seed)
        while True:
            yield self.question(
                self._calibration_text.windows(self.width, BATCH, generator), generator
            )

    def loss(self, module: nn.Module, batch: Any) -> torch.Tensor:
        """Cross-entropy of the right answers in nats."""
        asked, wanted = batch
        return functional.cross_entropy(self.logits(module, asked).float(), wanted)

    @abstractmethod
    def question(self, rows: torch.Tensor, generator: torch.Generator) -> Question:
        """Return what the module is asked of these tokens (n, width + 1)."""

    @abstractmethod
    def logits(self, module: nn.Module, asked: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the logits (answers, vocabulary), in the order of the right answers."""

    def answered(
        self, module: nn.Module, rows: Rows, reference: Reference | None
    ) -> scoring.Answers:
        """Score all rows, a few at a time, beside the float model if that is given.

        Its logits are computed anew: those of a large vocabulary are too many to keep.
        """
        module.eval()
        beside = reference.answers("itself", lambda known: known) if reference else None
        vocabulary = int(self.config.get_text_config().vocab_size)
        n = max(1, _LOGITS // (vocabulary * rows.ids.shape[1]))
        generator = torch.Generator().manual_seed(0)
        found = []
        for part in torch.split(rows.ids, n):
            asked, wanted = self.question(part, generator)
            known = self.logits(beside, asked).float() if beside is not None else None
            found.append(scoring.answers(self.logits(module, asked).float(), wanted, known))
        return scoring.joined(found)

    def _rows(self, split: Split) -> Rows:
        return self._text.rows(self.width, split, self.name.number(CHUNKS, ROWS))


class CausalLanguageModel(LanguageModel):
    """A decoder: the next token, given those before it in a row."""

    metric: ClassVar[str] = "bits per byte"
    tolerance: ClassVar[float] = scoring.TOLERANCE_BITS

    def question(self, rows: torch.Tensor, generator: torch.Generator) -> Question:
        """Return the tokens but the last, behind those that the tokenizer begins a text with."""
        before = torch.tensor(self._special[0], dtype=rows.dtype).expand(len(rows), -1)
        return {"input_ids": torch.cat([before, rows[:, :-1]], 1)}, rows[:, 1:].reshape(-1)

    def logits(self, module: nn.Module, asked: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the logits of every token but the first of a row."""
        found: torch.Tensor = module(**asked, use_cache=False).logits
        return found[:, len(self._special[0]) :].flatten(0, 1)

    @torch.no_grad()
    def evaluate(
        self, module: nn.Module, split: Split, reference: Reference | None = None
    ) -> Metrics:
        """Return bits per byte of the text; the standard error is over rows."""
        rows = self._rows(split)
        return bits_per_byte(self.answered(module, rows, reference), rows.nbytes.sum(1))


class SequenceToSequenceModel(LanguageModel):
    """An encoder and a decoder: the second half of a row, given the first."""

    metric: ClassVar[str] = "bits per byte"
    tolerance: ClassVar[float] = scoring.TOLERANCE_BITS

    def question(self, rows: torch.Tensor, generator: torch.Generator) -> Question:
        """Return the first half for the encoder, the second for the decoder."""
        half = rows.shape[1] // 2
        wanted = rows[:, half:].contiguous()
        return {"input_ids": rows[:, :half], "labels": wanted}, wanted.reshape(-1)

    def logits(self, module: nn.Module, asked: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the logits of the second half."""
        found: torch.Tensor = module(**asked, use_cache=False).logits
        return found.flatten(0, 1)

    @torch.no_grad()
    def evaluate(
        self, module: nn.Module, split: Split, reference: Reference | None = None
    ) -> Metrics:
        """Return bits per byte of the second halves; the standard error is over rows."""
        rows = self._rows(split)
        half = rows.ids.shape[1] // 2
        return bits_per_byte(
            self.answered(module, rows, reference), rows.nbytes[:, half - 1 :].sum(1)
        )


class MaskedLanguageModel(LanguageModel):
    """An encoder that names hidden tokens, 15 % of each row, always the same ones."""

    metric: ClassVar[str] = "cross-entropy, nats"
    tolerance: ClassVar[float] = scoring.TOLERANCE_NATS

    def question(self, rows: torch.Tensor, generator: torch.Generator) -> Question:
        """Return the rows with some tokens hidden, as many in each."""
        ids = rows[:, 1:]
        n = max(1, round(HIDDEN * ids.shape[1]))
        places = torch.rand(ids.shape, generator=generator).argsort(1)[:, :n].sort(1).values
        hidden = ids.scatter(1, places, self.tokenizer.mask_token_id)
        before, behind = (
            torch.tensor(part, dtype=ids.dtype).expand(len(ids), -1) for part in self._special
        )
        asked = {"input_ids": torch.cat([before, hidden, behind], 1), "places": places}
        return asked, ids.gather(1, places).reshape(-1)

    def logits(self, module: nn.Module, asked: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the logits of the hidden tokens."""
        found: torch.Tensor = module(input_ids=asked["input_ids"]).logits
        places = asked["places"] + len(self._special[0])
        return found.gather(1, places[..., None].expand(-1, -1, found.shape[-1])).flatten(0, 1)

    @torch.no_grad()
    def evaluate(
        self, module: nn.Module, split: Split, reference: Reference | None = None
    ) -> Metrics:
        """Return the cross-entropy of hidden tokens; the standard error is over rows."""
        rows = self._rows(split)
        found = self.answered(module, rows, reference)
        return _by_row(self.metric, found, found.nats.reshape(len(rows.ids), -1).mean(1))


def bits_per_byte(found: scoring.Answers, nbytes: Any) -> Metrics:
    """Return the metric of rows of as many answers each. nbytes: of the text of each row."""
    bits = found.nats.reshape(len(nbytes), -1).sum(1) / math.log(2)
    return _by_row("bits per byte", found, bits / np.mean(nbytes))


def _by_row(name: str, found: scoring.Answers, per_item: Any) -> Metrics:
    return Metrics(
        name=name,
        value=float(per_item.mean()),
        stderr=scoring.standard_error(per_item),
        n=per_item.size,
        higher_is_better=False,
        per_item=per_item.tolist(),
        also=scoring.secondary(found),
    )


#: Endings of the names of architectures -> what they are asked.
KINDS: dict[str, type[LanguageModel]] = {
    "ForCausalLM": CausalLanguageModel,
    "LMHeadModel": CausalLanguageModel,
    "ForMaskedLM": MaskedLanguageModel,
    "ForConditionalGeneration": SequenceToSequenceModel,
}
