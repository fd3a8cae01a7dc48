"""Sequence classifiers on a text file, a line an item: `label<TAB>text`, or texts alone."""

from __future__ import annotations

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
from slashbench.bench.models.external.text_file import read_lines
from slashbench.contracts import Metrics, Reference, Split
from slashbench.errors import UsageError

LINES, WIDTH = 512, 256  # of an evaluation, unless the user says otherwise
_BATCH = 16
_VALIDATION = 4  # of so many lines, one is for validation


class SequenceClassifier(ExternalModel):
    """A classifier of lines with labels: a number, or a name that the configuration has."""

    metric: ClassVar[str] = "cross-entropy, nats"
    tolerance: ClassVar[float] = scoring.TOLERANCE_NATS

    @cached_property
    def tokenizer(self) -> Any:
        """The checkpoint's own."""
        return loading.tokenizer_of(self.folder)

    @cached_property
    def labels(self) -> dict[str, int]:
        """Return number of each label, by its name and by its number."""
        found = {str(k): int(v) for k, v in (loading.config_of(self.folder).label2id or {}).items()}
        return found | {str(number): number for number in found.values()}

    def lines(self, split: Split) -> list[str]:
        """Return lines of a split, evenly spread. Raises UsageError for too few."""
        if split == "train":
            raise UsageError(f"{self.name.text} was not trained here: it has no training data")
        every = read_lines(self.name.settings[TEXT])
        chosen = [
            line
            for i, line in enumerate(every)
            if (i % _VALIDATION == 1) == (split == "validation")
        ]
        if len(every) < 2 * _VALIDATION:
            raise UsageError(f"{self.name.settings[TEXT]} has {len(every)} lines: too few")
        kept = np.linspace(0, len(chosen) - 1, min(self.name.number(CHUNKS, LINES), len(chosen)))
        return [chosen[i] for i in kept.round().astype(int)]

    def asked(self, texts: list[str]) -> dict[str, torch.Tensor]:
        """Return what the module is given of some texts."""
        found = self.tokenizer(
            texts,
            truncation=True,
            max_length=self.name.number(CONTEXT, WIDTH),
            padding=len(texts) > 1,
            return_tensors="pt",
        )
        return dict(found)

    def logits(self, module: nn.Module, texts: list[str]) -> torch.Tensor:
        """Return the logits (n, classes) of some texts."""
        module.eval()
        n = _BATCH if self.tokenizer.pad_token is not None else 1
        parts = [texts[i : i + n] for i in range(0, len(texts), n)]
        return torch.cat([module(**self.asked(part)).logits.float() for part in parts])

    def calibration(self, seed: int) -> Iterator[Any]:
        """Lines of the text of `--calibration`, drawn at random, without their labels."""
        if CALIBRATION not in self.name.settings:
            yield from super().calibration(seed)
        every = read_lines(self.name.settings[CALIBRATION])
        lines = [text if tab else line for line in every for _, tab, text in [line.partition("\t")]]
        if len(lines) < _BATCH:
            raise UsageError(f"{self.name.settings[CALIBRATION]} has {len(lines)} lines: too few")
        generator = np.random.default_rng(seed)
        n = _BATCH if self.tokenizer.pad_token is not None else 1
        while True:
            yield self.asked([lines[i] for i in generator.choice(len(lines), n, replace=False)])

    def loss(self, module: nn.Module, batch: Any) -> torch.Tensor:
        """Cross-entropy of the module's own answers in nats: the lines need no labels."""
        logits = module(**batch).logits.float()
        return functional.cross_entropy(logits, logits.argmax(-1).detach())

    @torch.no_grad()
    def evaluate(
        self, module: nn.Module, split: Split, reference: Reference | None = None
    ) -> Metrics:
        """Return the mean cross-entropy of the labels in nats. Raises UsageError for a bad line."""
        pairs = [line.partition("\t") for line in self.lines(split)]
        unknown = [label for label, tab, _ in pairs if not tab or label not in self.labels]
        if unknown:
            raise UsageError(
                f"{self.name.settings[TEXT]}: {unknown[0][:40]!r} is no label; known are "
                f"{', '.join(self.labels)}, each before a tab"
            )
        texts = [text for _, _, text in pairs]
        wanted = torch.tensor([self.labels[label] for label, _, _ in pairs])
        beside = (
            reference.answers(split, lambda known: self.logits(known, texts)) if reference else None
        )
        return scoring.cross_entropy(scoring.answers(self.logits(module, texts), wanted, beside))


class UnlabelledClassifier(SequenceClassifier):
    """A classifier of lines without labels: how far its answers are from the float model's."""

    metric: ClassVar[str] = "KL to the float model, nats"

    @torch.no_grad()
    def evaluate(
        self, module: nn.Module, split: Split, reference: Reference | None = None
    ) -> Metrics:
        """Return the mean KL divergence from the float model's answers in nats."""
        texts = self.lines(split)
        found = self.logits(module, texts)
        known = (
            reference.answers(split, lambda before: self.logits(before, texts))
            if reference
            else found
        )
        scored = scoring.answers(found, known.argmax(-1), known)
        assert scored.kl is not None
        return Metrics(
            name=self.metric,
            value=max(0.0, float(scored.kl.mean())),
            stderr=scoring.standard_error(scored.kl),
            n=scored.kl.size,
            higher_is_better=False,
            per_item=scored.kl.tolist(),
            also=scoring.secondary(scored),
        )


def has_labels(path: str) -> bool:
    """Return whether the lines of a file have the form `label<TAB>text`."""
    lines = read_lines(path)
    return bool(lines) and all("\t" in line for line in lines)
