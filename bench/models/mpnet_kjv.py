"""all-mpnet-base-v2, frozen under a linear probe or fine-tuned, on King James verses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import nn

from slashbench import validate
from slashbench.bench.data.asset_catalog import MPNET
from slashbench.bench.data.kjv import DIVISIONS, KingJames
from slashbench.bench.models import probe
from slashbench.bench.models.pretrained import assembled
from slashbench.bench.models.text_classifier import PooledClassifier, TextClassifier
from slashbench.contracts import Split, TrainingPlan

if TYPE_CHECKING:
    from transformers import MPNetModel

SHA256 = MPNET.sha256["model.safetensors"]
MAX_TOKENS = 64


class MPNetProbe(TextClassifier):
    """all-mpnet-base-v2 (109M weights) frozen under a linear probe that places King James verses.

    The weights are as published; the probe is fitted once, on their float32 features, and is
    quantized with them. Post-training recipes only.

    Parameters
    ----------
    texts : int
        Verses that are evaluated, evenly spread over the held-out chapters.
    fit : int
        Verses that the probe is fitted on, evenly spread over the training chapters. Their features
        take minutes, once.
    """

    revision: ClassVar[int] = 2
    source: ClassVar[str] = "all-mpnet-base-v2 (five packages, 0.0.1; arXiv 2004.09297), a probe"
    licence: ClassVar[str] = MPNET.licence
    padding: ClassVar[int] = 1
    evaluate_hint_s: ClassVar[float] = 30.0
    weights_hint: ClassVar[int] = 109_000_000

    def __init__(self, texts: int = 240, fit: int = 2400) -> None:
        validate.at_least(1, texts=texts, fit=fit)
        self.evaluation_texts, self.fit = texts, fit
        self.data = KingJames()

    @property
    def plan(self) -> TrainingPlan | None:
        """Not trained here."""
        return None

    def inputs(self) -> dict[str, str]:
        """The text and the pretrained checkpoint."""
        return {"kjv": self.data.sha256(), "all-mpnet-base-v2": SHA256}

    def build(self, seed: int) -> nn.Module:
        """The published encoder under the probe."""
        return _with_head(self._probe())

    def examples(self, split: Split) -> tuple[list[str], list[int]]:
        """Verses of the split's chapters, and the divisions they stand in."""
        return self.data.with_divisions(split)

    def tokenizer(self) -> Any:
        """WordPiece without the padding that the file switches on."""
        loaded = Tokenizer.from_file(str(MPNET.path("tokenizer.json")))
        loaded.no_padding()
        loaded.enable_truncation(MAX_TOKENS)
        return loaded

    def _probe(self) -> Mapping[str, torch.Tensor]:
        @torch.no_grad()
        def features(split: Split) -> tuple[torch.Tensor, torch.Tensor]:
            rows, labels = self._part[split]
            if split == "train":
                chosen = torch.linspace(0, len(rows) - 1, self.fit).long().tolist()
                rows, labels = [rows[i] for i in chosen], labels[chosen]
            module = _with_head(None)
            return self.outputs(_Vectors(module), rows), labels

        size = f"{self.fit}-{self.evaluation_texts}"
        name = f"mpnet-kjv-{SHA256[:16]}-{self.data.sha256()[:16]}-{size}"
        return probe.fitted(name, features, len(DIVISIONS))


class MPNetKjv(MPNetProbe):
    """all-mpnet-base-v2 (109M weights) fine-tuned to place a King James verse: take a GPU."""

    source: ClassVar[str] = "all-mpnet-base-v2 (five packages, 0.0.1), fine-tuned here"
    step_hint_s: ClassVar[float] = 15.0

    def __init__(self, steps: int = 250) -> None:
        super().__init__()
        self.steps = steps

    @property
    def plan(self) -> TrainingPlan:
        """AdamW at 5e-5, batches of 32 verses."""
        return TrainingPlan(steps=self.steps, learning_rate=5e-5, warmup=self.steps // 10)

    def build(self, seed: int) -> nn.Module:
        """The published encoder under a fresh head."""
        return _with_head(None)


class _Vectors(nn.Module):
    """The features of a classifier, before its head."""

    def __init__(self, classifier: PooledClassifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Token ids and mask (B, T) -> (B, width)."""
        return self.classifier.vectors(ids, mask)


def _with_head(head: Mapping[str, torch.Tensor] | None) -> PooledClassifier:
    state = {
        name: tensor
        for name, tensor in load_file(MPNET.path("model.safetensors")).items()
        if tensor.is_floating_point() and not name.startswith("pooler.")  # which has no training
    }
    positions = torch.arange(514).expand((1, -1))
    made = assembled(_encoder, state, {"embeddings.position_ids": positions})
    classifier = PooledClassifier(made, len(DIVISIONS))
    if head is not None:
        classifier.head.load_state_dict(head)
    return classifier.eval()


def _encoder() -> MPNetModel:
    from transformers import MPNetConfig, MPNetModel  # seconds to import: only when built

    config = MPNetConfig(
        vocab_size=30527,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        intermediate_size=3072,
        max_position_embeddings=514,
        layer_norm_eps=1e-5,
        relative_attention_num_buckets=32,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )
    return MPNetModel(config, add_pooling_layer=False)
