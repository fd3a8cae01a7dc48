"""The BackSlash paper's matrix: five language models on five tasks, by way of transformers.

Each stands under `paper.MODEL.TASK`. Weights come from the hub's cache, or from a folder. What the
paper does not say (its optimiser, its steps) is ours: see `PaperModel.plan`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from slashbench.bench.data.base import file_sha256
from slashbench.bench.models import paper_tasks, scoring
from slashbench.bench.models.paper_tasks import TASKS, VARIABLE, PaperTask
from slashbench.contracts import Metrics, Model, Prediction, Reference, Split, TrainingPlan
from slashbench.digest import sha256_of
from slashbench.errors import MissingDependency, UnknownName

IGNORED = -100  # in place of a token that does not count
TOKENS = 512
EVALUATION_EXAMPLES = 1000  # evenly spread over the held-out ones
BATCH = 8
#: Bytes of weights from which on a GPU is needed, as evaluating alone would take hours.
GPU_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class PaperCheckpoint:
    """A model of the paper: its repository on the hub, its licence, and about how many weights."""

    name: str
    repository: str
    licence: str
    weights: int


CHECKPOINTS = {
    each.name: each
    for each in (
        PaperCheckpoint("bert-base", "google-bert/bert-base-uncased", "Apache-2.0", 110_000_000),
        PaperCheckpoint("gpt2", "openai-community/gpt2-large", "MIT", 774_000_000),
        PaperCheckpoint("llama-3.2-1b", "meta-llama/Llama-3.2-1B", "Llama 3.2", 1_240_000_000),
        PaperCheckpoint("gemma-2-2b", "google/gemma-2-2b", "Gemma", 2_610_000_000),
        PaperCheckpoint(
            "deepseek-7b", "deepseek-ai/deepseek-llm-7b-base", "DeepSeek", 6_910_000_000
        ),
    )
}

#: Ids, attention mask, and classes (n,) or targets (n, T), of which IGNORED ones do not count.
Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def model_class(name: str) -> type[Model]:
    """Return the class of `MODEL.TASK`.

    Raises
    ------
    UnknownName
        For a model or a task that the paper has not.
    MissingDependency
        Where its weights, its data or a GPU are not here, with the line that brings them.
    """
    model, _, task = name.rpartition(".")
    if model not in CHECKPOINTS or task not in TASKS:
        raise UnknownName(
            f"the paper has no paper.{name}; models: {', '.join(CHECKPOINTS)}; "
            f"tasks: {', '.join(TASKS)}, as in paper.bert-base.imdb"
        )
    checkpoint = CHECKPOINTS[model]
    size = sum(file.stat().st_size for file in _weight_files(_folder(checkpoint)))
    if size > GPU_BYTES and not torch.cuda.is_available():
        raise MissingDependency(
            f"paper.{name} has {size / 1e9:.1f} GB of weights and takes a GPU: on a machine with "
            "CUDA, bench run --suite paper --device cuda --precision bf16"
        )
    if reason := paper_tasks.why_not(TASKS[task]):
        raise MissingDependency(f"paper.{name}: {reason}")
    return _made(checkpoint, TASKS[task])


class PaperModel(Model):
    """A pretrained language model fine-tuned on a task of the BackSlash paper.

    A classifier puts a head on it. Where answers are written, the loss is that of the answer's
    tokens alone, and neither prompts nor padding count.
    """

    checkpoint: ClassVar[PaperCheckpoint]
    task: ClassVar[PaperTask]
    tolerance: ClassVar[float] = scoring.TOLERANCE_NATS
    step_hint_s: ClassVar[float] = 1.0
    evaluate_hint_s: ClassVar[float] = 60.0

    def __init__(self, steps: int = 2000, checkpointing: bool = True) -> None:
        self.steps, self.checkpointing = steps, checkpointing

    @property
    def plan(self) -> TrainingPlan:
        """AdamW at 2e-5, batches of 8: the paper's curves have 2,000 steps and say no more."""
        return TrainingPlan(steps=self.steps, learning_rate=2e-5, warmup=self.steps // 20)

    def inputs(self) -> dict[str, str]:
        """Every file of weights, and what the test part says."""
        files = {file.name: file_sha256(file) for file in _weight_files(self._folder)}
        return {
            self.checkpoint.name: sha256_of(sorted(files.items())),
            self.task.name: paper_tasks.sha256(self.task),
        }

    def build(self, seed: int) -> nn.Module:
        """The pretrained model, under a fresh head where texts are classified."""
        from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

        options: dict[str, Any] = {"dtype": torch.float32, "local_files_only": True}
        kind: Any = AutoModelForCausalLM
        if self.task.classes:
            kind = AutoModelForSequenceClassification
            options |= {"num_labels": self.task.classes, "pad_token_id": self._padding}
        module: Any = kind.from_pretrained(self._folder, **options)
        if self.checkpointing:
            module.gradient_checkpointing_enable({"use_reentrant": False})
        built: nn.Module = module
        return built

    def batches(self, seed: int) -> Iterator[Batch]:
        """8 examples, in an order drawn anew every epoch."""
        rows = paper_tasks.examples(self.task, "train")
        generator = np.random.default_rng(seed)
        while True:
            order = generator.permutation(len(rows))
            for start in range(0, len(rows) - BATCH + 1, BATCH):
                yield self._batch([rows[i] for i in order[start : start + BATCH]])

    def predict(self, module: nn.Module, batch: Any) -> Prediction:
        """Logits of the classes or of the tokens that are answered, and what is right."""
        logits, wanted = self._answers(module, batch)
        return Prediction(logits.float(), wanted)

    @torch.no_grad()
    def evaluate(
        self, module: nn.Module, split: Split, reference: Reference | None = None
    ) -> Metrics:
        """Return the mean cross-entropy in nats; on a GPU where there is one."""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        rows = paper_tasks.examples(self.task, split)
        chosen = np.linspace(0, len(rows) - 1, min(EVALUATION_EXAMPLES, len(rows))).astype(int)
        module = module.eval().to(device)
        found = []
        for start in range(0, len(chosen), BATCH):
            part = self._batch([rows[i] for i in chosen[start : start + BATCH]])
            batch = tuple(each.to(device) for each in part)
            beside = self._beside(reference, f"{split} {start}", batch, device)
            logits, wanted = self._answers(module, batch)
            found.append(scoring.answers(logits.float().cpu(), wanted.cpu(), beside))
        return scoring.cross_entropy(scoring.joined(found))

    def _beside(
        self, reference: Reference | None, question: str, batch: Any, device: str
    ) -> torch.Tensor | None:
        if reference is None:
            return None

        def ask(known: nn.Module) -> torch.Tensor:
            return self._answers(known.to(device), batch)[0].float().cpu()

        return reference.answers(question, ask)

    def _answers(self, module: nn.Module, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (answers, choices) and what is right (answers,)."""
        ids, mask, wanted = batch
        logits = module(input_ids=ids, attention_mask=mask).logits
        if self.task.classes:
            return logits, wanted
        counted = wanted != IGNORED
        return logits[counted], wanted[counted]

    def _batch(self, rows: Sequence[tuple[str, Any]]) -> Batch:
        """Rows padded at their end. Long texts keep their beginning, long prompts their end."""
        if self.task.classes:
            encoded = [self._tokenizer(text)["input_ids"][:TOKENS] for text, _ in rows]
            ids, mask = self._padded(encoded)
            return ids, mask, torch.tensor([label for _, label in rows])
        whole, targets = [], []
        for prompt, answer in rows:
            after = self._tokenizer(answer, add_special_tokens=False)["input_ids"][: TOKENS // 2]
            before = self._tokenizer(prompt)["input_ids"][-(TOKENS - len(after)) :]
            whole.append([*before, *after])
            targets.append([*[IGNORED] * (len(before) - 1), *after, IGNORED])
        ids, mask = self._padded(whole)
        wanted = torch.full_like(ids, IGNORED)
        for i, row in enumerate(targets):
            wanted[i, : len(row)] = torch.tensor(row)
        return ids, mask, wanted

    def _padded(self, rows: Sequence[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        width = max(map(len, rows))
        ids = torch.tensor([row + [self._padding] * (width - len(row)) for row in rows])
        lengths = torch.tensor([len(row) for row in rows])
        return ids, (torch.arange(width) < lengths[:, None]).long()

    @property
    def _padding(self) -> int:
        """The token that pads; the one that ends a text where there is none."""
        known = self._tokenizer.pad_token_id
        found = known if known is not None else self._tokenizer.eos_token_id
        return int(found if found is not None else 0)

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self._folder, local_files_only=True)

    @cached_property
    def _folder(self) -> Path:
        return _folder(self.checkpoint)


def _made(checkpoint: PaperCheckpoint, task: PaperTask) -> type[Model]:
    metric = "cross-entropy, nats" if task.classes else "nats per token"
    fields: Mapping[str, Any] = {
        "__doc__": f"{checkpoint.repository} fine-tuned on {task.repository}.",
        "__module__": __name__,
        "checkpoint": checkpoint,
        "task": task,
        "source": f"{checkpoint.repository} and {task.repository}, of the hub",
        "licence": checkpoint.licence,
        "metric": metric,
        "weights_hint": checkpoint.weights,
    }
    return type(f"{PaperModel.__name__}On{task.name.title()}", (PaperModel,), dict(fields))


def _folder(checkpoint: PaperCheckpoint) -> Path:
    """Return the folder of a model's files. Raises MissingDependency."""
    if base := os.environ.get(VARIABLE):
        folder = Path(base) / "models" / checkpoint.name
        if not folder.is_dir():
            raise MissingDependency(f"{folder} is not there; without {VARIABLE} the hub has it")
        return folder
    from huggingface_hub import snapshot_download  # a second to import

    try:
        return Path(snapshot_download(checkpoint.repository, local_files_only=True))
    except Exception as error:  # of many kinds, for a cache that has it not
        raise MissingDependency(
            f"{checkpoint.repository} is not in the hub's cache: "
            f"hf download {checkpoint.repository} (some ask for an account and their licence)"
        ) from error


def _weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a folder. Raises MissingDependency: others may run code."""
    found = sorted(folder.glob("*.safetensors"))
    if not found:
        raise MissingDependency(f"{folder} has no safetensors file")
    return found
