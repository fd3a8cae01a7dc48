"""AntiBERTy, a masked language model of antibody sequences, with its published weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from slashbench.bench.data.base import package_folder, pinned
from slashbench.bench.data.germlines import Germlines
from slashbench.bench.models import scoring
from slashbench.contracts import Metrics, Model, Reference, Split
from slashbench.errors import UsageError

SHA256 = "f1ae33eac8cc8784a7d4be5a600141d2fa7bc7d8d5b3f5324d64a6a63bd0f137"
BATCH = 8
#: Share of residues hidden. At the usual 15 % the model names 99.3 % of a germline's residues, too
#: close to all of them to see what compression costs; at 60 % it names 96.9 %.
MASKED = 0.6

#: Ids, attention mask and hidden positions, each (n, longest row).
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class AntiBERTy(Model):
    """AntiBERTy (BERT 8x512, 25.8M pretrained weights), post-training recipes only."""

    source: ClassVar[str] = "AntiBERTy (antiberty 0.1.3; Ruffolo, Gray & Sulam, arXiv 2112.07782)"
    revision: ClassVar[int] = 2
    licence: ClassVar[str] = "MIT"
    metric: ClassVar[str] = "cross-entropy, nats"
    tolerance: ClassVar[float] = scoring.TOLERANCE_NATS

    evaluate_hint_s: ClassVar[float] = 7.7
    weights_hint: ClassVar[int] = 25_800_000

    def __init__(self) -> None:
        self.data = Germlines()

    @property
    def plan(self) -> None:
        """Not trained here."""
        return

    def inputs(self) -> dict[str, str]:
        """The sequences and the pretrained checkpoint."""
        return {"germlines": self.data.sha256(), "antiberty": SHA256}

    def build(self, seed: int) -> nn.Module:
        """The published weights, without the pooler and the three heads that residues don't use."""
        from transformers import BertConfig, BertForMaskedLM  # seconds to import

        folder = package_folder("antiberty") / "trained_models" / "AntiBERTy_md_smooth"
        state = torch.load(
            pinned(folder / "pytorch_model.bin", SHA256), map_location="cpu", weights_only=True
        )
        unused = ("bert.pooler.", "cls.species.", "cls.chain.", "cls.graft.")
        module = BertForMaskedLM(BertConfig.from_json_file(folder / "config.json"))
        module.load_state_dict(
            {
                name: tensor
                for name, tensor in state.items()
                if not name.startswith(unused) and tensor.is_floating_point()
            }
        )
        return module

    def calibration(self, seed: int) -> Iterator[Any]:
        """(ids, attention mask, hidden positions) of 8 sequences of other species than human."""
        generator = np.random.default_rng(seed)
        while True:
            chosen = generator.choice(self.data.other_species, BATCH, replace=False)
            yield self._batch(list(chosen), generator)

    def loss(self, module: nn.Module, batch: Any) -> torch.Tensor:
        """Cross-entropy of the hidden residues in nats."""
        logits, wanted = self._answers(module, *batch)
        return functional.cross_entropy(logits, wanted)

    @torch.no_grad()
    def evaluate(
        self, module: nn.Module, split: Split, reference: Reference | None = None
    ) -> Metrics:
        """Return the mean cross-entropy of hidden residues in nats."""
        if split == "train":
            raise UsageError("AntiBERTy's training data are not here")
        module.eval()
        beside = reference.answers(split, lambda r: self._all(r, split)[0]) if reference else None
        return scoring.cross_entropy(scoring.answers(*self._all(module, split), beside))

    def _all(self, module: nn.Module, split: Split) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of all hidden residues (n, vocabulary), and what they are (n,)."""
        found = [self._answers(module, *batch) for batch in self._masked(split)]
        return torch.cat([logits for logits, _ in found]), torch.cat([w for _, w in found])

    def _masked(self, split: Split) -> Iterator[Batch]:
        """Batches of held-out sequences; the same at every call."""
        sequences = self._held_out(split)
        generator = np.random.default_rng(2112)
        for start in range(0, len(sequences), BATCH):
            yield self._batch(sequences[start : start + BATCH], generator)

    def _held_out(self, split: Split) -> list[str]:
        return sorted(self.data.sequences[split == "test" :: 2], key=len)

    def _batch(self, sequences: Sequence[str], generator: np.random.Generator) -> Batch:
        """`sequences` padded, a share of their residues hidden at random."""
        rows = [self._encode(sequence) for sequence in sequences]
        width = max(map(len, rows))
        ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
        hidden = torch.zeros(len(rows), width, dtype=torch.bool)
        for i, row in enumerate(rows):
            residues = 1 + generator.permutation(len(row) - 2)  # neither [CLS] nor [SEP]
            hidden[i, torch.from_numpy(residues[: math.ceil(MASKED * residues.size)])] = True
        return ids, (ids != 0).long(), hidden

    def _answers(
        self, module: nn.Module, ids: torch.Tensor, attention: torch.Tensor, hidden: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(logits of the hidden residues, what they are)."""
        masked = ids.masked_fill(hidden, self._vocabulary["[MASK]"])
        return module(input_ids=masked, attention_mask=attention).logits[hidden], ids[hidden]

    def _encode(self, sequence: str) -> list[int]:
        table = self._vocabulary
        return [table["[CLS]"], *(table[residue] for residue in sequence), table["[SEP]"]]

    @cached_property
    def _vocabulary(self) -> dict[str, int]:
        file = package_folder("antiberty") / "trained_models" / "vocab.txt"
        return {
            token: index for index, token in enumerate(file.read_text(encoding="utf-8").split())
        }
