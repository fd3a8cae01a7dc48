"""Whisper's decoder as a language model of text that nobody speaks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from slashbench.bench.data.kjv import KingJames
from slashbench.bench.models import scoring, whisper_base
from slashbench.bench.models.pretrained import assembled, kept
from slashbench.contracts import Metrics, Model, Prediction, Reference, Split, Weights
from slashbench.errors import UsageError

TOKENS = 160  # of a passage, at most
PASSAGES = 16  # for an evaluation, evenly spread over the held-out books
BATCH = 4
IGNORED = -100  # in place of a target that does not count

#: Token ids (n, T), and what comes after each of them, or IGNORED.
Batch = tuple[torch.Tensor, torch.Tensor]


class WhisperDecoderOnSilence(nn.Module):
    """Token ids -> logits, with what the float encoder puts out for 30 seconds of silence."""

    silence: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        whole = whisper_base.empty()
        self.decoder = whole.model.decoder
        self.head = whole.proj_out
        self.register_buffer(
            "silence", torch.empty(1, whisper_base.FRAMES, whisper_base.WIDTH), persistent=False
        )

    def tie_weights(self) -> None:
        """Make the head's weights those of the embedding."""
        self.head.weight = self.decoder.embed_tokens.weight

    def states(self, ids: torch.Tensor) -> torch.Tensor:
        """Token ids (B, T) -> states before the head (B, T, 512)."""
        heard = self.silence.expand(len(ids), -1, -1)
        out = self.decoder(input_ids=ids, encoder_hidden_states=heard, use_cache=False)
        found: torch.Tensor = out.last_hidden_state
        return found

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Token ids (B, T) -> logits (B, T, vocabulary)."""
        logits: torch.Tensor = self.head(self.states(ids))
        return logits


class WhisperKjv(Model):
    """Whisper base's decoder (51.8M float16 weights) on King James verses, post-training only.

    It reads and predicts text over silence. The encoder is no part of the module, since nothing is
    heard: `whisper-speech` has it.
    """

    source: ClassVar[str] = f"{whisper_base.SOURCE}, decoder"
    licence: ClassVar[str] = whisper_base.LICENCE
    metric: ClassVar[str] = "bits per byte"
    tolerance: ClassVar[float] = scoring.TOLERANCE_BITS
    widened: ClassVar[bool] = True
    evaluate_hint_s: ClassVar[float] = 20.0
    weights_hint: ClassVar[int] = 51_800_000

    def __init__(self) -> None:
        self.data = KingJames()

    @property
    def plan(self) -> None:
        """Not trained here."""
        return

    def inputs(self) -> dict[str, str]:
        """The text and the pretrained checkpoint."""
        return {"kjv": self.data.sha256(), "whisper-base": whisper_base.SHA256}

    def build(self, seed: int) -> nn.Module:
        """The published decoder."""
        prefix = "model."
        found = whisper_base.weights("model.decoder.")
        state = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
        state["head.weight"] = state["decoder.embed_tokens.weight"]
        module: nn.Module = assembled(WhisperDecoderOnSilence, state, {"silence": _silence()})
        return module

    def calibration(self, seed: int) -> Iterator[Any]:
        """(ids, targets) of 4 passages of the training books."""
        passages = self._passages("train")
        generator = np.random.default_rng(seed)
        while True:
            chosen = generator.choice(len(passages), BATCH, replace=False)
            yield _batch([passages[i][0] for i in chosen])

    def predict(self, module: nn.Module, batch: Any) -> Prediction:
        """Logits of the tokens that count, and what these are."""
        ids, targets = batch
        counted = targets != IGNORED
        return Prediction(module.head(module.states(ids)[counted]), targets[counted])  # type: ignore[operator]

    @torch.no_grad()
    def evaluate(
        self, module: nn.Module, split: Split, reference: Reference | None = None
    ) -> Metrics:
        """Return bits per byte of held-out passages; the standard error is over passages."""
        passages = self._held_out(split)
        module.eval()
        bits, found = [], []
        for start in range(0, len(passages), BATCH):
            ids, targets = _batch([tokens for tokens, _ in passages[start : start + BATCH]])
            counted = targets != IGNORED
            beside = _logits_of(reference, f"{split} {start}", ids, counted)
            states = module.states(ids)[counted]  # type: ignore[operator]
            answers = scoring.answers(module.head(states), targets[counted], beside)  # type: ignore[operator]
            found.append(answers)
            each = np.split(answers.nats, counted.sum(1).cumsum(0).numpy()[:-1])
            bits += [float(nats.sum()) / math.log(2) for nats in each]
        size = np.mean([n_bytes for _, n_bytes in passages])
        per_item = np.array(bits) / size
        return Metrics(
            name="bits per byte",
            value=float(per_item.mean()),
            stderr=scoring.standard_error(per_item),
            n=len(passages),
            higher_is_better=False,
            per_item=per_item.tolist(),
            also=scoring.secondary(scoring.joined(found)),
        )

    def _held_out(self, split: Split) -> list[tuple[list[int], int]]:
        if split == "train":
            raise UsageError("what Whisper was trained on is not here")
        passages = self._passages(split)
        chosen = np.linspace(0, len(passages) - 1, PASSAGES).astype(int)
        return sorted((passages[i] for i in chosen), key=lambda passage: len(passage[0]))

    def _passages(self, split: Split) -> list[tuple[list[int], int]]:
        """Passages of consecutive verses: token ids, and bytes of text."""
        if split not in self._known:
            verses = [line for text in self.data.by_book(split) for line in text.splitlines()]
            texts = [f" {verse}" for verse in verses]
            encoded = self._tokenizer.encode_batch(texts, add_special_tokens=False)
            passages: list[tuple[list[int], int]] = [([], 0)]
            for text, encoding in zip(texts, encoded, strict=True):
                tokens, size = passages[-1]
                if tokens and len(tokens) + len(encoding.ids) > TOKENS:
                    passages.append(([], 0))
                    tokens, size = passages[-1]
                passages[-1] = tokens + encoding.ids, size + len(text.encode())
            self._known[split] = passages
        return self._known[split]

    @cached_property
    def _known(self) -> dict[str, list[tuple[list[int], int]]]:
        return {}

    @cached_property
    def _tokenizer(self) -> Any:
        return whisper_base.tokenizer()


def _batch(passages: Sequence[list[int]]) -> Batch:
    """Ids after the prompt, and targets: every token of the passages, padded at their end."""
    rows = [[*whisper_base.PROMPT, *tokens] for tokens in passages]
    width = max(map(len, rows)) - 1
    ids = torch.full((len(rows), width), whisper_base.END)
    targets = torch.full((len(rows), width), IGNORED)
    first = len(whisper_base.PROMPT) - 1
    for i, row in enumerate(rows):
        ids[i, : len(row) - 1] = torch.tensor(row[:-1])
        targets[i, first : len(row) - 1] = torch.tensor(row[first + 1 :])
    return ids, targets


def _logits_of(
    reference: Reference | None, question: str, ids: torch.Tensor, counted: torch.Tensor
) -> torch.Tensor | None:
    """Return the reference's logits; kept of it are the states before its head, a hundredth."""
    if reference is None:
        return None

    def ask(known: Any) -> tuple[torch.Tensor, nn.Module]:
        return known.states(ids)[counted], known.head

    states, head = reference.answers(question, ask)
    logits: torch.Tensor = head(states)
    return logits


def _silence() -> torch.Tensor:
    """Return what the float encoder puts out for silence, kept in the cache."""

    @torch.no_grad()
    def hear() -> Weights:
        whole: Any = whisper_base.module()
        encoder = whole.float().model.encoder
        mel = torch.full((1, whisper_base.MELS, 2 * whisper_base.FRAMES), -1.5)
        return {"silence": encoder(mel).last_hidden_state}

    return kept(f"whisper-base-silence-{whisper_base.SHA256[:16]}", hear)["silence"]
