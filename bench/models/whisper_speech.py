"""Whisper base on human speech: the voice prompts of a telephone exchange."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from slashbench.bench.data.asterisk_prompts import RATE, AsteriskPrompts, Prompt
from slashbench.bench.models import scoring, whisper_base
from slashbench.contracts import Metrics, Model, Prediction, Reference, Split
from slashbench.errors import UsageError

SECONDS = 28  # of sound that is joined into one chunk, at most; Whisper hears 30
PAUSE_S = 0.3  # between prompts
CHUNKS = 8  # for an evaluation, evenly spread
LONGEST = 1.5  # times the tokens of the text, after which a transcript that loops is cut off


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some prompts after one another: mel features (80, 3000), text, and its tokens."""

    mel: torch.Tensor
    text: str
    tokens: list[int]


class WhisperSpeech(Model):
    """Whisper base (71.8M float16 weights) on voice prompts, post-training recipes only.

    The metric is the cross-entropy of the text that is said; beside it stands the word error rate
    of what it transcribes, in percent (`wer`).
    """

    source: ClassVar[str] = f"{whisper_base.SOURCE}; Asterisk prompts 1.6.1 (Allison Smith)"
    licence: ClassVar[str] = whisper_base.LICENCE
    metric: ClassVar[str] = "nats per token"
    tolerance: ClassVar[float] = scoring.TOLERANCE_NATS
    widened: ClassVar[bool] = True
    evaluate_hint_s: ClassVar[float] = 40.0
    weights_hint: ClassVar[int] = 71_800_000

    def __init__(self) -> None:
        self.data = AsteriskPrompts()
        self._known: dict[str, list[Chunk]] = {}

    @property
    def plan(self) -> None:
        """Not trained here."""
        return

    def inputs(self) -> dict[str, str]:
        """The prompts and the pretrained checkpoint."""
        return {"asterisk-prompts": self.data.sha256(), "whisper-base": whisper_base.SHA256}

    def build(self, seed: int) -> nn.Module:
        """The published model."""
        return whisper_base.module()

    def calibration(self, seed: int) -> Iterator[Any]:
        """(mel, tokens) of one chunk of prompts that are in no held-out part."""
        chunks = self._chunks("train")
        generator = np.random.default_rng(seed)
        while True:
            chunk = chunks[int(generator.integers(len(chunks)))]
            yield chunk.mel[None], chunk.tokens

    def predict(self, module: nn.Module, batch: Any) -> Prediction:
        """Logits of the tokens of the text, and these tokens."""
        mel, tokens = batch
        return Prediction(_logits(module, _heard(module, mel), tokens), torch.tensor(tokens))

    @torch.no_grad()
    def evaluate(
        self, module: nn.Module, split: Split, reference: Reference | None = None
    ) -> Metrics:
        """Return nats per token of the text; the standard error is over chunks of speech."""
        if split == "train":
            raise UsageError("what Whisper was trained on is not here")
        module.eval()
        chunks = self._chunks(split)
        chosen = [chunks[i] for i in np.linspace(0, len(chunks) - 1, CHUNKS).astype(int)]
        found, errors, words = [], 0, 0
        for number, chunk in enumerate(chosen):
            heard = _heard(module, chunk.mel[None])
            beside = None
            if reference is not None:
                beside = reference.answers(f"{split} {number}", lambda m, c=chunk: _all(m, c))  # type: ignore[misc]
            logits = _logits(module, heard, chunk.tokens)
            found.append(scoring.answers(logits, torch.tensor(chunk.tokens), beside))
            limit = int(LONGEST * len(chunk.tokens)) + 8
            said = self._words(self._tokenizer.decode(_transcribed(module, heard, limit)))
            wanted = self._words(chunk.text)
            errors += edits(wanted, said)
            words += len(wanted)
        tokens = np.mean([each.nats.size for each in found])
        per_item = np.array([float(each.nats.sum()) for each in found]) / tokens
        return Metrics(
            name="nats per token",
            value=float(per_item.mean()),
            stderr=scoring.standard_error(per_item),
            n=len(found),
            higher_is_better=False,
            per_item=per_item.tolist(),
            also={**scoring.secondary(scoring.joined(found)), "wer": 100.0 * errors / words},
        )

    def _chunks(self, split: Split) -> list[Chunk]:
        if split not in self._known:
            groups: list[list[Prompt]] = [[]]
            seconds = 0.0
            for prompt in self.data.prompts(split):
                length = len(prompt.sound) / RATE + PAUSE_S
                if groups[-1] and seconds + length > SECONDS:
                    groups.append([])
                    seconds = 0.0
                groups[-1].append(prompt)
                seconds += length
            self._known[split] = [self._chunk(group) for group in groups]
        return self._known[split]

    def _chunk(self, prompts: Sequence[Prompt]) -> Chunk:
        pause = np.zeros(int(PAUSE_S * RATE), np.float32)
        sound = np.concatenate([part for p in prompts for part in (p.sound, pause)])
        features = self._features(sound, sampling_rate=RATE, return_tensors="pt")
        text = " ".join(" ".join(prompt.text.split()) for prompt in prompts)
        ids = self._tokenizer.encode(f" {text}", add_special_tokens=False).ids
        return Chunk(features.input_features[0], text, [*ids, whisper_base.END])

    def _words(self, text: str) -> list[str]:
        found: list[str] = self._normalized(text).split()
        return found

    @cached_property
    def _normalized(self) -> Any:
        from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

        return EnglishTextNormalizer({})  # type: ignore[no-untyped-call]

    @cached_property
    def _features(self) -> Any:
        from transformers import WhisperFeatureExtractor  # seconds to import

        return WhisperFeatureExtractor(feature_size=whisper_base.MELS)  # type: ignore[no-untyped-call]

    @cached_property
    def _tokenizer(self) -> Any:
        return whisper_base.tokenizer()


def edits(wanted: Sequence[str], found: Sequence[str]) -> int:
    """Return the fewest words put in, left out or replaced that make one the other.

    >>> edits("a b c d".split(), "a x c".split())
    2
    """
    row = list(range(len(found) + 1))
    for i, word in enumerate(wanted, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(found, 1):
            cost = min(row[j] + 1, row[j - 1] + 1, before + (word != other))
            before, row[j] = row[j], cost
    return row[-1]


def _heard(module: Any, mel: torch.Tensor) -> torch.Tensor:
    states: torch.Tensor = module.model.encoder(mel).last_hidden_state
    return states


def _logits(module: Any, heard: torch.Tensor, tokens: Sequence[int]) -> torch.Tensor:
    """Logits (tokens, vocabulary) of each token, after the prompt and those before it."""
    ids = torch.tensor([[*whisper_base.PROMPT, *tokens[:-1]]])
    states = module.model.decoder(input_ids=ids, encoder_hidden_states=heard, use_cache=False)
    logits: torch.Tensor = module.proj_out(states.last_hidden_state[0, -len(tokens) :])
    return logits


def _all(module: Any, chunk: Chunk) -> torch.Tensor:
    return _logits(module, _heard(module, chunk.mel[None]), chunk.tokens)


def _transcribed(module: Any, heard: torch.Tensor, limit: int) -> list[int]:
    """The most probable tokens, one after the other, without the one that ends them."""
    ids = torch.tensor([whisper_base.PROMPT])
    past = None
    found: list[int] = []
    while len(found) < limit:
        out = module.model.decoder(
            input_ids=ids, encoder_hidden_states=heard, past_key_values=past, use_cache=True
        )
        past = out.past_key_values
        token = int(module.proj_out(out.last_hidden_state[0, -1]).argmax())
        if token == whisper_base.END:
            break
        found.append(token)
        ids = torch.tensor([[token]])
    return found
